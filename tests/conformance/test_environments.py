"""The registry is the test list: every id passes every check, the moment it is registered."""

from __future__ import annotations

import gymnasium
import pytest

import tropism.envs  # noqa: F401  registers the ids
from tropism.envs.core.conformance import check
from tropism.envs.patternworld.params import FEEDBACKS

IDS = sorted(env_id for env_id in gymnasium.registry if env_id.startswith("tropism/"))
TIERS = [env_id for env_id in IDS if env_id.startswith("tropism/PatternWorld-")]


def test_the_registry_holds_what_the_suite_promises() -> None:
    assert len(TIERS) == 10
    assert {i.split("-")[1] for i in IDS if i.startswith("tropism/Sanity-")} == {
        "Memory",
        "Credit",
        "Stochastic",
        "Continuous",
        "Dict",
        "MultiDiscrete",
    }
    assert all(gymnasium.spec(env_id).reward_threshold is not None for env_id in IDS)


@pytest.mark.parametrize("env_id", IDS)
def test_every_environment_conforms(env_id: str) -> None:
    check(env_id)


@pytest.mark.parametrize("feedback", FEEDBACKS)
@pytest.mark.parametrize("env_id", TIERS)
def test_every_feedback_mode_conforms_with_flat_observations(env_id: str, feedback: str) -> None:
    check(env_id, feedback=feedback, flat=True)


@pytest.mark.slow
@pytest.mark.parametrize("feedback", [mode for mode in FEEDBACKS if mode != "reveal"])
@pytest.mark.parametrize("env_id", TIERS)
def test_every_feedback_mode_conforms_with_dict_observations(env_id: str, feedback: str) -> None:
    check(env_id, feedback=feedback)


@pytest.mark.parametrize("kwargs", [{"cues": 5, "delay": 0}, {"cues": 2, "delay": 40}])
def test_memory_conforms_at_other_sizes(kwargs: dict[str, int]) -> None:
    check("tropism/Sanity-Memory-v0", **kwargs)
