"""Row 20 of the matrix: observations and actions that lie outside of their spaces, by policy."""

import warnings

import numpy as np
import pytest
from tests.bridges.faults.bare_game import LIMIT, MISDEEDS, VALUES, act

from tropism.bridges.errors import InvalidValue

TEXTS = {"nan": "nan", "inf": "inf", "high": "2000.0", "low": "-1.0"}
CLIPPED = {"nan": 0.0, "inf": LIMIT, "high": LIMIT, "low": 0.0}


def named(value):
    """Key, index, value and bounds."""
    return rf"observation\['x'\]\[0\] is {TEXTS[value]}, not in \[0\.0, 1000\.0\]"


@pytest.mark.parametrize("value", VALUES)
def test_row_20_observation_is_warned_of_once_a_key(play, transport, value):
    env = play(transport=transport, check_values="warn")
    with pytest.warns(UserWarning, match=named(value)):
        observation, *_ = env.step(act(value))
    np.testing.assert_array_equal(observation["x"], np.full(3, VALUES[value], np.float32))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env.step(act(value))


@pytest.mark.parametrize("policy", ["clip", "raise", "off"])
def test_row_20_observation_is_clipped_refused_or_passed_on(play, on_fault, policy):
    """What is refused is no fault of the line: it is raised whatever the policy for faults."""
    env = play(on_fault=on_fault, check_values=policy)
    for step, value in enumerate(VALUES, 1):
        if policy == "raise":
            with pytest.raises(InvalidValue, match=named(value)):
                env.step(act(value))
            continue
        observation, *_, info = env.step(act(value))
        wanted = CLIPPED[value] if policy == "clip" else VALUES[value]
        np.testing.assert_array_equal(observation["x"], np.full(3, wanted, np.float32))
        assert info["bridge"]["step"] == step
        assert (observation in env.observation_space) == (policy == "clip")
    assert env.num_faults == 0
    assert env.step(act("play"))[4]["bridge"]["step"] == len(VALUES) + 1


@pytest.mark.parametrize("policy", ["warn", "clip", "raise", "off"])
def test_row_20_action_outside_of_its_space(play, policy):
    env = play(check_values=policy)
    wrong = len(MISDEEDS) + 5
    if policy == "raise":
        with pytest.raises(InvalidValue, match=rf"action is {wrong}, not in \[0, {wrong - 6}\]"):
            env.step(wrong)
        assert env.session.seq == 1  # nothing was sent
    elif policy == "warn":
        with pytest.warns(UserWarning, match=f"action is {wrong}"):
            assert env.step(wrong)[0]["x"][0] == 1
    elif policy == "off":
        assert env.step(wrong)[0]["x"][0] == 1
    else:
        assert (
            env.step(wrong)[0]["x"][0] == 0.0
        )  # the nearest action is "low", which is clipped, too


@pytest.mark.parametrize("wrong", ["left", None, [1, 2], 1.5])
def test_row_20_action_that_is_none_is_not_sent(play, wrong):
    env = play()
    with pytest.raises(InvalidValue, match="act"):
        env.step(wrong)
    assert env.session.seq == 1
    assert env.step(act("play"))[0]["x"][0] == 1
