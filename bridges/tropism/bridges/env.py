"""``tropism/Bridge-v0``: a game on the other side of the bridge as a ``gymnasium.Env``."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded

from tropism.bridges.errors import ProtocolError, SpecMismatch
from tropism.bridges.faults import OnFault
from tropism.bridges.keeper import Keeper
from tropism.bridges.launcher import Command
from tropism.bridges.options import game_options
from tropism.bridges.protocol.bodies import Observation
from tropism.bridges.session import Session
from tropism.bridges.stats import Stats
from tropism.bridges.values import ValueCheck
from tropism.errors import OptionError, UnknownNameError

Step = tuple[Any, float, bool, bool, dict[str, Any]]
Received = tuple[Any, float, bool, bool, dict[str, Any], dict[str, Any]]


class BridgeEnv(gymnasium.Env[Any, Any]):
    """A game with one agent, in a process of its own, in whatever language.

    Spaces, rewards and info are the game's.  ``info["bridge"]`` has ``step``, the number of the step in its episode; after one
    that took more than a twentieth of its deadline ``late_ms``; after a fault that ended the episode ``fault``, a dict with ``error``,
    ``text``, ``phase``, ``seq``, ``waited_s`` and ``game``; and in latest-frame mode ``age_ms``, ``dropped``, ``applied_lag``
    and ``late``, see :class:`tropism.bridges.live.Frame`.

    Args:
        command: argument vector of a game to launch, which dials us; or a function from our address to one.
        address: of a game that listens, such as ``tcp://127.0.0.1:5560``, instead.
        listen: our address, for a game that somebody else starts and that dials us, instead.
        env_id: instead of all these an environment of Gymnasium, served by a fresh interpreter: an id, ``module:id`` or
            ``module:function``.
        env_kwargs: arguments of that environment, as JSON can say them.
        interpreter: Python to serve it with, such as that of another virtual environment; None: this one.
        fps: frames a second if that environment is played in latest-frame mode.
        transport: ``auto``, ``shm``, ``tcp``, ``unix`` or ``ws``.
        mode: ``lockstep``, or ``latest`` for a game that runs at its own rate.
        patience_s: in latest-frame mode, seconds to wait for a frame that shows the effect of the action.
        on_fault: ``raise``, ``truncate`` or ``restart``, or a :class:`tropism.bridges.faults.OnFault`.
        deadlines: seconds by phase, see :class:`tropism.bridges.options.Deadlines`; some of them are enough.
        check_values: ``warn``, ``clip``, ``raise`` or ``off``: about NaN, infinity and values out of bounds, in actions
            and observations.
        observation_space: that the game must have; None: any.
        action_space: the same.
        record: file (``.gbr``) to record to.
        render_mode: ``rgb_array`` or None.
        connect: wait for the game now; else call :meth:`connect` before anything else, so that several games can start
            at the same time.
        options: further fields of :class:`tropism.bridges.options.GameOptions`.

    Raises:
        OptionError: an argument is wrong, or the game does not render.
        SpecMismatch: the game has several agents (use ``BridgeParallelEnv``) or other spaces than expected.
        ConnectTimeout: nobody came.
        BridgeError: the game could not be started or agreed with.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 30}  # noqa: RUF012  as Gymnasium types it

    def __init__(
        self,
        command: Command | None = None,
        *,
        on_fault: OnFault | Mapping[str, Any] | str = "raise",
        patience_s: float = 0.1,
        check_values: str = "warn",
        observation_space: spaces.Space[Any] | None = None,
        action_space: spaces.Space[Any] | None = None,
        record: str | None = None,
        render_mode: str | None = None,
        connect: bool = True,
        **options: Any,
    ) -> None:
        if render_mode not in (None, "rgb_array"):
            raise UnknownNameError("render mode", render_mode, ["rgb_array"])
        self.render_mode, self._policy = render_mode, check_values
        self._keeper = Keeper(
            game_options(command, render_mode=render_mode, **options),
            OnFault.of(on_fault),
            patience_s,
            {0: (observation_space, action_space)},
            record,
        )
        self._running, self._last, self._step = False, None, 0
        if connect:
            self.connect()

    def connect(self) -> None:
        """Wait for the game; needed only after ``connect=False``."""
        self._keeper.connect()
        try:
            self._settle()
        except BaseException:
            self.close()
            raise

    def _settle(self) -> None:
        """Take over what the game is."""
        spec = self._keeper.spec
        if len(spec.agents) != 1:
            raise SpecMismatch("agents", "one (BridgeParallelEnv takes more)", len(spec.agents))
        agent = spec.agents[0]
        self.observation_space, self.action_space = agent.observation_space, agent.action_space
        self._check_action = ValueCheck(self.action_space, self._policy, "action")
        self._check_observation = ValueCheck(self.observation_space, self._policy, "observation")
        renders = "render" in self.session.caps
        if self.render_mode is not None and not renders:
            raise OptionError(f"the game {spec.name!r} does not render")
        self.metadata = {**self.metadata, "render_modes": ["rgb_array"] if renders else []}
        fps = spec.about.get("metadata", {})
        if isinstance(fps, dict) and isinstance(fps.get("render_fps"), (int, float)):
            self.metadata["render_fps"] = fps["render_fps"]

    # -- facts ----------------------------------------------------------------------------------------------

    @property
    def session(self) -> Session:
        """The present session: the game's specification, capabilities, process and events."""
        return self._keeper.session

    @property
    def stats(self) -> Stats:
        """Counters of the present session."""
        return self._keeper.session.stats

    @property
    def num_faults(self) -> int:
        """How many faults there were so far."""
        return self._keeper.faults.total

    # -- Gymnasium ------------------------------------------------------------------------------------------

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin an episode; a game that is gone, or owes an answer, is started anew.

        Args:
            seed: in [0, 2^53), or None.
            options: the game's own affair; anything JSON can say, and arrays.

        Raises:
            ResetTimeout: no answer in time.
            BridgeError: the game is gone or at fault.
        """
        self.send_reset(seed, options)
        return self.receive_reset()

    def step(self, action: Any) -> Step:
        """One step of the game.

        Raises:
            ResetNeeded: no episode is running.
            InvalidValue: the action has no place in its space.
            StepTimeout: no answer in time.  A further step may be tried; a reset starts the game anew unless the answer has
                come meanwhile.
            BridgeError: the game is gone or at fault; the next reset starts it anew.
        """
        self.send_step(action)
        return self.receive_step()

    def render(self) -> Any:
        """A picture from the game, ``uint8[height, width, 3]``, or None without a render mode."""
        return None if self.render_mode is None else picture(self.call("render"))

    def call(self, name: str, args: Any = None) -> Any:
        """Call a function of the game; see :meth:`tropism.bridges.session.Session.call`."""
        return self.session.call(name, args)

    def close(self) -> None:
        """End the session and the game that was launched for it; a second call does nothing."""
        self._keeper.close()

    # -- the two halves of each, for vectors ----------------------------------------------------------------

    def send_reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        """Ask for an episode."""
        super().reset(seed=seed)
        self._running = False
        self._keeper.send_reset(seed, options)

    def receive_reset(self) -> tuple[Any, dict[str, Any]]:
        """The answer to it."""
        answer = self._keeper.receive_reset()
        self._running = True
        observation, _, _, _, info, facts = self._taken(answer)
        return observation, {**info, "bridge": {"step": 0, **facts}}

    def send_step(self, action: Any) -> None:
        """Send an action."""
        if not self._running:
            raise ResetNeeded("step() was called before reset(), or after the end of an episode")
        if self._check_action.needed:
            action = self._check_action(action)
        self._keeper.send_step((action,))

    def receive_step(self) -> Step:
        """The answer to it."""
        observation, reward, terminated, truncated, info, facts = self.receive_outcome()
        info = {**info, "bridge": {"step": self._step, **facts}}
        return observation, reward, terminated, truncated, info

    def receive_outcome(self) -> Received:
        """The same with the game's own info, and apart from it what ``info["bridge"]`` has beside ``step``."""
        answer = self._keeper.receive_step()
        if answer is None:
            self._running = False
            fault = {"fault": dict(self._keeper.fault or {})}
            return deepcopy(self._last), 0.0, False, True, {}, fault
        return self._taken(answer)

    # -- details --------------------------------------------------------------------------------------------

    def _taken(self, answer: Observation) -> Received:
        """What an answer holds, once its numbers are checked."""
        reward, terminated, truncated, alive, observation = answer.agents[0]
        if not alive:
            raise ProtocolError("OBS without an observation of the only agent")
        if self._check_observation.needed:
            observation = self._check_observation(observation)
        self._last, self._step = observation, answer.step
        if terminated or truncated:
            self._running = False
        return observation, reward, terminated, truncated, answer.info, self._keeper.facts(answer)


def picture(frame: Any) -> np.ndarray:
    """What a game has rendered.

    Raises:
        ProtocolError: it is no picture.
    """
    if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8 or frame.ndim != 3:
        raise ProtocolError("the game renders something that is no picture")
    return frame
