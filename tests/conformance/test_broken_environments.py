"""Each check of the single environment catches an environment that breaks its rule, and only that one."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from tropism.envs.core.conformance import check
from tropism.envs.core.conformance.single import SINGLE
from tropism.envs.sanity.dictionary import DictEnv
from tropism.envs.sanity.memory import MemoryEnv
from tropism.errors import ConformanceError


class WrongDtype(DictEnv):
    def _see(self) -> Any:
        return {"rule": np.int64(self.rule), "signal": np.array([self.signal])}


class LeavesItsSpace(DictEnv):
    def _see(self) -> Any:
        seen = super()._see()
        if self.t == 14:
            seen["signal"] += np.float32(2)
        return seen


class NumPyReward(DictEnv):
    def step(self, action: Any) -> Any:
        observation, reward, *rest = super().step(action)
        return observation, np.float32(reward), *rest


class NoTwoInstancesAlike(DictEnv):
    serial = count()

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.number = next(self.serial)

    def _play(self, action: Any) -> tuple[float, bool]:
        reward, ended = super()._play(action)
        return reward + self.number, ended


class ForgetsWhenPickled(DictEnv):
    def __reduce__(self) -> Any:
        return type(self), ()


class ReusesItsFrame(DictEnv):
    def _picture(self) -> Any:
        return super()._picture()

    def render(self) -> Any:
        frame = super().render()
        if self.render_mode != "rgb_array":
            return frame
        if not hasattr(self, "frame"):
            self.frame = frame
        self.frame[:] = frame
        return self.frame


class ClosesOnce(DictEnv):
    def close(self) -> None:
        if self._running is None:
            return
        if getattr(self, "closed", False):
            raise RuntimeError("already closed")
        self.closed = True


class OwnTimeLimit(DictEnv):
    def step(self, action: Any) -> Any:
        observation, reward, terminated, _, info = super().step(action)
        return observation, reward, terminated, self.t >= 10, info


class OneEpisodeOnly(DictEnv):
    def _begin(self, key: Any, episode: int, options: Any) -> Any:
        return super()._begin(key, 0, options)


class BornAlike(DictEnv):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._episode_key, self._episode = (1, 2), 0


class SeedBlind(DictEnv):
    def _begin(self, key: Any, episode: int, options: Any) -> Any:
        return super()._begin((1, 2), episode, options)


class DrawsGlobally(DictEnv):
    def _play(self, action: Any) -> tuple[float, bool]:
        np.random.random()  # noqa: NPY002  the defect
        return super()._play(action)


class TakesAnyAction(DictEnv):
    def _valid(self, action: Any) -> Any:
        return action


class NeedsNoReset(DictEnv):
    def step(self, action: Any) -> Any:
        if self._running is None:
            self.reset()
        return super().step(action)


class GoesOnForever(MemoryEnv):
    def step(self, action: Any) -> Any:
        if self._running is False:
            return self._see(), 0.0, True, False, {}
        return super().step(action)


class NeverEnds(MemoryEnv):
    def _play(self, action: Any) -> tuple[float, bool]:
        return super()._play(action)[0], False


class CountsFromOne(DictEnv):
    def _spaces(self) -> Any:
        return super()._spaces()[0], spaces.Discrete(2, start=1)


class KeepsItsGenerator(DictEnv):
    """Wrappers that draw, as StickyAction does, take the generator of the environment."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        first, second = np.random.SeedSequence().generate_state(2).tolist()
        self._episode_key, self._episode = (first, second), 0

    @property
    def np_random(self) -> Any:  # type: ignore[override]
        raise RuntimeError("np_random is private")


CASES = [
    ("gymnasium_checker", WrongDtype),
    ("passive_checker", LeavesItsSpace),
    ("python_scalars", NumPyReward),
    ("determinism", NoTwoInstancesAlike),
    ("pickling", ForgetsWhenPickled),
    ("rendering", ReusesItsFrame),
    ("closing", ClosesOnce),
    ("time_limit", OwnTimeLimit),
    ("seeding", OneEpisodeOnly),
    ("seeding", BornAlike),
    ("seeding", SeedBlind),
    ("seeding", DrawsGlobally),
    ("typed_errors", TakesAnyAction),
    ("typed_errors", NeedsNoReset),
    ("typed_errors", GoesOnForever),
    ("typed_errors", NeverEnds),
    ("wrapping", KeepsItsGenerator),
    ("stable_baselines3", CountsFromOne),
]
NEEDS = {"stable_baselines3"}
"""Checks that apply only where the package of that name is installed."""


@pytest.fixture
def broken_id() -> Iterator[str]:
    yield "test/Broken-v0"
    gymnasium.registry.pop("test/Broken-v0", None)


@pytest.mark.parametrize(("rule", "kind"), CASES, ids=[kind.__name__ for _, kind in CASES])
def test_the_check_catches_the_defect(rule: str, kind: type[Any], broken_id: str) -> None:
    if rule in NEEDS:
        pytest.importorskip(rule)
    limit = None if issubclass(kind, MemoryEnv) else 16
    gymnasium.register(broken_id, f"{__name__}:{kind.__name__}", max_episode_steps=limit)
    with pytest.raises(ConformanceError, match=f"^test/Broken-v0 fails the check '{rule}': "):
        check(broken_id)


def test_a_spec_that_is_no_json_is_caught(broken_id: str) -> None:
    gymnasium.register(broken_id, DictEnv, max_episode_steps=16)
    with pytest.raises(ConformanceError, match="'spec_round_trip'"):
        check(broken_id)


def test_every_check_has_a_defect() -> None:
    assert {rule for rule, _ in CASES} | {"spec_round_trip"} == set(SINGLE)


def test_the_arguments_are_named(broken_id: str) -> None:
    gymnasium.register(broken_id, f"{__name__}:GoesOnForever")
    with pytest.raises(ConformanceError, match=r"^test/Broken-v0, cues=3 fails"):
        check(broken_id, cues=3)
