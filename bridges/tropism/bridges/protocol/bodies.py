"""Bodies of STEP, ACTION and OBS: docs/bridge-protocol.md, section 8."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from enum import IntEnum
from itertools import chain
from typing import Any, NamedTuple

from tropism.bridges.errors import InvalidValue, ProtocolError
from tropism.bridges.protocol.header import Type
from tropism.bridges.protocol.jsons import read_json, write_json
from tropism.bridges.protocol.layout import Layout
from tropism.bridges.protocol.leaves import Node
from tropism.bridges.protocol.spec import Spec

Buffer = bytearray | memoryview
_PAIR = struct.Struct("<II")
_U64 = struct.Struct("<Q")


class Status(IntEnum):
    """What a game is doing."""

    STARTING = 0
    READY = 1
    RUNNING = 2
    TERMINATED = 3
    TRUNCATED = 4
    RESETTING = 5
    CLOSING = 6


class Outcome(NamedTuple):
    """What a step brought one agent.

    Attributes:
        reward: 0 in the answer to RESET.
        terminated: the episode ended by its own rules.
        truncated: the episode was cut.
        alive: it has an observation and will act; still so in the step in which it ends.
        observation: None if it is not alive.
    """

    reward: float = 0.0
    terminated: bool = False
    truncated: bool = False
    alive: bool = True
    observation: Any = None


class Observation(NamedTuple):
    """The body of OBS.

    Attributes:
        step: since the reset, 0 in the answer to it.
        applied: `seq` of the newest request it shows the effect of.
        game_time: the game's own time in nanoseconds.
        status: what the game is doing.
        agents: an `Outcome` for each agent of the Spec, in its order.
        info: with several agents, an object for each id.
    """

    step: int
    applied: int
    game_time: int
    status: Status
    agents: list[Outcome]
    info: dict[str, Any]


class ObsCodec:
    """Writes and reads bodies of OBS.

    Attributes:
        size: bytes of a body without info.
    """

    def __init__(self, spec: Spec) -> None:
        self.layouts = spec.observations
        self.head = struct.Struct("<QQQII" + "dBBB5x" * len(self.layouts))
        self._writer = struct.Struct("<QQQII" + "d???5x" * len(self.layouts))  # takes np.bool, too
        self._offsets = _offsets(self.head.size, self.layouts)
        self._end = self._offsets.pop()
        self.size = self._end + 8
        self._only = _only(self.layouts)
        self._usual = struct.Struct(_USUAL.format(self.layouts[0].size if self.layouts else 0))

    def encode(
        self,
        agents: Sequence[Outcome],
        step: int = 0,
        applied: int = 0,
        game_time: int = 0,
        status: int = Status.RUNNING,
        info: dict[str, Any] | None = None,
    ) -> bytes | bytearray:
        """Write a body; arguments as in `Observation`.

        Raises:
            InvalidValue: an observation or the info cannot be sent; the text names the key.
        """
        if self._only is not None and not info and len(agents) == 1 and agents[0][3]:
            reward, terminated, truncated, alive, observation = agents[0]
            head = self._head(
                step, applied, game_time, status, 1, reward, terminated, truncated, alive
            )
            return self._only.between(head, observation, _NO_INFO)
        tail = write_json(info) if info else b""
        buffer = bytearray(self.size + len(tail))
        self.encode_into(buffer, agents, step, applied, game_time, status, tail)
        return buffer

    def encode_into(
        self,
        buffer: Buffer,
        agents: Sequence[Outcome],
        step: int = 0,
        applied: int = 0,
        game_time: int = 0,
        status: int = Status.RUNNING,
        tail: bytes = b"",
    ) -> int:
        """Write a body to the front of a buffer that is zero or was written by this codec.

        Arguments are those of `encode`, but `tail` is the info as JSON already, or nothing.

        Returns:
            The length of the body in bytes.

        Raises:
            InvalidValue: an observation cannot be sent, or the buffer is too small.
        """
        length = self.size + len(tail)
        if len(buffer) < length or len(agents) != len(self.layouts):
            raise InvalidValue(f"{len(agents)} agents for {len(self.layouts)}, or no room")
        facts = chain.from_iterable([agent[:4] for agent in agents])
        buffer[: self.head.size] = self._head(step, applied, game_time, status, len(agents), *facts)
        for layout, offset, agent in zip(self.layouts, self._offsets, agents, strict=True):
            if agent.alive:
                layout.node.encode(buffer, offset, agent.observation)
            else:
                buffer[offset : offset + layout.size] = bytes(layout.size)
        _PAIR.pack_into(buffer, self._end, len(tail), 0)
        if tail:
            buffer[self.size : length] = tail
        return length

    def decode(self, buffer: bytes | Buffer, copy: bool = True) -> Observation:
        """Read a body.

        Args:
            buffer: the body, and nothing else.
            copy: whether arrays own their memory; else they are views of the buffer.

        Raises:
            ProtocolError: it is no body of OBS of this game.
        """
        if self._only is not None and len(buffer) == self.size:
            step, applied, game_time, state, reward, flags, tail = self._usual.unpack_from(buffer)
            if state == _RUNNING and flags == _ALIVE and not tail:
                # as Outcome(...) and Observation(...) would do it, in half the time
                seen = self._only.decode(buffer, self.head.size, copy)
                agent = _new(Outcome, (reward, False, False, True, seen))
                return _new(Observation, (step, applied, game_time, _GOES_ON, [agent], {}))
        _check_length(len(buffer), self.size, Type.OBS)
        step, applied, game_time, status, count, *facts = self.head.unpack_from(buffer)
        if count != len(self.layouts) or status > Status.CLOSING:
            raise ProtocolError(f"OBS of {count} agents with status {status}")
        agents = [self._outcome(buffer, i, facts[4 * i : 4 * i + 4], copy) for i in range(count)]
        info = self._info(buffer)
        return Observation(step, applied, game_time, _STATUS[status], agents, info)

    def _head(self, *facts: Any) -> bytes:
        try:
            return self._writer.pack(*facts)
        except (struct.error, TypeError) as error:
            raise InvalidValue(f"step, times, rewards or flags: {error}") from None

    def _outcome(self, buffer: Any, i: int, facts: list[Any], copy: bool) -> Outcome:
        reward, terminated, truncated, alive = facts
        if terminated > 1 or truncated > 1 or alive > 1:
            raise ProtocolError("OBS with a flag that is neither 0 nor 1")
        node = self.layouts[i].node
        observation = node.decode(buffer, self._offsets[i], copy) if alive else None
        return Outcome(reward, terminated == 1, truncated == 1, alive == 1, observation)

    def _info(self, buffer: bytes | Buffer) -> dict[str, Any]:
        length, zero = _PAIR.unpack_from(buffer, self._end)
        if length != len(buffer) - self.size or zero:
            raise ProtocolError(f"OBS with an info of {length} bytes: {len(buffer) - self.size}")
        return read_json(buffer[self.size :], Type.OBS) if length else {}


class ActionCodec:
    """Writes and reads bodies of STEP and ACTION.

    Attributes:
        size: bytes of a body.
    """

    def __init__(self, spec: Spec) -> None:
        self.layouts = spec.actions
        self._offsets, end = [], 8
        for layout in self.layouts:
            self._offsets.append(end)
            end += 8 + layout.size
        self.size = end
        self._only = _only(self.layouts)

    def encode(self, actions: Sequence[Any]) -> bytes | bytearray:
        """Write a body: for each agent its action, or None if it does not act.

        Raises:
            InvalidValue: an action cannot be sent; the text names the key.
        """
        if self._only is not None and len(actions) == 1 and actions[0] is not None:
            return self._only.between(_ONLY_ACTS, actions[0], b"")
        buffer = bytearray(self.size)
        self.encode_into(buffer, actions)
        return buffer

    def encode_into(self, buffer: Buffer, actions: Sequence[Any]) -> int:
        """Write a body into a buffer that is zero or was written by this codec.

        Returns:
            The length of the body in bytes.

        Raises:
            InvalidValue: an action cannot be sent, or the buffer is too small.
        """
        if len(buffer) < self.size or len(actions) != len(self.layouts):
            raise InvalidValue(f"{len(actions)} actions for {len(self.layouts)}, or no room")
        _PAIR.pack_into(buffer, 0, len(actions), 0)
        for layout, offset, action in zip(self.layouts, self._offsets, actions, strict=True):
            if action is None:
                buffer[offset : offset + 8 + layout.size] = bytes(8 + layout.size)
            else:
                _U64.pack_into(buffer, offset, 1)
                layout.node.encode(buffer, offset + 8, action)
        return self.size

    def decode(self, buffer: bytes | Buffer, copy: bool = True) -> list[Any]:
        """Read a body: for each agent its action, or None.

        Raises:
            ProtocolError: it is no body of STEP or ACTION for this game.
        """
        if self._only is not None and len(buffer) == self.size and buffer[:16] == _ONLY_ACTS:
            return [self._only.decode(buffer, 16, copy)]
        _check_length(len(buffer), self.size, Type.STEP)
        count, zero = _PAIR.unpack_from(buffer)
        if count != len(self.layouts) or zero or len(buffer) != self.size:
            raise ProtocolError(f"actions of {count} agents in {len(buffer)} bytes: {self.size}")
        return [self._action(buffer, i, copy) for i in range(count)]

    def _action(self, buffer: bytes | Buffer, i: int, copy: bool) -> Any:
        offset = self._offsets[i]
        acts = _U64.unpack_from(buffer, offset)[0]
        if acts > 1:
            raise ProtocolError("an action with a flag that is neither 0 nor 1")
        return self.layouts[i].node.decode(buffer, offset + 8, copy) if acts else None


_STATUS = tuple(Status)
_NO_INFO = bytes(8)
# OBS without info of one agent that is alive and goes on: status and count are one number, its flags another, so is the tail.
_USUAL = "<QQQQdQ{}xQ"
_GOES_ON = Status.RUNNING
_RUNNING = Status.RUNNING | 1 << 32
_ALIVE = 1 << 16
_ONLY_ACTS = _PAIR.pack(1, 0) + _U64.pack(1)
_new = tuple.__new__


def _only(layouts: Sequence[Layout]) -> Node | None:
    """The layout of the only agent: the usual case, which is worth a short way."""
    return layouts[0].node if len(layouts) == 1 else None


def _check_length(length: int, least: int, type: Type) -> None:  # noqa: A002
    if length < least:
        raise ProtocolError(f"{type.name} of {length} bytes, of {least} at least")


def _offsets(start: int, layouts: Sequence[Any]) -> list[int]:
    """Where each layout begins, and the end of the last."""
    offsets = [start]
    for layout in layouts:
        offsets.append(offsets[-1] + layout.size)
    return offsets
