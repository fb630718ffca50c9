from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from plugins.council.tests.playing import LANES, STEPS, heard, over_time, play, random_gates

from tropism.envs.patternworld.observation import read
from tropism_council.council import coherence
from tropism_council.gate import MOST_SURPRISE, disagreement, known
from tropism_council.online import OnlineLearner
from tropism_council.telemetry import LEAST_NORM, LEAST_SCALE, encode
from tropism_council.tokens import Reader, join


def edited_by_then(decisions, online):
    """Whether an edit of a lane's weights was kept at a step or before it, ``bool[B, T]``."""
    if not online:
        return np.zeros((LANES, len(decisions)), np.bool_)
    return np.logical_or.accumulate(over_time(decisions, "edit") > 0, 1)


class Whole:
    """An episode that was played, read again as a whole as in training.

    Args:
        network: that played it.
        shown: what it was shown.
        masked: the token that stands for nothing.
        plastic: plasticity of its steps, ``float[B, T]``.
    """

    def __init__(self, network, shown, masked, plastic):
        reader = Reader(LANES, masked, False)
        steps = [reader.read(read(one)) for one in shown]
        tokens, asked = join(steps[:-1])
        firsts = [one.value[np.arange(LANES), one.new.argmax(1)] for one in steps[1:]]
        self.answers = torch.from_numpy(np.stack(firsts, 1))
        self.read, _ = network.read(tokens, torch.from_numpy(asked), network.begin(LANES), plastic)
        self.reflex = network.reflex(self.read.latents)
        self.nll = -self.reflex.gather(-1, self.answers[..., None])[..., 0]
        self.network = network

    def thought(self, lane, chosen):
        """System 2 about some steps of a lane: log-probabilities, steps, coherence."""
        thought = self.network.think(self.read.rows(torch.tensor([lane])), chosen)
        steps, here = thought.steps()[0], torch.arange(chosen.shape[1])
        said = thought.log_probs[steps - 1, 0, here]
        return said, steps, coherence(thought.voices[steps - 1, 0, here])


@pytest.mark.parametrize("online", [False, True])
@pytest.mark.parametrize("name", ["Switch", "Hop"])
@torch.no_grad()
def test_at_play_the_gate_sees_what_training_says_it_would(policy, tier, monkeypatch, name, online):
    """Each feature of each step, and the answers of both systems; edits change nothing of it but what System 1 answers."""
    one = policy(name, online=online, edit_rate=0.1)
    net, gates = one.network, random_gates()
    scored = heard(monkeypatch, net.gate, "score")
    modulated = heard(monkeypatch, net.telemetry, "plasticity")
    decisions, shown = play(one, tier(name), gates)
    beliefs = torch.stack([given for given, _ in modulated], 1)
    seen = torch.stack([given for given, _ in scored], 1)
    plastic = torch.stack([found for _, found in modulated], 1)
    assert plastic.abs().min() > 1e-4
    whole = Whole(net, shown, one.sizes.tokens - 1, plastic)
    said = torch.stack([torch.from_numpy(d.log_probs) for d in decisions], 1)
    edited = edited_by_then(decisions, online)
    # whether an edit is kept depends on a lane's answers, so that not all need have one
    assert edited.any() == online
    for lane in range(LANES):
        chosen = torch.from_numpy(gates[lane].nonzero()[0])[None]
        council, steps, agreed = whole.thought(lane, chosen)
        reflex = whole.reflex[lane].index_copy(0, chosen[0], council)
        kept = torch.from_numpy(gates[lane] | ~edited[lane])
        torch.testing.assert_close(said[lane][kept], reflex[kept], rtol=0, atol=1e-5)
        assert ((said[lane] - reflex)[~kept].abs().amax(-1) > 1e-2).all()
        apart = disagreement(whole.reflex[lane, chosen[0]], council)[None]
        row = slice(lane, lane + 1)
        features = known(
            whole.reflex[row], beliefs[row], whole.nll[row], (chosen, apart), net.gate.typical
        )
        torch.testing.assert_close(seen[row], features, rtol=0, atol=1e-4)
        assert over_time(decisions, "steps")[lane, gates[lane]].tolist() == steps.tolist()
        np.testing.assert_allclose(
            over_time(decisions, "coherence")[lane, gates[lane]], agreed, atol=1e-4
        )


