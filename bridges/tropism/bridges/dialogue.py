"""What a game says in a session: it takes requests, answers calls, shows frames."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tropism.bridges.errors import BridgeError, InvalidValue, ProtocolError, UnexpectedMessage
from tropism.bridges.jsonable import from_json, to_json
from tropism.bridges.link import Link
from tropism.bridges.protocol.bodies import ActionCodec, ObsCodec, Outcome, Status
from tropism.bridges.protocol.header import Type, is_newer, name_of, next_seq
from tropism.bridges.protocol.messages import Message, read_json, write_json
from tropism.bridges.protocol.spec import Spec
from tropism.bridges.requests import (
    Action,
    Close,
    Request,
    Step,
    checker,
    read_reset,
    status_of,
)

RESET, STEP = int(Type.RESET), int(Type.STEP)
_new = tuple.__new__
REQUESTS = frozenset((RESET, STEP, int(Type.ACTION)))
log = logging.getLogger(__name__)
FLUSH_S = 0.01
"""How often a frame that the agent has no room for is tried again while the game waits, in seconds."""


class Dialogue:
    """Turns messages into requests and outcomes into messages; `Game` tells the arguments.

    Attributes:
        due: the RESET or STEP that waits for its answer.
        began: whether a RESET has come in this session.
        dropped: frames that were never sent.
    """

    def __init__(
        self,
        spec: Spec,
        link: Link,
        calls: Mapping[str, Callable[[Any], Any]],
        on_event: Callable[[str, Any], None] | None,
    ) -> None:
        self.dropped = 0
        self._link, self._calls, self._on_event = link, calls, on_event
        self._agents = spec.agents
        self._checks = [checker(agent.action_space, agent.id) for agent in spec.agents]
        self._actions, self._frames = ActionCodec(spec), ObsCodec(spec)
        self._warned: set[str] = set()
        self._forget()

    def look(self, timeout: float | None) -> Request | None:
        """The next request, or None if something else came or the time ran out."""
        link = self._link
        if link.channel is None:
            return self._connect(timeout)
        if link.mode == "latest" and self._unsent():
            timeout = FLUSH_S if timeout is None else min(timeout, FLUSH_S)
        message = link.receive(timeout)
        if message is None:
            return None
        try:
            return self._take(message)
        except BridgeError as error:  # the agent's mistakes; those of the game are raised elsewhere
            link.refuse(error)
            self._forget()
            return None

    def show(
        self,
        agents: Sequence[Outcome],
        info: dict[str, Any] | None,
        status: Status | None,
        time: int,
    ) -> None:
        """Show the agent what has become of its request, or a new frame; see `Game.observe`."""
        due = self.due
        if self._link.channel is None:
            return
        if due is None and (self._link.mode == "lockstep" or not self.began):
            raise BridgeError("observe() answers a request, and there is none")
        first = due is not None and due[0] == RESET
        if first:
            agents = [a._replace(reward=0.0, terminated=False, truncated=False) for a in agents]
        self._step = step = 0 if first else self._step + 1
        status = status_of(agents, first) if status is None else status
        info = self._jsonable(info) if info else None
        body = self._frames.encode(agents, step, self._last, time, status, info)
        self.due = None
        self._send_frame(body)

    def _connect(self, timeout: float | None) -> Close | None:
        if self._link.over:
            return Close(self._link.reason)
        if self._link.connect(timeout):
            self._forget()
        return None

    def _take(self, message: Message) -> Request | None:
        kind, seq = message[:2]
        if kind in REQUESTS:
            newer = seq == self._last + 1 or is_newer(seq, self._last)
            return self._take_request(message) if newer else None
        if kind == Type.CALL:
            self._answer(read_json(message.body, kind))
        elif kind == Type.EVENT:
            event = read_json(message.body, kind)
            if self._on_event is not None:
                self._on_event(str(event.get("name")), from_json(event.get("data")))
        elif kind != Type.PONG:
            raise UnexpectedMessage(f"{name_of(kind)} while running")
        return None

    def _take_request(self, message: Message) -> Request:
        kind = message.type
        if kind == RESET:
            reset = read_reset(message)
            self._last, self._episode, self.due = message.seq, message.episode, message
            self.began = True
            return reset
        if not self.began:
            raise UnexpectedMessage(f"{name_of(kind)} before the first RESET")
        if (kind == STEP) != (self._link.mode == "lockstep"):
            raise UnexpectedMessage(f"{name_of(kind)} in mode {self._link.mode}")
        action = self._read_action(message)
        self._last = message.seq
        if kind == STEP:
            self.due = message
            return _new(Step, (action,))
        return Action(action)

    def _read_action(self, message: Message) -> Any:
        body = message.body
        actions = self._actions.decode(body, type(body) is not bytearray)  # which is ours to keep
        for i, action in enumerate(actions):
            if action is not None:
                self._checks[i](action)
        return actions[0] if len(actions) == 1 else self._by_id(actions)

    def _by_id(self, actions: list[Any]) -> dict[str, Any]:
        pairs = zip(self._agents, actions, strict=True)
        return {agent.id: action for agent, action in pairs if action is not None}

    def _answer(self, call: dict[str, Any]) -> None:
        name, number = str(call.get("name")), call.get("id")
        if not isinstance(number, int):
            raise ProtocolError(f"CALL {name}: its id is {number!r}, not an integer")
        reply: dict[str, Any] = {"id": number}
        try:
            if name not in self._calls:
                raise InvalidValue(f"no such call: {name!r}; known: {sorted(self._calls)}")
            reply["result"] = to_json(self._calls[name](from_json(call.get("args"))))
        except Exception as error:  # whatever the game's function raises concerns the caller
            reply["error"] = f"{type(error).__name__}: {error}"
        self._link.send(Type.REPLY, write_json(reply))

    def _send_frame(self, body: Any) -> None:
        if self._link.mode == "lockstep":
            self._link.send(Type.OBS, body, self._last, self._episode)
            return
        self.dropped += self._frame is not None
        self._frame = body, self._episode
        self._unsent()

    def _unsent(self) -> bool:
        """Try to send the newest frame; whether anything is left that the agent has no room for."""
        free = self._link.can_send()
        if self._frame is None or not free:
            return not free
        body, episode = self._frame
        self._frame, self._shown = None, next_seq(self._shown)
        self._link.send(Type.OBS, body, self._shown, episode)
        return not self._link.can_send()

    def _jsonable(self, info: dict[str, Any]) -> dict[str, Any]:
        dropped: list[str] = []
        result = to_json(info, dropped)
        for path in set(dropped) - self._warned:
            self._warned.add(path)
            log.warning("the info %r cannot be sent: JSON cannot hold it", path)
        return result

    def _forget(self) -> None:
        """Begin a session, in which nothing has happened."""
        self.due: Message | None = None  # the request that waits for its answer
        self._frame: Any = None  # the newest one, while the agent has no room for it
        self.began = False
        self._last = self._episode = self._step = self._shown = 0
