"""The process of a game: started in a group of its own, listened to, and never left behind."""

from __future__ import annotations

import contextlib
import math
import os
import select
import signal
import subprocess
import weakref
from collections.abc import Callable, Mapping, Sequence

from tropism.bridges.errors import BridgeError, ForkedBridge, GameCrashed, GameExited, GameLost
from tropism.bridges.processes import has_ended, is_dying, open_pidfd, run_as_batch, signal_group
from tropism.bridges.tail import Tail
from tropism.errors import OptionError

Command = Sequence[str] | Callable[[str], Sequence[str]]
"""An argument vector, or a function from the address to dial to one (for games that want it as an argument)."""

TERMINATE_GRACE = 0.5
"""Seconds between SIGTERM and SIGKILL."""
DEATH_TAKES = 0.08
"""Seconds that a process which has closed its connection is given to be found dead ..."""
DYING_TAKES = 5.0
"""... and one that is known to be on its way out."""


class Launcher:
    """Starts one game and owns its process group until it is reaped.

    The group is killed and the process reaped by :meth:`stop`, when the game is found dead, when the launcher is
    collected, and at exit of the interpreter.  A game whose agent is killed sees the end of its connection instead.

    Args:
        command: what to run.
        cwd: where; None: here.
        env: variables on top of those of this process.
        lines: how many of the last lines of standard error are kept.
        show_output: let the game write to the streams of this process; then no line is kept.
        batch: let it not interrupt others when it wakes up (Linux: ``SCHED_BATCH``), so that an agent who wakes several games one
            after the other is not set aside by the first.
    """

    def __init__(
        self,
        command: Command,
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        lines: int = 20,
        show_output: bool = False,
        batch: bool = False,
    ) -> None:
        if isinstance(command, (str, bytes)) or not command:
            raise OptionError(f"command must be a list such as ['game', '--fast'], got {command!r}")
        if not callable(command):
            _arguments(command)
        self.command, self.cwd, self.env, self.show_output = (
            command,
            cwd,
            dict(env or {}),
            show_output,
        )
        self.lines, self.batch = lines, batch
        self._process: subprocess.Popen[bytes] | None = None
        self._tail: Tail | None = None
        self._pidfd: int | None = None
        self._owner = os.getpid()
        self._finalizer: weakref.finalize | None = None

    def start(self, address: str, token: str = "", session: str = "") -> None:
        """Start the game and tell it through its environment where to dial.

        Args:
            address: of the listener.
            token: the secret as 64 hexadecimal digits, or "".
            session: name of the session, or "".

        Raises:
            OptionError: an argument, a variable or the directory is no text that a program can be given.
            BridgeError: the command cannot be run; the operating system's reason is chained.
        """
        if self._process is not None:
            raise BridgeError(f"the game (pid {self.pid}) was started already")
        command = _arguments(self.command(address) if callable(self.command) else self.command)
        variables = {"ADDR": address, "TOKEN": token, "SESSION": session}
        env = {**os.environ, **self.env, **{f"TROPISM_BRIDGE_{k}": v for k, v in variables.items()}}
        self._tail = None if self.show_output else Tail(self.lines)
        try:
            self._process = self._spawn(command, env)
        except (OSError, TypeError, ValueError) as error:  # the last two: of `env` or `cwd`
            if self._tail is not None:
                self._tail.finish()
            kind = BridgeError if isinstance(error, OSError) else OptionError
            raise kind(f"cannot start the game {command!r}: {error}") from error
        if self.batch:
            run_as_batch(self._process.pid)
        self._pidfd = open_pidfd(self._process.pid)
        self._finalizer = weakref.finalize(
            self, _abandon, self._process, self._tail, self._pidfd, self._owner
        )

    def _spawn(self, command: list[str], env: dict[str, str]) -> subprocess.Popen[bytes]:
        """Start the process; unless it may show its output only its standard error is read."""
        return subprocess.Popen(
            command,
            cwd=self.cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=None if self._tail is None else subprocess.DEVNULL,
            stderr=None if self._tail is None else self._tail.write_end,
            start_new_session=True,
        )

    # -- what is known of it --------------------------------------------------------------------------------

    @property
    def pid(self) -> int | None:
        """Process id, also that of its group; None before the start."""
        return None if self._process is None else self._process.pid

    @property
    def returncode(self) -> int | None:
        """As in ``subprocess``: None while it runs, negative for a signal.  A dead game is reaped here."""
        if self._process is None:
            return None
        if self._process.returncode is None and has_ended(self._process):
            self._bury()
        return self._process.returncode

    @property
    def alive(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self.returncode is None

    @property
    def stderr_tail(self) -> str:
        """The last lines of its standard error."""
        return "" if self._tail is None else "\n".join(self._tail.lines)

    def fileno(self) -> int | None:
        """A descriptor that is readable once the game has ended (Linux), else None."""
        return self._pidfd

    def describe(self) -> str:
        """One line for people: the command, its process id and its state."""
        command = self.command if callable(self.command) else " ".join(map(str, self.command))
        if self._process is None:
            return f"game not started: {command}"
        code = self.returncode
        state = "is running" if code is None else f"ended with {code}"
        return f"game (pid {self.pid}) {state}: {command}"

    def lost(self, last_seq: int | None = None) -> GameLost | None:
        """The error that tells how the game ended, or None while it runs."""
        code = self.returncode
        if code is None:
            return None
        if code == 0:
            return GameExited(0, f"the game (pid {self.pid}) has exited by itself")
        return GameCrashed(self.pid or 0, code, last_seq, self.stderr_tail)

    # -- its end --------------------------------------------------------------------------------------------

    def wait(self, timeout: float) -> int | None:
        """Wait up to ``timeout`` seconds for its end; returns :attr:`returncode`."""
        if self._process is None or self.returncode is not None:
            return self.returncode
        if self._pidfd is not None:
            poller = select.poll()
            poller.register(self._pidfd, select.POLLIN)
            poller.poll(math.ceil(timeout * 1000))
        else:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout)
        return self.returncode

    def settle(self) -> int | None:
        """Learn how it ended, if it does, after its connection has: it closes that when it dies, but may live on.

        Where the system tells that a process is on its way out, it is waited for as long as that takes on a busy machine.
        """
        if (
            self.wait(DEATH_TAKES) is None
            and self._process is not None
            and is_dying(self._process.pid)
        ):
            self.wait(DYING_TAKES)
        return self.returncode

    def stop(self, grace: float = 0.0) -> None:
        """End the whole group and reap the game; harmless if that was done.

        Args:
            grace: seconds for it to end by itself before SIGTERM; SIGKILL follows half a second later.

        Raises:
            ForkedBridge: in a forked child, whose game it is not.
        """
        if os.getpid() != self._owner:
            raise ForkedBridge("a forked child cannot stop the game of its parent")
        if self._process is None or self.wait(grace) is not None:
            return
        signal_group(self._process, signal.SIGTERM)
        if self.wait(TERMINATE_GRACE) is None:
            self.kill()

    def kill(self) -> None:
        """SIGKILL the group at once and reap; for games that hang."""
        if self._process is not None and self.returncode is None:
            self._bury()

    def _bury(self) -> None:
        if self._finalizer is not None:
            self._finalizer()
        self._pidfd = None


def _arguments(command: Sequence[str]) -> list[str]:
    """The arguments as text.

    Raises:
        OptionError: one of them cannot be given to any program.
    """
    arguments = [str(part) for part in command]
    for part in arguments:
        if "\0" in part:
            raise OptionError(
                f"command: {part!r} has a NUL character, which ends an argument; remove it"
            )
    return arguments


def _abandon(
    process: subprocess.Popen[bytes], tail: Tail | None, pidfd: int | None, owner: int
) -> None:
    """Kill the group, reap the leader, close what was open; nothing in a forked child, whose game it is not."""
    if os.getpid() != owner:
        process.returncode = 0  # not ours to wait for; this keeps its destructor quiet
        return
    if process.returncode is None:
        signal_group(process, getattr(signal, "SIGKILL", signal.SIGTERM))
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5.0)
    if pidfd is not None:
        os.close(pidfd)
    if tail is not None:
        tail.finish()
