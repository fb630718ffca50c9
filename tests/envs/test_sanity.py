"""The sanity environments: each needs its capability, and names what is wrong with its input."""

from __future__ import annotations

from itertools import product
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.error import InvalidAction, ResetNeeded

from tropism.envs.registration import SANITY
from tropism.envs.sanity.credit import CreditEnv
from tropism.envs.sanity.dictionary import DictEnv
from tropism.envs.sanity.memory import MemoryEnv
from tropism.envs.sanity.multidiscrete import MultiDiscreteEnv
from tropism.envs.sanity.stochastic import TARGET, StochasticEnv
from tropism.errors import OptionError, UnknownNameError

IDS = [row[0] for row in SANITY]
# -- each capability ----------------------------------------------------------------------------------------


def test_no_memoryless_policy_recalls_the_cue() -> None:
    for answers in product(range(2), repeat=4):  # an action for each observation
        hits = 0.0
        for cue in range(2):
            env = MemoryEnv()
            observation, _ = env.reset(seed=0, options={"cue": cue})
            ended, reward = False, 0.0
            while not ended:
                observation, reward, ended, _, _ = env.step(answers[int(observation)])
            hits += reward
        assert hits == 1.0


def test_memory_shows_cue_blanks_question() -> None:
    env = MemoryEnv(cues=3, delay=2)
    seen = [int(env.reset(seed=0, options={"cue": 2})[0])]
    outcomes = [env.step(2) for _ in range(4)]
    assert seen + [int(o[0]) for o in outcomes] == [3, 0, 0, 4, 0]
    assert [o[1] for o in outcomes] == [0.0, 0.0, 0.0, 1.0]
    assert [o[2] for o in outcomes] == [False, False, False, True]


@pytest.mark.parametrize(("rain", "first"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_only_the_first_action_earns_the_last_reward(rain: int, first: int) -> None:
    lasts, between = set(), []
    for later in range(2):
        env = CreditEnv()
        env.reset(seed=1, options={"rain": rain})
        rewards = [env.step(first if t == 0 else later)[1] for t in range(16)]
        lasts.add(rewards[-1])
        between.append(rewards[:-1])
    assert lasts == {1.0 if rain == first else -1.0}
    assert between[0] == between[1]
    assert set(between[0]) == {0.1, -0.1}


def test_the_umbrella_is_not_shown() -> None:
    seen = []
    for first in range(2):
        env = CreditEnv()
        env.reset(seed=1)
        seen.append([env.step(first)[0].tolist() for _ in range(15)])
    assert seen[0] == seen[1]


def test_the_mixed_strategy_beats_every_deterministic_one() -> None:
    env = gymnasium.make("tropism/Sanity-Stochastic-v0")
    for arm in range(4):
        total = 0.0
        env.reset(seed=arm)
        for _ in range(32):
            total += float(env.step(arm)[1])
        assert total == pytest.approx(31 * (2 * TARGET[arm] / 10 - 1))
        assert total < 6.3


def test_placing_the_mix_without_chance_gains_little_over_it() -> None:
    """Knowing one's own counts, the best arm is the one most behind its share."""
    totals = []
    for seed in range(300):
        env = gymnasium.make("tropism/Sanity-Stochastic-v0")
        env.reset(seed=seed)
        bare: Any = env.unwrapped
        worth = lambda bare=bare: 2 * np.array(TARGET) / 10 - np.array(bare.counts) / max(bare.t, 1)  # noqa: E731
        totals.append(sum(float(env.step(int(np.argmax(worth())))[1]) for _ in range(32)))
    assert np.mean(totals) < 17


def test_one_part_of_the_dict_alone_tells_nothing() -> None:
    env = DictEnv()
    env.reset(seed=0)
    table = np.zeros((2, 2, 2))
    for _ in range(4000):
        rule, sign = env.rule, int(env.signal > 0)
        table[rule, sign, env.right_action] += 1
        env.step(0)
    by_rule, by_sign = table.sum(1), table.sum(0)
    assert np.abs(by_rule / by_rule.sum(1, keepdims=True) - 0.5).max() < 0.05
    assert np.abs(by_sign / by_sign.sum(1, keepdims=True) - 0.5).max() < 0.05
    assert ((table > 0).sum(2) == 1).all()  # both together tell all


def test_each_dial_counts_a_third() -> None:
    env = MultiDiscreteEnv()
    env.reset(seed=0)
    for wrong in product((0, 1), repeat=3):
        action = (np.array(env.wanted) + wrong) % np.array([2, 3, 5])
        assert env.step(action)[1] == pytest.approx(1 - sum(wrong) / 3)


# -- bad input ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("env_id", "kwargs", "error", "message"),
    [
        (IDS[0], {"cues": 1}, OptionError, r"cues must be an integer in \[2, 16\], got 1"),
        (IDS[0], {"delay": 2.5}, OptionError, r"delay must be .* got 2.5"),
        (IDS[0], {"cue": 2}, UnknownNameError, "parameter of MemoryEnv 'cue'. Did you mean 'cues'"),
        (IDS[1], {"length": True}, OptionError, "length must be an integer"),
        (IDS[2], {"penalty": 3}, UnknownNameError, "parameter of StochasticEnv 'penalty'"),
        (IDS[3], {"speed": 101}, OptionError, r"speed must be an integer in \[1, 100\], got 101"),
    ],
)
def test_wrong_parameters_are_named(env_id: str, kwargs: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        gymnasium.make(env_id, **kwargs)


def test_wrong_reset_options_are_named() -> None:
    env = MemoryEnv()
    with pytest.raises(OptionError, match=r"'cue' must be an integer in \[0, 1\], got 2"):
        env.reset(options={"cue": 2})
    with pytest.raises(UnknownNameError, match="Did you mean 'cue'"):
        env.reset(options={"cues": 1})
    with pytest.raises(UnknownNameError, match="reset option 'cue'"):
        StochasticEnv().reset(options={"cue": 1})


def test_steps_out_of_turn_and_wrong_actions_are_named() -> None:
    env = MemoryEnv(delay=0)
    with pytest.raises(ResetNeeded, match="before the first reset"):
        env.step(0)
    env.reset(seed=0)
    with pytest.raises(InvalidAction, match=r"element of Discrete\(2\), got 2"):
        env.step(2)
    env.step(0)
    env.step(0)
    with pytest.raises(ResetNeeded, match="after the end"):
        env.step(0)
