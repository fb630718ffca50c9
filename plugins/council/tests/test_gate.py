from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tropism_council.gate import (
    FEATURES,
    FORGET,
    LEAST_SPREAD,
    LEVELS,
    MOST_SURPRISE,
    PATIENCE,
    SQUARES,
    USUAL,
    Gate,
    Signals,
    disagreement,
    features,
    known,
)


def log_probs(*shape):
    return torch.log_softmax(2 * torch.randn(shape), -1)


# -- features ---------------------------------------------------------------------------------------------------


def features_by_hand(p, belief, surprises, usual, apart):
    entropy = -sum(x * math.log(x) for x in p) / math.log(len(p))
    cut = [min(max(s, 0), MOST_SURPRISE) / MOST_SURPRISE for s in surprises]
    moved = math.sqrt(sum((a - b) ** 2 for a, b in zip(belief, usual, strict=True)) / len(belief))
    return [entropy, *cut, moved, apart]


def test_features_are_what_system_1_knows_before_it_is_decided():
    assert FEATURES == ("entropy", "surprise", "surprise_before", "belief_change", "disagreement")
    said, latent, before = log_probs(4, 6), torch.randn(4, 8), torch.randn(4, 8)
    surprise, earlier, apart = (
        torch.tensor([0.2, 3, 99, 10]),
        torch.tensor([10, 0.1, 5, -0.1]),
        torch.rand(4),
    )
    found = features(said, latent, Signals(surprise, earlier, before, apart))
    by_hand = [
        features_by_hand(
            said[b].exp().tolist(),
            latent[b].tolist(),
            (surprise[b].item(), earlier[b].item()),
            before[b].tolist(),
            apart[b].item(),
        )
        for b in range(4)
    ]
    np.testing.assert_allclose(found.numpy(), by_hand, atol=1e-5)


def test_a_lane_that_begins_is_as_surprised_as_can_be():
    found = features(log_probs(2, 6), torch.zeros(2, 8), Signals.begin(2, 8, torch.tensor(0.2)))
    torch.testing.assert_close(found[:, 1:], torch.tensor([[1.0, 1.0, 0.0, 0.2]] * 2))


def test_disagreement_is_the_total_variation():
    one, other = (
        torch.tensor([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]]),
        torch.tensor([[0.2, 0.3, 0.5], [0.0, 0.0, 1.0]]),
    )
    torch.testing.assert_close(disagreement(one.log(), other.log()), torch.tensor([0.5, 1.0]))


@settings(deadline=None, max_examples=30, derandomize=True)
@given(st.sets(st.integers(0, 8), min_size=1, max_size=8), st.integers(0, 100))
def test_what_is_known_in_a_stretch_is_what_accumulates_step_by_step(chosen, seed):
    torch.manual_seed(seed)
    said, latents, nll = log_probs(1, 9, 6), torch.randn(1, 9, 8), torch.rand(1, 9) * 12
    where, apart = torch.tensor([sorted(chosen)]), torch.rand(1, len(chosen))
    typical = torch.tensor(0.4)
    found = known(said, latents, nll, (where, apart), typical)
    signals = Signals.begin(1, 8, typical)._replace(usual=latents[:, 0])
    for t in range(9):
        torch.testing.assert_close(found[:, t], features(said[:, t], latents[:, t], signals))
        faded = FORGET * signals.disagreement + (1 - FORGET) * typical
        asked = apart[:, sorted(chosen).index(t)] if t in chosen else faded
        usual = USUAL * signals.usual + (1 - USUAL) * latents[:, t]
        signals = Signals(nll[:, t], signals.surprise, usual, asked)


# -- estimates --------------------------------------------------------------------------------------------------


def test_the_loss_is_of_squares_and_of_laplace():
    gate, x, gain = Gate(), torch.rand(7, 5), torch.randn(7)
    gain[0] = 50.0  # cut at MOST_SURPRISE
    expected, spread = (y.detach().numpy() for y in gate(x))
    off = np.abs(gain.numpy().clip(-MOST_SURPRISE, MOST_SURPRISE) - expected)
    wanted = (SQUARES * off**2 + off / spread + np.log(spread)).mean()
    assert gate.loss(x, gain).item() == pytest.approx(wanted, rel=1e-5)
    assert (spread > LEAST_SPREAD).all()


