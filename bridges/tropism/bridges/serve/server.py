"""Any environment as a game: in lock-step, or live at its own rate."""

from __future__ import annotations

import logging
import math
import time
from typing import Any

import numpy as np
from gymnasium import spaces

from tropism.bridges.errors import BridgeError, InvalidValue
from tropism.bridges.game import Action, Close, Game, Reset, Step
from tropism.bridges.requests import by_agent
from tropism.bridges.serve.hosts import Frame, Host, host
from tropism.errors import OptionError

log = logging.getLogger(__name__)


def serve(env: Any, **options: Any) -> None:
    """Let agents play an environment until they are gone for good, then close it.

    Args:
        env: see `Server`.
        **options: see `Server`.
    """
    with Server(env, **options) as server:
        server.run()


class Server:
    """An environment that agents can play through the bridge; a context manager.

    What cannot be sent of an info is left out, with one warning in the log. `render` is a call if the environment has a
    render mode that returns something. An exception of the environment is told to the agent and ends its session.

    Args:
        env: a `gymnasium.Env`, a `pettingzoo.ParallelEnv` or `AECEnv`, or a function that makes one.
        name: of the game; None: the environment's own.
        fps: frames a second in latest-frame mode; None: the game does not offer that mode.
        idle: the action that the environment gets live until the first one comes, for several agents a dict by id;
            None: the nearest to zero. Later actions are held.
        **options: of `Game`: `address`, `listen`, `token`, `on_agent_lost`, `record`.

    Attributes:
        address: dialled or listened at.

    Raises:
        OptionError: `env` is no environment, `fps` no rate, or see `Game`.
    """

    def __init__(
        self,
        env: Any,
        *,
        name: str | None = None,
        fps: float | None = None,
        idle: Any = None,
        **options: Any,
    ) -> None:
        if fps is not None and not 0 < fps < math.inf:
            raise OptionError(f"fps must be finite and > 0, got {fps!r}")
        made = env() if isinstance(env, type) or not hasattr(env, "reset") else env
        self.host: Host = host(made, name, hold=fps is not None)
        self._period = None if fps is None else 1.0 / fps
        calls = {}
        if getattr(made, "render_mode", None) not in (None, "human"):
            calls["render"] = lambda _: self.host.render()
        self.game = Game(self.host.spec, calls=calls, live=fps is not None, **options)
        self.address = self.game.address
        self._idle = self._idle_actions() if idle is None else by_agent(self.host.spec, idle)
        self._actions = self._idle
        self._next_tick: float | None = None  # when to simulate, in latest-frame mode

    def run(self) -> None:
        """Answer requests until the agent is gone and no other is waited for.

        Raises:
            Exception: of the environment, if no other agent is waited for.
        """
        while not isinstance(request := self._wait(), Close):
            # that agent may have gone, and perhaps another one has come
            if self._next_tick is not None and not self.game.playing:
                self._next_tick = None
            try:
                self._answer(request)
            except InvalidValue as error:  # the agent's mistake
                self.game.fail(error)
            except Exception as error:
                self.game.fail(BridgeError(f"{type(error).__name__}: {error}"))
                if self.game.over:
                    raise
                log.exception("the environment has failed; waiting for the next agent")

    def close(self) -> None:
        """Close the game and the environment."""
        self.game.close()
        self.host.close()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _wait(self) -> Any:
        if self._period is None:
            return self.game.next_request()
        return self.game.newest(self._until_tick())

    def _answer(self, request: Any) -> None:
        if isinstance(request, Step):
            self._show(self.host.step(by_agent(self.host.spec, request.action)))
        elif isinstance(request, Reset):
            self._actions, self._next_tick = self._idle, None
            self._show(self.host.reset(request.seed, request.options))
            self._schedule(time.monotonic())
        elif isinstance(request, Action):
            self._actions = by_agent(self.host.spec, request.action)
        elif self._next_tick is not None and time.monotonic() >= self._next_tick:
            self._tick(self._next_tick)

    def _tick(self, now: float) -> None:
        frame = self.host.step(self._actions)
        self._show(frame)
        if any(a.alive and not (a.terminated or a.truncated) for a in frame.outcomes):
            self._schedule(now)
        else:
            self._next_tick = None

    def _show(self, frame: Frame) -> None:
        try:
            self.game.show(frame.outcomes, frame.info)
        except InvalidValue as error:
            raise TypeError(f"the environment breaks its observation space: {error}") from error

    def _schedule(self, since: float) -> None:
        if self.game.mode == "latest" and self._period is not None:
            self._next_tick = max(
                since + self._period, time.monotonic()
            )  # never catch up in a burst

    def _until_tick(self) -> float | None:
        return None if self._next_tick is None else max(self._next_tick - time.monotonic(), 0.0)

    def _idle_actions(self) -> list[Any]:
        return [idle_action(agent.action_space) for agent in self.host.spec.agents]


def idle_action(space: spaces.Space) -> Any:
    """The action nearest to doing nothing: the first choice, the number nearest to zero."""
    if isinstance(space, spaces.Box):
        return np.clip(np.zeros(space.shape, space.dtype), space.low, space.high)
    if isinstance(space, (spaces.Discrete, spaces.MultiDiscrete)):
        return space.start
    if isinstance(space, spaces.MultiBinary):
        return np.zeros(space.shape, space.dtype)
    if isinstance(space, spaces.Dict):
        return {key: idle_action(part) for key, part in space.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(idle_action(part) for part in space)
    return space.sample()
