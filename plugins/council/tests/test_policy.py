from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode

from tropism.agents.records import spaces_record
from tropism.envs.patternworld.observation import read
from tropism_council.council import coherence
from tropism_council.gate import MOST_SURPRISE, disagreement, known
from tropism_council.online import OnlineLearner
from tropism_council.policy import CouncilPolicy
from tropism_council.telemetry import LEAST_NORM, LEAST_SCALE, encode
from tropism_council.tokens import Reader, join

LANES, STEPS = 4, 25


@pytest.fixture
def policy(tier, tiny, network, sizes):
    """A policy whose network is stirred: ``policy("Hop", field=value, ...)``."""

    def go(name="Switch", **more):
        return CouncilPolicy(
            network(sizes(name), **more), tiny(**more), sizes(name), spaces_record(tier(name))
        )

    return go


def play(policy, task, gates=None, steps=STEPS, lanes=LANES, seed=10_000):
    """The decisions of an episode, what was shown before each, and after the last."""
    env = task.make_vec(lanes, autoreset_mode=AutoresetMode.DISABLED)
    observation, info = env.reset(seed=seed)
    policy.reset(np.ones(lanes, np.bool_), np.arange(lanes, dtype=np.uint64))
    decisions, shown = [], [observation]
    for t in range(steps):
        decisions.append(policy.act(observation, info, None if gates is None else gates[:, t]))
        observation, *_, info = env.step(decisions[-1].action)
        shown.append(observation)
    env.close()
    return decisions, shown


def random_gates(share=0.3, seed=0):
    return np.random.default_rng(seed).random((LANES, STEPS)) < share


def over_time(decisions, name):
    return np.stack([decision.diagnostics[name] for decision in decisions], 1)


def edited_by_then(decisions, online):
    """Whether an edit of a lane's weights was kept at a step or before it, ``bool[B, T]``."""
    if not online:
        return np.zeros((LANES, len(decisions)), np.bool_)
    return np.logical_or.accumulate(over_time(decisions, "edit") > 0, 1)


def off(one, other):
    """How far numbers are from others: relative where those exceed 1, absolute elsewhere; the greatest."""
    return (np.abs(one - other) / np.maximum(1, np.abs(other))).max()


def heard(monkeypatch, thing, name):
    """What a method returns, and is given first, call by call."""
    calls, method = [], getattr(thing, name)

    def go(*args):
        found = method(*args)
        calls.append((args[0], found))
        return found

    monkeypatch.setattr(thing, name, go)
    return calls


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


# -- play is what was trained -----------------------------------------------------------------------------------


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


# -- when, and what it costs ------------------------------------------------------------------------------------


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


# -- lanes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "least"), [(torch.float32, 1e-5), (torch.float64, 1e-11)])
@pytest.mark.parametrize("name", ["Switch", "Hop"])
def test_lanes_do_not_touch_one_another(policy, tier, name, dtype, least, request):
    """To rounding: a product of matrices may round otherwise for another number of lanes, and in float64 by much less."""
    request.addfinalizer(partial(torch.set_default_dtype, torch.get_default_dtype()))
    torch.set_default_dtype(dtype)
    one, gates = policy(name, edit_rate=0.01), random_gates()
    together, _ = play(one, tier(name), gates)
    assert (over_time(together, "edit") > 0).any(1).sum() > 1
    for lane in range(LANES):
        alone, _ = play(one, tier(name), gates[lane : lane + 1], lanes=1, seed=10_000 + lane)
        for a, b in zip(alone, together, strict=True):
            assert off(a.log_probs[0], b.log_probs[lane]) < least
            assert off(a.diagnostics["score"][0], b.diagnostics["score"][lane]) < least


def test_a_lane_that_is_reset_forgets_everything_and_the_others_nothing(policy, tier):
    one, gates = policy(edit_rate=0.1), random_gates()
    straight, shown = play(one, tier("Switch"), gates)
    fresh, begun = play(one, tier("Switch"), gates, seed=20_000)
    one.reset(np.ones(LANES, np.bool_), np.zeros(LANES, np.uint64))
    half = STEPS // 2
    mask = np.arange(LANES) == 1
    for t in range(half):
        one.act(shown[t], {}, gates[:, t])
    one.reset(mask, np.zeros(LANES, np.uint64))
    for t in range(half, STEPS):
        mixed = {key: shown[t][key].copy() for key in shown[t]}
        for key in mixed:
            mixed[key][1] = begun[t - half][key][1]
        gate = np.where(mask, gates[:, t - half], gates[:, t])
        found = one.act(mixed, {}, gate)
        for name in ("score", "surprise", "entropy"):
            wanted = np.where(
                mask, fresh[t - half].diagnostics[name], straight[t].diagnostics[name]
            )
            np.testing.assert_allclose(found.diagnostics[name], wanted, atol=1e-4)
        said = np.where(mask[:, None], fresh[t - half].log_probs, straight[t].log_probs)
        np.testing.assert_allclose(found.log_probs, said, atol=1e-5)


def test_another_number_of_lanes_begins_anew(policy, tier):
    one = policy()
    before, _ = play(one, tier("Switch"), lanes=3)
    play(one, tier("Switch"), lanes=5)
    after, _ = play(one, tier("Switch"), lanes=3)
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a.log_probs, b.log_probs)


def test_it_says_what_is_missing_before_the_first_reset(policy, tier):
    one = policy()
    _, shown = play(one, tier("Switch"))
    one.forget()
    with pytest.raises(RuntimeError, match=r"act\(\) before reset\(\); call policy.reset"):
        one.act(shown[0], {})


def test_what_is_remembered_does_not_grow_with_the_episode(policy, tier):
    one = policy()
    play(one, tier("Switch"), steps=60)
    state = one.lanes.state
    assert state.stream.latents.shape[1] == 8
    assert state.ring.slots.shape[1] == 5