def test_what_is_expected_of_skewed_gains_is_their_mean():
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.random((4096, 5)).astype(np.float32))
    gain = torch.from_numpy((rng.random(4096) < 0.3).astype(np.float32))  # whose median is 0
    gate = Gate()
    optimizer = torch.optim.Adam(gate.parameters(), 1e-2)
    for _ in range(200):
        optimizer.zero_grad()
        gate.loss(x, gain).backward()
        optimizer.step()
    expected, spread = (y.detach() for y in gate(x))
    assert expected.mean() == pytest.approx(0.3, abs=0.03)
    assert spread.mean() == pytest.approx(2 * 0.3 * 0.7, abs=0.05)


def test_it_learns_a_gain_that_is_known_and_how_far_it_may_be_off():
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.random((4096, 5)).astype(np.float32))
    wide = x[:, 0] > 0.5
    noise = torch.from_numpy(rng.laplace(0, 1, 4096).astype(np.float32)) * torch.where(
        wide, 0.5, 0.05
    )
    gain = 2 * x[:, 1] - 0.5 + noise
    gate = Gate()
    optimizer = torch.optim.Adam(gate.parameters(), 1e-2)
    first = gate.loss(x, gain).item()
    for _ in range(300):
        optimizer.zero_grad()
        gate.loss(x, gain).backward()
        optimizer.step()
    assert gate.loss(x, gain).item() < first - 1
    expected, spread = (y.detach() for y in gate(x))
    assert (expected - (2 * x[:, 1] - 0.5)).abs().mean() < 0.1
    assert 0.3 < spread[wide].mean() < 0.7
    assert 0.03 < spread[x[:, 0] < 0.4].mean() < 0.15


def test_the_score_is_an_optimists():
    gate, x = Gate(optimism=3.0), torch.rand(9, 5)
    expected, spread = gate(x)
    torch.testing.assert_close(gate.score(x), (expected + 3 * spread, expected))


@pytest.mark.parametrize(
    ("signals", "used"),
    [("all", FEATURES), ("entropy", ("entropy",)), ("surprise", ("surprise", "surprise_before"))],
)
def test_a_gate_looks_at_the_signals_it_was_given_and_at_no_other(signals, used):
    gate, x = Gate(signals), torch.rand(50, 5)
    for i, name in enumerate(FEATURES):
        other = x.clone()
        other[:, i] += 1
        assert ((gate.score(other)[0] - gate.score(x)[0]).abs().max() > 1e-6) == (name in used)


# -- the threshold ----------------------------------------------------------------------------------------------


def test_before_it_is_calibrated_it_never_asks():
    gate = Gate()
    assert gate.threshold.item() == math.inf
    assert not (gate.score(torch.rand(100, 5))[0] > gate.threshold).any()


@pytest.mark.parametrize("share", [0.0, 0.05, 0.2, 0.5, 0.9])
def test_the_threshold_spends_the_share_that_was_given(share):
    gate = Gate()
    scores = torch.from_numpy(np.random.default_rng(1).normal(0, 1, 20_000)).float()
    gate.calibrate(scores, share)
    assert (scores > gate.threshold).double().mean().item() == pytest.approx(share, abs=1e-3)
    fresh = torch.from_numpy(np.random.default_rng(2).normal(0, 1, 20_000)).float()
    assert (fresh > gate.threshold).double().mean().item() == pytest.approx(share, abs=0.02)


def test_patience_rises_with_the_score_in_equal_parts_of_those_who_are_asked():
    gate, scores = Gate(), torch.from_numpy(np.random.default_rng(1).normal(0, 1, 20_000)).float()
    gate.calibrate(scores, 0.4)
    asked = scores[scores > gate.threshold]
    found, counts = gate.patience(asked).unique(return_counts=True)
    least, most = PATIENCE
    wanted = least + (most - least) * torch.arange(1, LEVELS + 1) / LEVELS
    torch.testing.assert_close(found, wanted)
    np.testing.assert_allclose(counts / len(asked), 1 / LEVELS, atol=1e-2)
    assert (gate.patience(asked.sort().values).diff() >= 0).all()


def test_what_was_calibrated_is_kept_with_the_weights():
    gate, other = Gate(), Gate()
    gate.calibrate(torch.arange(10.0), 0.3)
    gate.heed(torch.tensor(0.5))
    other.load_state_dict(gate.state_dict())
    assert other.threshold == gate.threshold
    assert torch.equal(other.levels, gate.levels)
    assert other.typical == gate.typical > 0
