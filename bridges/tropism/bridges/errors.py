"""Every error of the bridge, typed: what happened can be caught by class and read from attributes.

All of them pickle with their attributes, since vector environments send exceptions between processes.
"""

from __future__ import annotations

import signal
from typing import Any

from tropism.bridges.progress import Progress
from tropism.errors import TropismError


def _restore(cls: type[BridgeError], args: tuple, state: dict[str, Any]) -> BridgeError:
    error = cls.__new__(cls, *args)
    error.__dict__.update(state)
    return error


class BridgeError(TropismError, RuntimeError):
    """Base of every error of the bridge.

    Attributes:
        facts: what an agent knew when it was raised: `phase`, `seq`, `waited_s`, and `game`, its state in words.
            None if it came from elsewhere.
    """

    facts: dict[str, Any] | None = None

    def __reduce__(self) -> tuple:  # the constructors differ, so pickle must not call them
        return _restore, (type(self), self.args, dict(self.__dict__))


# --- the bytes are wrong -------------------------------------------------------------------------


class ProtocolError(BridgeError):
    """The peer broke the protocol; the connection cannot go on."""

    code = "protocol"  # what an ERROR message about it says


class BadMagic(ProtocolError):
    """The first four bytes of a message are not "GBR1"."""


class EndianMismatch(BadMagic):
    """The peer writes integers in the wrong byte order."""


class MessageTooLarge(ProtocolError):
    """A message is longer than `max_message`, as sent or once inflated."""

    code = "too-large"


class BadChecksum(ProtocolError):
    """The CRC-32 of a body is not the one in its header."""


class UnsupportedMessage(ProtocolError):
    """The peer sent a message that must be understood and is not known here."""

    code = "unsupported"


class UnexpectedMessage(ProtocolError):
    """A known message came where the protocol does not allow it."""


# --- the peers do not agree ----------------------------------------------------------------------


class VersionMismatch(BridgeError):
    """The peers have no version of the protocol in common; the text names both."""

    code = "version"


class AuthError(BridgeError):
    """The peer did not prove that it knows the secret, or demands one that is not known here."""

    code = "auth"


class PeerBusy(BridgeError):
    """The listener already has a session."""

    code = "busy"


class SpecMismatch(BridgeError):
    """A space is not the one expected.

    Attributes:
        path: where in the specification, such as "agents[0].obs.camera".
        expected: what was expected.
        got: what was found.
    """

    code = "spec"

    def __init__(self, path: str, expected: object, got: object) -> None:
        super().__init__(f"{path or 'spec'}: expected {expected}, got {got}")
        self.path, self.expected, self.got = path, expected, got


class InvalidValue(BridgeError, ValueError):
    """An action or observation that its space does not allow; the text names the key."""

    code = "action"


# --- nothing comes -------------------------------------------------------------------------------


class BridgeTimeout(BridgeError):
    """The peer did not answer in time.

    Attributes:
        phase: "connect", "handshake", "reset", "step", "close", or what else was waited for; "header" or "payload" if a
            part of it had come, where that ends.
        waited: seconds.
        seq: number of the request that was not answered, if there is one.
        text: what else there is to say.
        got: bytes that had come of a message that is not whole; None if there is none.
        want: bytes that it has; None if that is not known.
    """

    code = "timeout"

    def __init__(self, phase: str, waited: float, seq: int | None = None, text: str = "") -> None:
        request = "" if seq is None else f" (request {seq})"
        tail = f": {text}" if text else ""
        began = isinstance(text, Progress)
        came = "only a part of a message" if began else "nothing"
        super().__init__(f"{phase}: {came} came within {waited:.2f} s{request}{tail}")
        self.waited, self.seq, self.text = waited, seq, text
        self.phase = text.part if began else phase
        self.got, self.want = (text.got, text.want) if began else (None, None)


