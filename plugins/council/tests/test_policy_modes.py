from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from plugins.council.tests.playing import LANES, STEPS, heard, over_time, play, random_gates


@pytest.mark.parametrize("threshold", [-math.inf, math.inf])
def test_an_imposed_gate_is_obeyed_exactly(policy, tier, threshold):
    """Both ways, in every lane and step, whatever the gate itself would have done."""
    one, gates = policy(), random_gates(0.5)
    one.network.gate.threshold.fill_(threshold)
    decisions, _ = play(one, tier("Switch"), gates)
    np.testing.assert_array_equal(over_time(decisions, "mode"), gates)
    np.testing.assert_array_equal(over_time(decisions, "steps") > 0, gates)


def test_left_alone_it_thinks_where_the_score_exceeds_the_threshold(policy, tier):
    """The threshold parts the lanes at the first step, whose scores do not depend on what is thought later."""
    one = policy()
    scores = over_time(play(one, tier("Switch"), random_gates())[0], "score")
    one.network.gate.threshold.fill_(float(np.median(scores[:, 0])))
    decisions, _ = play(one, tier("Switch"))
    thinks = over_time(decisions, "score") > one.network.gate.threshold.item()
    np.testing.assert_array_equal(over_time(decisions, "mode"), thinks)
    mixed = thinks.any(0) & ~thinks.all(0)
    assert mixed.any()  # it is decided by lane, not by batch


@torch.no_grad()
def test_left_alone_it_thinks_the_longer_the_higher_its_score(policy, tier, monkeypatch):
    one = policy()
    gate, always = one.network.gate, np.ones((LANES, STEPS), np.bool_)
    before, _ = play(one, tier("Switch"), always)
    gate.calibrate(torch.from_numpy(over_time(before, "score")).flatten(), 1)
    thoughts = heard(monkeypatch, one.network, "think")
    decisions, _ = play(one, tier("Switch"))
    patience = gate.patience(torch.from_numpy(over_time(decisions, "score")).T)
    thinks = torch.from_numpy(over_time(decisions, "mode").T).bool()
    assert len(patience[thinks].unique()) > 2
    wanted = torch.cat([thought.halting().cumsum(0)[:, :, 0] for _, thought in thoughts], 1)
    steps = (wanted < patience[thinks] - 1e-6).sum(0) + 1
    assert over_time(decisions, "steps").T[thinks.numpy()].tolist() == steps.tolist()


@pytest.mark.parametrize("voices", [1, 3])
def test_compute_counts_one_pass_and_one_for_each_step_of_each_voice(policy, tier, voices):
    one, gates = policy(voices=voices), random_gates(0.5)
    decisions, _ = play(one, tier("Switch"), gates)
    compute = np.stack([decision.compute for decision in decisions], 1)
    steps = over_time(decisions, "steps")
    assert compute.dtype == np.int64
    assert (compute[~gates] == 1).all()
    np.testing.assert_array_equal(compute[gates], 1 + voices * steps[gates])
    assert (steps[gates] >= 1).all()
    assert (steps <= 3).all()


def test_where_it_does_not_think_nothing_is_thought(policy, tier, monkeypatch):
    one, gates = policy(), random_gates(0.3)
    thoughts = heard(monkeypatch, one.network, "think")
    decisions, _ = play(one, tier("Switch"), gates)
    assert sum(len(read.latents) for read, _ in thoughts) == gates.sum()
    assert (over_time(decisions, "coherence")[~gates] == 1).all()
    assert not over_time(decisions, "memory")[~gates].any()
    agreed = over_time(decisions, "coherence")[gates]
    assert ((agreed >= 0) & (agreed <= 1)).all()
