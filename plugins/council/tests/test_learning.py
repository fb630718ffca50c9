from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from plugins.council.tests.learners import LANES, STEPS, begin, learn, losses

from tropism_council.episodes import Episodes
from tropism_council.losses import DISCOUNT, returns

# -- everything learns ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Switch", "Hop"])
def test_every_parameter_has_a_gradient_after_ten_updates(learner, stretches, name):
    """All of them by name, without an exception: the value, memory, editor, its telemetry, gate and plasticity too."""
    one = learner(name)
    *given, last = stretches(name, LANES, [STEPS] * 11)
    carried = learn(one, given)
    one.network.zero_grad()
    one.total(one.losses(last, carried)[0]).backward()
    norms = {
        key: 0.0 if p.grad is None else p.grad.norm().item()
        for key, p in one.network.named_parameters()
    }
    assert [key for key, norm in norms.items() if not norm > 0] == []
    heads = (
        "head.",
        "value.",
        "gate.",
        "council.halt.",
        "council.memory.situation.",
        "council.memory.outcome.",
        "council.memory.likeness",
        "council.memory.query.",
        "council.personas",
        "council.recency",
    )
    heads += (
        "telemetry.plastic.",
        "telemetry.guess.",
        "council.ask.",
        "backbone.layers.0.attention.focus",
        "backbone.layers.0.attention.recency",
        "editor.net.0.",
        "editor.net.2.",
    )
    assert all(any(key.startswith(head) for key in norms) for head in heads)


@pytest.mark.parametrize("name", ["Switch", "Hop"])
def test_every_parameter_has_moved_after_ten_updates(learner, stretches, name):
    one = learner(name)
    before = {key: p.detach().clone() for key, p in one.network.named_parameters()}
    learn(one, stretches(name, LANES, [STEPS] * 10))
    still = [key for key, p in one.network.named_parameters() if torch.equal(p, before[key])]
    assert still == []


def test_a_small_network_learns_affine_within_seconds(learner, tier, sizes):
    """On fresh episodes; uniform guesses lose ln 97 = 4.57 nats, a successor table is right in .30 of the steps."""
    small = {"width": 32, "layers": 1, "window": 16, "voices": 2, "ponder_steps": 2}
    one = learner("Affine", 140, **small, learning_rate=0.01, online=False)
    made = Episodes(tier("Affine"), 32, sizes("Affine").tokens - 1, 0)
    made.begin(np.random.default_rng(0))
    carried, found = begin(one, 32), []
    for _ in range(140):
        stretch, began = made.next(32)
        carried = begin(one, 32) if began else carried
        told, facts, carried = one.update(stretch, carried)
        found.append([told.reflex.item(), told.council.item(), facts.right.item()])
    made.env.close()
    reflex, council, right = np.mean(found[-20:], 0)
    assert np.mean(found[:5], 0)[0] > 4
    assert reflex < 1.5
    assert council < 1.5
    assert right > 0.7


# -- what comes after -------------------------------------------------------------------------------------------


def test_returns_are_the_discounted_share_of_right_answers_to_come():
    right = torch.tensor([[True, False, True], [False, False, False], [True, True, True]])
    d = DISCOUNT
    by_hand = [[1 + d**2, d, 1], [0, 0, 0], [1 + d + d**2, 1 + d, 1]]
    torch.testing.assert_close(returns(right), (1 - d) * torch.tensor(by_hand))


def test_a_stretch_of_one_step_teaches_too(learner, stretches):
    one = learner()
    (stretch,) = stretches("Switch", LANES, [1])
    found, *_ = one.update(stretch, begin(one))
    assert all(math.isfinite(x.item()) for x in found)


def test_what_was_carried_matters_and_carries_no_gradient(learner, stretches, stir):
    one = learner()
    stir(one.network)
    first, second = stretches("Switch", LANES, [STEPS, STEPS])
    _, _, carried = one.losses(first, begin(one))
    assert not carried.student.ring.slots.requires_grad
    assert not carried.self_state.requires_grad
    torch.manual_seed(0)
    after = one.losses(second, carried)[0]
    assert after.reflex != losses(one, second).reflex


def test_the_learning_rate_warms_up_stands_and_falls(learner, stretches):
    one = learner(updates=40, online=False)
    carried, rates = begin(one), []
    for stretch in stretches("Switch", LANES, [2] * 40):
        rates.append(one.descent.rate / one.config.learning_rate)
        *_, carried = one.update(stretch, carried)
    assert rates[0] < 0.5
    assert rates[5:20] == [1.0] * 15
    assert all(later < before for before, later in pairwise(rates[21:]))
    assert 1 / 30 <= rates[-1] < 0.1