class ConnectTimeout(BridgeTimeout):
    """Nobody could be connected; has `address`, the number of `attempts`, and `why` as well."""

    def __init__(self, address: object, attempts: int, waited: float = 0.0, text: str = "") -> None:
        tried = f"{attempts} attempt{'s' * (attempts != 1)} at {address}"
        super().__init__("connect", waited, None, f"{tried}, {text}" if text else tried)
        self.address, self.attempts, self.why = str(address), attempts, text


class HandshakeTimeout(BridgeTimeout):
    """The opening of a session was not finished in time."""


class ResetTimeout(BridgeTimeout):
    """A RESET was not answered in time."""


class StepTimeout(BridgeTimeout):
    """A STEP was not answered in time, or no frame came."""


class CloseTimeout(BridgeTimeout):
    """A game did not end in time after it was told to close."""


_TIMEOUTS = {
    "handshake": HandshakeTimeout,
    "reset": ResetTimeout,
    "step": StepTimeout,
    "close": CloseTimeout,
}


def timeout_of(phase: str, waited: float, seq: int | None = None, text: str = "") -> BridgeTimeout:
    """The timeout error of a phase: `StepTimeout` for "step", and so on."""
    return _TIMEOUTS.get(phase, BridgeTimeout)(phase, waited, seq, text)


# --- the game is gone ----------------------------------------------------------------------------


class GameLost(BridgeError):
    """The game is gone."""


class GameCrashed(GameLost):
    """The process of the game ended by itself while it was needed.

    Attributes:
        pid: its process id.
        returncode: as in `subprocess`, negative for a signal.
        signal: name of the signal such as "SIGSEGV", or None.
        last_seq: the last request it was sent, or None.
        stderr_tail: the last lines it wrote to its standard error.
    """

    def __init__(
        self,
        pid: int,
        returncode: int | None,
        last_seq: int | None = None,
        stderr_tail: str = "",
    ) -> None:
        self.signal = _signal_name(returncode)
        how = self.signal or f"exit code {returncode}"
        tail = f"; its last words:\n{stderr_tail}" if stderr_tail else ""
        super().__init__(f"the game (pid {pid}) died by {how} at request {last_seq}{tail}")
        self.pid, self.returncode = pid, returncode
        self.last_seq, self.stderr_tail = last_seq, stderr_tail


class GameExited(GameLost):
    """The game closed the session or ended with `returncode` 0 while it was still needed."""

    def __init__(self, returncode: int | None = None, text: str = "the game has exited") -> None:
        super().__init__(text if returncode is None else f"{text} (exit code {returncode})")
        self.returncode = returncode


class ConnectionLost(GameLost):
    """The connection ended without CLOSE."""


class PeerError(BridgeError):
    """An ERROR message of the peer.

    Attributes:
        code: one of the codes of the protocol, such as "action".
        text: for people.
        detail: any JSON, or None.
    """

    def __init__(self, code: str, text: str = "", detail: Any = None) -> None:
        super().__init__(f"the peer says {code}: {text}")
        self.code, self.text, self.detail = code, text, detail


# --- the caller or the machine -------------------------------------------------------------------


class BridgeClosed(BridgeError):
    """Used after it was closed."""


class ForkedBridge(BridgeError):
    """Used in a forked child of the process that opened it."""


class ShmUnavailable(BridgeError):
    """Shared memory cannot be had here; the text says why (how much is needed and free)."""


class ShmCorrupt(BridgeError):
    """What stands in shared memory is not what the protocol says."""


class PortInUse(BridgeError):
    """The address to listen on is taken.

    Attributes:
        pid: of the process that listens there, or None if the system does not tell.
        program: its name as the system knows it, or empty.
    """

    def __init__(self, text: str, pid: int | None = None, program: str = "") -> None:
        super().__init__(text)
        self.pid, self.program = pid, program


class RecordingError(BridgeError):
    """A recorded session cannot be read, or was not played as it was recorded."""


def _signal_name(returncode: int | None) -> str | None:
    if returncode is None or returncode >= 0:
        return None
    try:
        return signal.Signals(-returncode).name
    except ValueError:
        return f"signal {-returncode}"