@torch.no_grad()
def test_telemetry_at_play_is_real_and_moves_the_plasticity(policy, tier, monkeypatch):
    """Surprise and entropy of each step, recomputed from the whole; no edit of the weights is told of."""
    one = policy(online=False)
    modulated = heard(monkeypatch, one.network.telemetry, "plasticity")
    _, shown = play(one, tier("Switch"))
    plastic = torch.stack([found for _, found in modulated], 1)
    whole = Whole(one.network, shown, 100, plastic)
    p = whole.reflex.exp()
    entropy = -(p * whole.reflex).sum(-1) / math.log(100)
    edit = torch.tensor([LEAST_NORM, math.log10(LEAST_SCALE)]).expand(LANES, STEPS, 2)
    values = torch.cat([torch.stack([whole.nll.clamp(max=MOST_SURPRISE), entropy], -1), edit], -1)
    telemetry = one.network.telemetry
    itself, _ = telemetry(encode(values), telemetry.begin(LANES))
    before = torch.cat([telemetry.begin(LANES)[:, None], itself[:, :-1]], 1)
    torch.testing.assert_close(
        torch.tanh(telemetry.plastic(before)[..., 0]), plastic, rtol=0, atol=1e-5
    )
    assert plastic.std(1).min() > 1e-3


@torch.no_grad()
def test_telemetry_tells_of_edits_and_of_what_they_made_of_system_1(policy, tier, monkeypatch):
    one = policy(edit_rate=0.1)
    one.network.gate.threshold.fill_(math.inf)  # so that every answer is System 1's
    read_in = heard(monkeypatch, one.network.telemetry, "forward")
    told = heard(monkeypatch, OnlineLearner, "judge")
    decisions, shown = play(one, tier("Switch"))
    answers = Whole(one.network, shown, 100, None).answers[:, :-1, None]
    said = torch.stack([torch.from_numpy(d.log_probs) for d in decisions[:-1]], 1)
    values = torch.stack([-said.gather(-1, answers)[..., 0], -(said.exp() * said).sum(-1)], -1)
    tokens = torch.cat([given for given, _ in read_in], 1)
    assert len(told) == STEPS - 1
    norm, scale = torch.full((2,), LEAST_NORM), torch.full((2,), math.log10(LEAST_SCALE))
    wanted = encode(torch.cat([values / torch.tensor([1, math.log(100)]), values], -1))
    torch.testing.assert_close(tokens[..., :2], wanted[..., :2])
    silent = encode(torch.stack([norm, norm, norm, scale], -1))[0, 2:]
    spoke = (tokens[..., 2:] != silent).any(-1)
    assert not spoke[:, :4].any()
    assert spoke[:, 4:].all()


@torch.no_grad()
def test_what_is_reported_is_what_was_measured(policy, tier, monkeypatch):
    one = policy()
    modulated = heard(monkeypatch, one.network.telemetry, "plasticity")
    decisions, shown = play(one, tier("Switch"), random_gates())
    whole = Whole(one.network, shown, 100, torch.stack([found for _, found in modulated], 1))
    surprise = over_time(decisions, "surprise")
    assert (surprise[:, 0] == MOST_SURPRISE).all()
    np.testing.assert_allclose(
        surprise[:, 1:], whole.nll[:, :-1].clamp(max=MOST_SURPRISE), atol=1e-4
    )
    entropy = -(whole.reflex.exp() * whole.reflex).sum(-1) / math.log(100)
    np.testing.assert_allclose(over_time(decisions, "entropy"), entropy, atol=1e-5)
    for decision in decisions:
        np.testing.assert_allclose(np.exp(decision.log_probs).sum(1), 1, atol=1e-5)
        assert decision.action.tolist() == decision.log_probs.argmax(1).tolist()


def test_the_score_is_the_expected_gain_and_how_far_that_may_be_off(policy, tier):
    decisions, _ = play(policy(), tier("Switch"))
    spread = over_time(decisions, "score") - over_time(decisions, "expected_gain")
    assert (spread > 0).all()
    assert spread.std() > 0
