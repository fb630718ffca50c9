"""Each check of the vector and functional faces catches a face that breaks its rule."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import TimeLimit

from tropism.envs.core.conformance import check
from tropism.envs.core.conformance.case import Case
from tropism.envs.core.conformance.functional import FUNCTIONAL, functional_parity
from tropism.envs.core.conformance.vector import VECTOR
from tropism.envs.sanity.dictionary import DictEnv
from tropism.errors import ConformanceError


class Sound(SyncVectorEnv):
    """Keeps every rule: the yardstick with the suite's own error for ended lanes."""

    def __init__(
        self,
        num_envs: int,
        autoreset_mode: AutoresetMode = AutoresetMode.NEXT_STEP,
        max_episode_steps: int = 16,
        **options: Any,
    ) -> None:
        lanes = [lambda: TimeLimit(DictEnv(), max_episode_steps)] * num_envs
        super().__init__(lanes, autoreset_mode=autoreset_mode, **options)

    def step(self, actions: Any) -> Any:
        if self.autoreset_mode is AutoresetMode.DISABLED and self._autoreset_envs.any():
            raise ResetNeeded("a lane has ended")
        return super().step(actions)


class WrongSpace(Sound):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.single_action_space = spaces.Discrete(3)


class PaysForTheReset(Sound):
    def step(self, actions: Any) -> Any:
        restart = self._autoreset_envs.copy()
        observation, reward, *rest = super().step(actions)
        return observation, reward + restart, *rest


class FinalObservationOfTheNextEpisode(Sound):
    def step(self, actions: Any) -> Any:
        outcome = super().step(actions)
        final = outcome[4].get("final_obs")
        for lane in np.flatnonzero(outcome[4].get("_final_obs", [])):
            final[lane] = {name: part[lane] for name, part in outcome[0].items()}
        return outcome


class MaskBlind(Sound):
    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        in_use = self.autoreset_mode is AutoresetMode.DISABLED
        return super().reset(seed=seed, options=None if in_use else options)


class FirstSeedForAll(Sound):
    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        if isinstance(seed, list) and seed[0] is not None:
            seed = [seed[0] + lane for lane in range(self.num_envs)]
        return super().reset(seed=seed, options=options)


class TakesAnyMask(Sound):
    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        if options and "reset_mask" in options and isinstance(options["reset_mask"], list):
            options = {"reset_mask": np.array(options["reset_mask"])}
        return super().reset(seed=seed, options=options)


class StepsEndedLanes(Sound):
    def step(self, actions: Any) -> Any:
        if self.autoreset_mode is AutoresetMode.DISABLED:
            self._autoreset_envs[:] = False
        return super().step(actions)


class TakesTooFewActions(Sound):
    def step(self, actions: Any) -> Any:
        return super().step(np.resize(actions, self.num_envs))


class ReusesItsArrays(Sound):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs, copy=False)

    def step(self, actions: Any) -> Any:
        observation, *rest = super().step(actions)
        self.held = getattr(self, "held", deepcopy(observation))
        for name, part in observation.items():
            self.held[name][:] = part
        return self.held, *rest


class NeedsOptions(Sound):
    def reset(self, *, seed: Any = None, options: Any = ()) -> Any:
        return super().reset(seed=seed, options=dict(options))


CASES = [
    ("vector_spaces", WrongSpace),
    ("vector_parity_next_step", PaysForTheReset),
    ("vector_parity_same_step", FinalObservationOfTheNextEpisode),
    ("vector_parity_disabled", MaskBlind),
    ("vector_seeding", FirstSeedForAll),
    ("vector_reset_mask", TakesAnyMask),
    ("vector_typed_errors", StepsEndedLanes),
    ("vector_typed_errors", TakesTooFewActions),
    ("vector_fresh_arrays", ReusesItsArrays),
    ("vector_wrapping", NeedsOptions),
]


@pytest.fixture
def vector_id() -> Iterator[str]:
    yield "test/Vector-v0"
    gymnasium.registry.pop("test/Vector-v0", None)


def _register(env_id: str, kind: type[Any]) -> None:
    gymnasium.register(
        env_id,
        "tropism.envs.sanity.dictionary:DictEnv",
        max_episode_steps=16,
        vector_entry_point=f"{__name__}:{kind.__name__}",
    )


def test_a_sound_vector_environment_passes(vector_id: str) -> None:
    _register(vector_id, Sound)
    check(vector_id)


@pytest.mark.parametrize(("rule", "kind"), CASES, ids=[kind.__name__ for _, kind in CASES])
def test_the_check_catches_the_defect(rule: str, kind: type[Any], vector_id: str) -> None:
    _register(vector_id, kind)
    with pytest.raises(ConformanceError, match=f"^test/Vector-v0 fails the check '{rule}': "):
        check(vector_id)


def test_every_check_has_a_defect() -> None:
    assert {rule for rule, _ in CASES} == set(VECTOR)
    assert set(FUNCTIONAL) == {"functional_parity"}


@pytest.mark.parametrize("part", ["observation", "reward", "truncated", "final_observation"])
def test_a_functional_face_off_by_one_is_caught(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("jax")
    from tropism.envs.core.functional import FunctionalEnv

    original = FunctionalEnv.step

    def step(self: Any, *args: Any) -> Any:
        observation, state, reward, terminated, truncated, info = original(self, *args)
        if part == "observation":
            observation = observation | {"prev_action": observation["prev_action"] + 1}
        elif part == "reward":
            reward = reward + 1
        elif part == "truncated":
            truncated = ~truncated
        else:
            info = info | {"final_observation": observation}
        return observation, state, reward, terminated, truncated, info

    monkeypatch.setattr(FunctionalEnv, "step", step)
    with pytest.raises(AssertionError, match="functional"):
        functional_parity(Case("tropism/PatternWorld-Switch-v0"))
