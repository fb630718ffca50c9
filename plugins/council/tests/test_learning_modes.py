from __future__ import annotations

import math

import pytest
import torch
from plugins.council.tests.learners import LANES, STEPS, begin, listen, losses

from tropism_council.gate import SLOWLY


@pytest.mark.parametrize("threshold", [-math.inf, math.inf])
def test_both_systems_are_asked_whatever_the_gate_says(learner, stretches, monkeypatch, threshold):
    """As often as the settings say, at random steps, so that neither mode starves while the gate learns."""
    one = learner(online=False)
    one.network.gate.threshold.fill_(threshold)
    thoughts = listen(monkeypatch, one.network, "think")
    (stretch,) = stretches("Switch", 4 * LANES, [STEPS])
    for seed in range(8):
        losses(one, stretch, seed)
    chosen = torch.stack([args[1] for args, _ in thoughts])
    assert chosen.shape == (8, 4 * LANES, 4)
    assert (chosen.diff(dim=-1) > 0).all()  # different steps, in order
    counts = chosen.flatten().bincount(minlength=STEPS)
    assert counts.min() > 0.5 * counts.double().mean()


def test_the_gate_learns_from_the_gain_that_was_measured_and_moves_nothing_else(learner, stretches):
    one = learner()
    (stretch,) = stretches("Switch", LANES, [STEPS])
    losses(one, stretch).gate.backward()
    moved = [key for key, p in one.network.named_parameters() if p.grad is not None]
    assert moved
    assert all(key.startswith("gate.") for key in moved)


def test_a_gain_is_by_how_much_likelier_the_council_found_the_right_answer(
    learner, stretches, monkeypatch
):
    one = learner()
    (stretch,) = stretches("Switch", LANES, [STEPS])
    told = listen(monkeypatch, one.network.gate, "loss")
    thoughts, said = (listen(monkeypatch, one.network, name) for name in ("think", "reflex"))
    losses(one, stretch)
    (((_, chosen), thought),), (((_, gain), _),), reflex = thoughts, told, said[0][1]
    lanes, questions = torch.arange(LANES)[:, None], torch.arange(4)
    wanted = stretch.answers[lanes, chosen]
    council = thought.log_probs[thought.steps() - 1, lanes, questions, wanted]
    torch.testing.assert_close(gain, council.exp() - reflex[lanes, chosen, wanted].exp())


@pytest.mark.parametrize("kind", ["expectation", "likelihood"])
def test_the_council_learns_by_the_loss_that_was_asked_for(learner, stretches, monkeypatch, kind):
    one = learner(ponder_loss=kind)
    (stretch,) = stretches("Switch", LANES, [STEPS])
    thoughts = listen(monkeypatch, one.network, "think")
    found = losses(one, stretch)
    (((_, chosen), thought),) = thoughts
    wanted = stretch.answers[torch.arange(LANES)[:, None], chosen]
    right = thought.log_probs.gather(
        -1, wanted[None, ..., None].expand(len(thought.halt), -1, -1, 1)
    )
    halting, right = thought.halting(), right[..., 0]
    mean, mixture = -(halting * right).sum(0).mean(), -(halting * right.exp()).sum(0).log().mean()
    torch.testing.assert_close(found.council, mean if kind == "expectation" else mixture)
    assert (mean - mixture).abs() > 1e-4


def test_what_is_typical_of_a_disagreement_follows_updates_and_no_look_at_the_losses(
    learner, stretches
):
    one = learner()
    (stretch,) = stretches("Switch", LANES, [STEPS])
    losses(one, stretch)
    assert one.network.gate.typical == 0
    _, facts, _ = one.update(stretch, begin(one))
    torch.testing.assert_close(one.network.gate.typical, (1 - SLOWLY) * facts.apart)
