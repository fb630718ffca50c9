"""What the sanity environments share: parameters, episode bookkeeping, typed errors and pictures."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from gymnasium import logger, spaces
from gymnasium.error import InvalidAction

from tropism.envs.core.baselines import Baseline
from tropism.envs.core.random import Key, below, bits, episode_key
from tropism.envs.core.single import ReferenceEnv, need_reset
from tropism.envs.core.uniform import UniformBaseline
from tropism.errors import UnknownNameError

CELL = 24
"""Pixels of one square of a picture."""
PALETTE = np.array(
    [
        (34, 34, 40),
        (0, 114, 178),
        (230, 159, 0),
        (0, 158, 115),
        (213, 94, 0),
        (240, 240, 240),
        (110, 110, 120),
    ],
    dtype=np.uint8,
)
"""Colours safe for the colour-blind (Okabe & Ito 2008, https://jfly.uni-koeln.de/color/)."""
EMPTY, BLUE, YELLOW, GREEN, RED, WHITE, GREY = range(7)


@dataclass(frozen=True)
class NoParams:
    """Nothing to choose."""


class SanityEnv(ReferenceEnv):
    """A short task: subclasses say how it starts, what a step does, what is seen and how it looks.

    Args:
        render_mode: ``"rgb_array"``, ``"ansi"`` or ``None``.
        overrides: fields of the environment's ``Params``.

    Raises:
        UnknownNameError: for a parameter the environment does not have.
        OptionError: for a value out of range.
    """

    metadata: dict[str, Any] = ReferenceEnv.metadata | {
        "render_modes": ["rgb_array", "ansi"],
        "render_fps": 4,
    }
    baselines = ("random", "heuristic", "oracle")
    Params: ClassVar[type] = NoParams
    """Frozen dataclass of the parameters."""
    players: ClassVar[Mapping[str, Callable[[int, Any], Baseline]]]
    """The baselines besides ``random``, built from the number of lanes and the parameters."""

    def __init__(self, render_mode: str | None = None, **overrides: Any) -> None:
        super().__init__(render_mode)
        known = [field.name for field in fields(self.Params)]
        for name in overrides:
            if name not in known:
                raise UnknownNameError(f"parameter of {type(self).__name__}", name, known)
        self.params: Any = self.Params(**overrides)
        self.observation_space, self.action_space = self._spaces()
        self.t = 0
        self._running: bool | None = None
        self._words: Key = (0, 0)
        self.last_reward = 0.0

    # -- Gymnasium ------------------------------------------------------------------------------------------

    def _begin(
        self, key: Key, episode: int, options: Mapping[str, Any]
    ) -> tuple[Any, dict[str, Any]]:
        self._words = episode_key(key, episode)
        self._start(options)
        self.t, self.last_reward, self._running = 0, 0.0, True
        return self._see(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Play ``action``.

        Raises:
            gymnasium.error.ResetNeeded: before the first reset, or after the episode has ended.
            gymnasium.error.InvalidAction: for an action outside the action space.
        """
        if not self._running:
            raise need_reset(
                "before the first reset()"
                if self._running is None
                else "after the end of the episode"
            )
        reward, terminated = self._play(self._valid(action))
        self.t += 1
        self.last_reward, self._running = float(reward), not terminated
        return self._see(), self.last_reward, terminated, False, {}

    def render(self) -> Any:
        """The picture (``uint8[height, width, 3]``) or the line of text that ``render_mode`` asks for."""
        if self.render_mode == "ansi":
            return self._text()
        if self.render_mode == "rgb_array":
            cells = self._picture().repeat(CELL, 0).repeat(CELL, 1)
            cells[::CELL], cells[:, ::CELL] = EMPTY, EMPTY  # a thin line between the squares
            return PALETTE[cells]
        return logger.warn('render() needs a mode: gym.make(id, render_mode="rgb_array" or "ansi")')

    def make_baseline(self, name: str, num_lanes: int) -> Baseline:
        """The baseline ``name`` for ``num_lanes`` lanes.

        Raises:
            UnknownNameError: for a name not in :attr:`baselines`.
        """
        if name == "random":
            return UniformBaseline(num_lanes, self.action_space)
        if name not in self.players:
            raise UnknownNameError(f"baseline of {type(self).__name__}", name, self.baselines)
        return self.players[name](num_lanes, self.params)

    # -- what a task defines --------------------------------------------------------------------------------

    @abstractmethod
    def _spaces(self) -> tuple[spaces.Space[Any], spaces.Space[Any]]:
        """Observation and action space, new ones: a seeded space must not be shared."""

    @abstractmethod
    def _start(self, options: Mapping[str, Any]) -> None:
        """Set the state at the start of an episode."""

    @abstractmethod
    def _play(self, action: Any) -> tuple[float, bool]:
        """Reward of ``action`` at step ``self.t``, and whether the episode has ended."""

    @abstractmethod
    def _see(self) -> Any:
        """The observation of step ``self.t``, freshly made."""

    @abstractmethod
    def _picture(self) -> npt.NDArray[np.int64]:
        """Palette indices ``[rows, columns]``."""

    @abstractmethod
    def _text(self) -> str:
        """The same in a line or two."""

    # -- helpers --------------------------------------------------------------------------------------------

    def _draw(self, n: int, counter: int, stream: int) -> int:
        """A number in ``[0, n)`` that depends on the episode, ``counter`` and ``stream`` only."""
        return below(bits(self._words, counter, stream), n)

    def _valid(self, action: Any) -> Any:
        space = self.action_space
        if isinstance(space, spaces.Box):  # learners send float64 or lists too
            try:
                action = np.asarray(action, dtype=space.dtype)
            except (TypeError, ValueError):
                raise InvalidAction(
                    f"action must be an element of {space}, got {action!r}"
                ) from None
        if isinstance(action, (bool, np.bool_)) or not space.contains(action):
            raise InvalidAction(f"action must be an element of {space}, got {action!r}")
        return action


def hit(reward: float) -> int:
    """Palette index of the outcome of a step: green above zero, red otherwise."""
    return GREEN if reward > 0 else RED
