"""The client library for games written in Python: answer requests one after the other.

    spec = Spec("pong", [AgentSpec("player", observation_space, action_space)])
    with Game(spec) as game:  # dials the agent that launched it
        for request in game:
            if isinstance(request, Reset):
                world = World(request.seed)
            else:
                world.step(request.action)
            game.observe(world.pixels(), world.reward, terminated=world.lost)

A game that cannot wait for its agent calls `Game.newest` in each turn of its own loop instead.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from tropism.bridges.dialogue import Dialogue
from tropism.bridges.errors import BridgeError
from tropism.bridges.jsonable import to_json
from tropism.bridges.link import Link
from tropism.bridges.protocol.bodies import Outcome, Status
from tropism.bridges.protocol.header import Type, name_of
from tropism.bridges.protocol.messages import write_json
from tropism.bridges.protocol.spec import AgentSpec, Spec
from tropism.bridges.record import Recorder
from tropism.bridges.requests import (
    Action,
    Close,
    Request,
    Reset,
    Step,
    outcomes,
)
from tropism.errors import OptionError

__all__ = ["Action", "AgentSpec", "Close", "Game", "Request", "Reset", "Spec", "Step"]

log = logging.getLogger(__name__)
MOST_AT_ONCE = 1000
"""How many actions are looked through for the newest one, so that no agent can keep a game busy."""


class Game:
    """A game, for agents that come one after the other; a context manager.

    Args:
        spec: name, agents with their spaces, and what else an agent should know.
        address: of the agent, to dial. If neither this nor `listen` is given, the environment variables of the agent
            that launched the game say it.
        listen: address to wait for agents at, such as "tcp://127.0.0.1:0", where 0 chooses a free port.
        token: the secret, 64 hexadecimal digits; with the environment variables theirs is taken.
        calls: functions that an agent may call by name, each with one argument, any JSON; what they return may have
            arrays. "render" is what `render` of the environment calls.
        on_event: is called with the name and the data of each EVENT of the agent.
        on_agent_lost: "exit" ends the requests when an agent is gone, "wait" waits for the next one; None: "wait" if the
            game listens, else "exit".
        live: the game can play in latest-frame mode as well (`newest`).
        seed: the game obeys seeds.
        record: path of a file to record all sessions to.
        spin_us: microseconds to look for a request in shared memory before sleeping; None: decided by what happens.

    Raises:
        OptionError: it is not said where to find an agent.
        PortInUse: the address to listen at is taken.
    """

    def __init__(
        self,
        spec: Spec,
        *,
        address: str | None = None,
        listen: str | None = None,
        token: str | None = None,
        calls: Mapping[str, Callable[[Any], Any]] | None = None,
        on_event: Callable[[str, Any], None] | None = None,
        on_agent_lost: str | None = None,
        live: bool = False,
        seed: bool = True,
        record: str | os.PathLike[str] | None = None,
        spin_us: float | None = None,
    ) -> None:
        if on_agent_lost not in (None, "exit", "wait"):
            raise OptionError(f"on_agent_lost={on_agent_lost!r}: expected 'exit' or 'wait'")
        self.spec, self._calls = spec, dict(calls or {})
        self._recorder = None if record is None else Recorder(record, {"name": spec.name})
        self._link = Link(
            spec,
            self._caps(self._calls, live, seed),
            address,
            listen,
            token,
            None if on_agent_lost is None else on_agent_lost == "wait",
            self._recorder,
            spin_us,
        )
        self._dialogue = Dialogue(spec, self._link, self._calls, on_event)
        self._ids = [agent.id for agent in spec.agents]

    @property
    def address(self) -> str:
        """Dialled or listened at; with the port that was chosen."""
        return self._link.address

    @property
    def connected(self) -> bool:
        """Whether an agent is there."""
        return self._link.open

    @property
    def playing(self) -> bool:
        """Whether an agent is there and has begun an episode."""
        return self.connected and self._dialogue.began

    @property
    def wait(self) -> bool:
        """Whether another agent will be waited for when this one is gone; may be set."""
        return self._link.wait

    @wait.setter
    def wait(self, wait: bool) -> None:
        self._link.wait = wait

    @property
    def over(self) -> bool:
        """Whether the agent is gone and no other is waited for."""
        return self._link.over

    @property
    def dropped(self) -> int:
        """How many frames were not sent because the agent did not read, in latest-frame mode."""
        return self._dialogue.dropped

    @property
    def mode(self) -> str:
        """The mode the agent wants: "lockstep" or "latest"."""
        return self._link.mode

    def __iter__(self) -> Iterator[Reset | Step | Action]:
        """Requests, one after the other, until the agent is gone and no other is waited for."""
        while not isinstance(request := self.next_request(), Close):
            if request is not None:
                yield request

    def next_request(self, timeout: float | None = None) -> Request | None:
        """Wait for the next request. Calls, events and pings are answered meanwhile, agents come and go.

        Args:
            timeout: seconds; None: for ever.

        Returns:
            None: nothing came in time.

        Raises:
            BridgeError: the last request was not answered by `observe`, or the dialled agent could not be agreed with.
        """
        due = self._dialogue.due
        if due is not None and self.connected and self.mode == "lockstep":
            raise BridgeError(f"{name_of(due.type)} must be answered by observe() first")
        if timeout is None:
            while (request := self._dialogue.look(None)) is None:
                pass
            return request
        end, request = time.monotonic() + timeout, self._dialogue.look(timeout)
        while request is None and (left := end - time.monotonic()) > 0:
            request = self._dialogue.look(left)
        return request

    def newest(self, timeout: float | None = 0.0) -> Request | None:
        """What a live game looks for in each turn of its loop: a reset, else the newest action, if there is one.

        Args:
            timeout: seconds to wait if there is nothing; None: for ever.
        """
        request = self.next_request(timeout)
        for _ in range(MOST_AT_ONCE):
            if not isinstance(request, Action) or (later := self.next_request(0.0)) is None:
                break
            request = later  # a reset does away with the action before it
        return request

    def observe(
        self,
        observation: Any,
        reward: Any = 0.0,
        terminated: Any = False,
        truncated: Any = False,
        info: dict[str, Any] | None = None,
        *,
        status: Status | None = None,
        game_time: int = 0,
    ) -> None:
        """Answer the last request; in latest-frame mode show a frame at any time after the first reset.

        If the agent has gone meanwhile, nothing happens.

        Args:
            observation: of the only agent; if the specification has several, a dict by id of those alive. One whose
                episode ends with this step still has one.
            reward: of the only agent; of several a dict by id. After a reset it is sent as 0, and so are the flags.
            terminated: the episode has come to an end of its own; of several agents a dict by id.
            truncated: the episode was cut short; likewise.
            info: anything that JSON or `jsonable` can hold; with several agents a dict for each id.
            status: of the game; None: as the flags say.
            game_time: the game's own clock, in nanoseconds.

        Raises:
            InvalidValue: the observation is not of its space; the text names the key.
            BridgeError: in lock-step, nothing was asked for.
        """
        if not self.connected:
            return
        agents = outcomes(self._ids, observation, reward, terminated, truncated)
        self.show(agents, info, status=status, game_time=game_time)

    def show(
        self,
        agents: Sequence[Outcome],
        info: dict[str, Any] | None = None,
        *,
        status: Status | None = None,
        game_time: int = 0,
    ) -> None:
        """The same as `observe` with an outcome for each agent, in the order of the specification."""
        self._dialogue.show(agents, info, status, game_time)

    def event(self, name: str, data: Any = None) -> None:
        """Tell the agent something that needs no answer."""
        body = write_json({"name": name, "data": to_json(data)})
        self._link.send(Type.EVENT, body)

    def fail(self, error: BridgeError) -> None:
        """Tell the agent that the game cannot go on, and end its session."""
        self._link.refuse(error)

    def close(self, reason: str = "the game has closed") -> None:
        """Say goodbye to the agent and wait for no other; a second call does nothing."""
        self._link.close(reason)
        if self._recorder is not None:
            self._recorder.close()

    def __enter__(self) -> Game:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @staticmethod
    def _caps(calls: Mapping[str, Any], live: bool, seed: bool) -> frozenset[str]:
        wanted = {"latest": live, "seed": seed, "call": bool(calls), "render": "render" in calls}
        return frozenset({"crc", "shm", "zlib", *(name for name, has in wanted.items() if has)})
