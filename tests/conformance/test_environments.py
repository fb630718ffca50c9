"""The registry is the test list: every id passes every check, the moment it is registered."""

from __future__ import annotations

import gymnasium
import pytest

from tropism.envs.core.conformance import CHECKS, check
from tropism.envs.core.conformance.functional import FUNCTIONAL
from tropism.envs.patternworld.params import FEEDBACKS
from tropism.envs.registration import environment_ids

IDS = sorted(environment_ids())
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


# The functional face of every id, to be compiled for seconds, is compared with its vector in `tests/envs/test_*_faces.py`
# over more steps than the check takes; by default the check itself sees one id of each kind, and QUICK below.
COMPILED = ["tropism/Chemotaxis-L3.2-v0", "tropism/PatternWorld-Order2-v0"]


@pytest.mark.parametrize("env_id", IDS)
def test_every_environment_conforms(env_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if env_id not in COMPILED:
        for name in FUNCTIONAL:
            monkeypatch.delitem(CHECKS, name)
    check(env_id)


@pytest.mark.slow
@pytest.mark.parametrize("env_id", [name for name in IDS if name not in COMPILED])
def test_every_functional_face_conforms(env_id: str) -> None:
    check(env_id)


# Quick: every mode and both observations on one tier (parity in every mode on every tier has its own test);
# slow: the whole grid.
GRID = [(tier, mode, flat) for tier in TIERS for mode in FEEDBACKS for flat in (False, True)]
QUICK = [case for case in GRID if "Switch" in case[0]]
COMPILED_MODES = [("probe", False), ("closed", True)]


@pytest.mark.parametrize(("env_id", "feedback", "flat"), QUICK)
def test_feedback_modes_and_flat_observations_conform(
    env_id: str, feedback: str, flat: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if (feedback, flat) not in COMPILED_MODES:
        for name in FUNCTIONAL:
            monkeypatch.delitem(CHECKS, name)
    check(env_id, feedback=feedback, flat=flat)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("env_id", "feedback", "flat"),
    [c for c in GRID if c not in QUICK or c[1:] not in COMPILED_MODES],
)
def test_the_rest_of_the_grid_conforms(env_id: str, feedback: str, flat: bool) -> None:
    check(env_id, feedback=feedback, flat=flat)


@pytest.mark.parametrize("kwargs", [{"cues": 5, "delay": 0}, {"cues": 2, "delay": 40}])
def test_memory_conforms_at_other_sizes(kwargs: dict[str, int]) -> None:
    check("tropism/Sanity-Memory-v0", **kwargs)
