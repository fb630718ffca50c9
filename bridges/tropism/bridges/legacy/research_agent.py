"""Research v1, the agent's side: steps and resets of which none is lost, even with the original game loop.

The original game writes OBS_READY whenever a frame is done, whatever stands there; so a RESET that is written
while a frame is being made is overwritten, and one written right after an action takes its place. Therefore:
* nothing is written but when the flag is OBS_READY, for then the game only reads;
* each answer is verified by the step counter (one more after an action, 0 after a reset), and what a game
  overwrote all the same is written again.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium import spaces

from tropism.bridges.errors import (
    ConnectTimeout,
    GameExited,
    InvalidValue,
    ProtocolError,
    ShmCorrupt,
)
from tropism.bridges.legacy.research import Segment, Word, default_path


class Observation(NamedTuple):
    """What the game shows.

    Attributes:
        pixels: uint8 (height, width, 3), rows as the game wrote them.
        reward: of the last step; the original never writes it.
        done: whether the episode has ended; the original never writes it.
        step: actions since the last reset.
        time_ms: since the level was loaded.
    """

    pixels: np.ndarray
    reward: float
    done: bool
    step: int
    time_ms: int


class ResearchAgent:
    """The agent's end of a Research v1 file.

    Args:
        path: of the file; None: that of instance `MEGABONK_INSTANCE_ID`.
        timeout: seconds to wait for the file, during which it is tried again and again.
        verify: verify each answer by the step counter. Only for games that do not count should it be off.

    Attributes:
        repeated: how often something had to be written again.

    Raises:
        ConnectTimeout: the file is not there, or never long enough.
    """

    def __init__(
        self, path: Path | None = None, *, timeout: float = 30.0, verify: bool = True
    ) -> None:
        self.path, self.verify, self.repeated = path or default_path(), verify, 0
        self._segment = _open(self.path, timeout)
        self.size = self._segment.size

    def observe(self, timeout: float = 10.0, phase: str = "step") -> Observation:
        """What the game shows now; waits for it.

        Raises:
            StepTimeout: nothing came; a later call may still get it, and nothing will have been lost.
            GameExited: the game says that it ends.
            ShmCorrupt: the size of pictures has changed.
            BridgeClosed: after `close`.
        """
        self._wait(timeout, phase)
        facts = self._segment.facts
        self._segment.check_size(facts)
        picture = self._segment.picture()
        return Observation(picture, facts.reward, bool(facts.done), facts.step, facts.time_ms)

    def step(self, action: Sequence[float], timeout: float = 10.0) -> Observation:
        """Send an action and wait for what comes of it.

        Args:
            action: six finite numbers: movement (2), buttons (4).
            timeout: in seconds.

        Raises:
            InvalidValue: not six finite numbers.
            ProtocolError: the step counter jumped.
            StepTimeout, GameExited, BridgeClosed: as `observe`.
        """
        values = tuple(float(value) for value in action)
        if len(values) != 6 or not all(map(math.isfinite, values)):
            raise InvalidValue(f"an action is six finite numbers, not {values}")
        end = time.monotonic() + timeout
        while True:
            before = self._post(Word.ACTION_READY, values, end, "step")
            seen = self.observe(_left(end), "step")
            if not self.verify or seen.step == before + 1:
                return seen
            if seen.step != before:
                raise ProtocolError(f"step went from {before} to {seen.step} by one action")
            self.repeated += 1

    def reset(self, timeout: float = 60.0) -> Observation:
        """Begin an episode and wait for its first picture. The format knows no seed.

        Raises:
            ResetTimeout: nothing came, or the game went on without a reset.
            GameExited, BridgeClosed: as `observe`.
        """
        end = time.monotonic() + timeout
        while True:
            self._post(Word.RESET, None, end, "reset")
            seen = self.observe(_left(end), "reset")
            if not self.verify or seen.step == 0:
                return seen
            self.repeated += 1

    def close(self) -> None:
        """Unmap the file; it is the game's to delete."""
        self._segment.close()

    def __enter__(self) -> ResearchAgent:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _post(self, word: Word, action: tuple[float, ...] | None, end: float, phase: str) -> int:
        """Write a word when it is our turn; the step counter as it was."""
        self._wait(_left(end), phase)
        before = self._segment.facts.step
        if action is not None:
            self._segment.action = action
        self._segment.flag = word
        return before

    def _wait(self, timeout: float, phase: str) -> None:
        def ready(flag: int) -> bool:
            return flag in (Word.OBS_READY, Word.TERMINATED)

        if self._segment.wait(ready, timeout, phase) == Word.TERMINATED:
            raise GameExited(text=f"the game of {self.path} says that it has ended")


class ResearchEnv(gymnasium.Env[np.ndarray, np.ndarray]):
    """A Research v1 game: pictures as observations, six numbers in [-1, 1] as actions.

    The original game writes neither rewards nor ends: 0.0 and never. Seeds are ignored, the format has none.

    Args:
        path: of the file; None: that of instance `MEGABONK_INSTANCE_ID`.
        bottom_up: whether the game writes the bottom row first.
        connect: seconds to wait for the file.
        timeout: seconds for a step; a reset may take six times as long.
    """

    def __init__(
        self,
        path: Path | None = None,
        *,
        bottom_up: bool = False,
        connect: float = 30.0,
        timeout: float = 10.0,
    ) -> None:
        self.agent = ResearchAgent(path, timeout=connect)
        self.bottom_up, self.timeout = bottom_up, timeout
        self.observation_space = spaces.Box(0, 255, (*self.agent.size, 3), np.uint8)
        self.action_space = spaces.Box(-1, 1, (6,), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin an episode; raises as `ResearchAgent.reset`."""
        super().reset(seed=seed, options=options)
        seen = self.agent.reset(6 * self.timeout)
        return self._show(seen), self._info(
            seen, {"seed_ignored": True} if seed is not None else {}
        )

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Play a step; raises as `ResearchAgent.step`."""
        seen = self.agent.step(np.clip(action, -1, 1).tolist(), self.timeout)
        return self._show(seen), seen.reward, seen.done, False, self._info(seen, {})

    def close(self) -> None:
        """Unmap the file."""
        self.agent.close()

    def _show(self, seen: Observation) -> np.ndarray:
        return seen.pixels[::-1].copy() if self.bottom_up else seen.pixels

    def _info(self, seen: Observation, more: dict[str, Any]) -> dict[str, Any]:
        return {"step": seen.step, "time_ms": seen.time_ms, "repeated": self.agent.repeated, **more}


def _left(end: float) -> float:
    return max(end - time.monotonic(), 0.0)


def _open(path: Path, timeout: float) -> Segment:
    start, attempts = time.monotonic(), 0
    while True:
        attempts += 1
        try:
            return Segment(path)
        except (FileNotFoundError, ShmCorrupt) as error:  # the game may just be making it
            if (waited := time.monotonic() - start) >= timeout:
                raise ConnectTimeout(path, attempts, waited, str(error)) from error
        time.sleep(0.02)
