from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tropism_council.backbone import Context
from tropism_council.config import PONDER_LOSSES
from tropism_council.council import Asked, Council, Thought, coherence, ponder_cost, ponder_loss
from tropism_council.memory import Written

WIDTH, HEADS, WINDOW, VOICES, STEPS, SLOTS, ANSWERS = 16, 2, 5, 3, 4, 6, 7
ENOUGH = 0.65
FEW = settings(deadline=None, max_examples=30, derandomize=True)


def council(steps=STEPS):
    torch.manual_seed(1)
    council = Council(WIDTH, HEADS, WINDOW, VOICES, steps, SLOTS, ENOUGH)
    with torch.no_grad():
        for parameter in council.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return council.requires_grad_(False)


def questions(lanes=2, at=(6, 9)):
    """Questions at some of ten positions, which are as many steps."""
    torch.manual_seed(2)
    where = torch.arange(10).expand(lanes, -1)
    context = Context(torch.randn(lanes, 10, WIDTH), where)
    chosen = torch.tensor(at).expand(lanes, -1)
    latents = context.latents[:, list(at)]
    asked = Asked(latents, latents, chosen, chosen)
    return asked, context, Written(torch.randn(lanes, 10, 2 * WIDTH), where, context.latents)


@pytest.fixture
def head():
    torch.manual_seed(3)
    return nn.Linear(WIDTH, ANSWERS).requires_grad_(False)


def thought_with(halt, enough=ENOUGH):
    """A thought of which only the halting matters, of ``halt[n]``."""
    halt = torch.tensor(halt).view(-1, 1, 1)
    return Thought(halt, halt, halt, halt, halt, halt, enough)


# -- thinking ---------------------------------------------------------------------------------------------------


def test_the_arbiter_gives_a_mixture_of_what_the_voices_say(head):
    thought = council()(*questions(), head)
    assert thought.log_probs.shape == (STEPS, 2, 2, ANSWERS)
    assert thought.voices.shape == (STEPS, 2, 2, VOICES, ANSWERS)
    for distribution in (thought.log_probs.exp(), thought.voices.exp(), thought.weights):
        torch.testing.assert_close(distribution.sum(-1), torch.ones(distribution.shape[:-1]))
    mixed = (thought.weights[..., None] * thought.voices.exp()).sum(-2)
    torch.testing.assert_close(thought.log_probs.exp(), mixed)
    assert thought.weights.std(-1).min() > 1e-3  # the voices are not weighed alike
    torch.testing.assert_close(thought.voices, torch.log_softmax(head(thought.minds), -1))


def test_the_arbiter_weighs_each_voice_by_what_it_offers_to_their_mean(head):
    one = council()
    thought = one(*questions(), head)
    minds = thought.minds.numpy()
    ask, offer = (x.weight.numpy() for x in (one.ask, one.offer))
    scores = np.einsum("...kd,...d->...k", minds @ offer.T, minds.mean(-2) @ ask.T) / WIDTH**0.5
    share = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    np.testing.assert_allclose(thought.weights.numpy(), share, atol=1e-5)


def test_further_steps_are_the_same_block_again(head):
    short, long = council(2), council(6)
    assert sum(p.numel() for p in short.parameters()) == sum(p.numel() for p in long.parameters())
    few, many = short(*questions(), head), long(*questions(), head)
    torch.testing.assert_close(many.log_probs[:2], few.log_probs)
    torch.testing.assert_close(many.halt[:1], few.halt[:1])
    assert (many.log_probs[2] - many.log_probs[1]).abs().max() > 1e-3


def test_questions_are_answered_one_by_one_as_together(head):
    together = council()(*questions(), head)
    for q, at in enumerate((6, 9)):
        alone = council()(*questions(at=(at,)), head)
        torch.testing.assert_close(alone.log_probs[:, :, 0], together.log_probs[:, :, q])


def test_lanes_are_answered_one_by_one_as_together(head):
    asked, context, written = questions()
    together = council()(asked, context, written, head)
    for b in range(2):
        row = slice(b, b + 1)
        alone = council()(
            Asked(*(x[row] for x in asked)),
            Context(*(x[row] for x in context)),
            Written(*(x[row] for x in written)),
            head,
        )
        torch.testing.assert_close(alone.log_probs[:, 0], together.log_probs[:, b])


def test_a_question_sees_its_window_and_nothing_that_comes_later(head):
    asked, context, written = questions(1, (6,))
    before = council()(asked, context, written, head).log_probs
    seen = []
    for position in range(10):
        latents = context.latents.clone()
        latents[:, position] += 1
        after = council()(asked, context._replace(latents=latents), written, head).log_probs
        seen.append((after - before).abs().max().item() > 1e-5)
    assert [i for i, known in enumerate(seen) if known] == [2, 3, 4, 5, 6]


# -- how long ---------------------------------------------------------------------------------------------------

CHANCES = st.lists(st.floats(0, 1, width=32), min_size=1, max_size=6)


@FEW
@given(CHANCES)
def test_the_council_halts_once(chances):
    halting = thought_with([*chances, 1.0]).halting()
    assert halting.sum().item() == pytest.approx(1, abs=1e-5)
    assert (halting >= 0).all()
    going, by_hand = 1.0, []
    for halt in [*chances, 1.0]:
        by_hand.append(going * halt)
        going *= 1 - halt
    np.testing.assert_allclose(halting[:, 0, 0].numpy(), by_hand, atol=1e-6)


def test_the_last_step_halts(head):
    thought = council()(*questions(), head)
    assert (thought.halt[-1] == 1).all()
    assert (thought.halt[:-1] < 1).all()
    torch.testing.assert_close(thought.halting().sum(0), torch.ones(2, 2))


@pytest.mark.parametrize(
    ("halt", "steps"),
    [
        ([1.0], 1),
        ([0.7, 0.0, 1.0], 1),
        ([0.65, 1.0], 1),
        ([0.5, 0.4, 1.0], 2),
        ([0.4, 0.4, 1.0], 3),
    ],
)
def test_left_alone_it_stops_when_it_has_halted_with_a_chance_of_two_thirds_or_so(halt, steps):
    assert thought_with(halt).steps().item() == steps


@FEW
@given(CHANCES, st.floats(0.05, 0.95))
def test_what_is_enough_is_a_setting(chances, enough):
    thought = thought_with([*chances, 1.0], enough)
    assert thought.steps().item() == thought.steps(enough).item()


def test_a_council_stops_by_its_own_setting(head):
    hasty, patient = council(), council()
    hasty.enough, patient.enough = 0.01, 0.9
    few, many = (one(*questions(), head).steps() for one in (hasty, patient))
    assert (few <= many).all()
    assert (few < many).any()


@FEW
@given(CHANCES, st.floats(0.05, 0.95), st.floats(0.05, 0.95))
def test_the_surer_it_must_be_the_longer_it_thinks(chances, one, other):
    thought = thought_with([*chances, 1.0])
    less, more = (thought.steps(patience).item() for patience in sorted((one, other)))
    assert 1 <= less <= more <= len(chances) + 1
    halted = thought.halting()[: int(more), 0, 0].sum().item()
    assert halted > max(one, other) - 1e-4


@FEW
@given(CHANCES, st.data())
def test_the_loss_is_a_mean_over_the_steps_or_that_of_their_mixture(chances, data):
    thought = thought_with([*chances, 1.0])
    steps = len(chances) + 1
    right = np.array(data.draw(st.lists(st.floats(0.01, 1), min_size=steps, max_size=steps)))
    said = torch.from_numpy(-np.log(right)).view(-1, 1, 1)
    halting = thought.halting()[:, 0, 0].numpy().astype(float)
    mean, mixture = (ponder_loss(thought, said, kind).item() for kind in PONDER_LOSSES)
    assert mean == pytest.approx(-(halting * np.log(right)).sum(), abs=1e-5)
    assert mixture == pytest.approx(-np.log((halting * right).sum()), abs=1e-5)
    assert mixture <= mean + 1e-6


@FEW
@given(CHANCES, st.floats(0.02, 0.98))
def test_the_cost_of_pondering_is_a_divergence_from_a_truncated_geometric_distribution(
    chances, prior
):
    chances = [min(max(c, 0.01), 0.99) for c in chances]
    found = ponder_cost(thought_with([*chances, 1.0]), prior).item()
    going, halting = 1.0, []
    for halt in [*chances, 1.0]:
        halting.append(going * halt)
        going *= 1 - halt
    wanted = [prior * (1 - prior) ** n for n in range(len(halting))]
    wanted = [w / sum(wanted) for w in wanted]
    by_hand = sum(h * math.log(h / w) for h, w in zip(halting, wanted, strict=True))
    assert found == pytest.approx(by_hand, abs=1e-4)
    assert found > -1e-5


@pytest.mark.parametrize("prior", [0.1, 0.5, 0.8])
def test_pondering_as_the_prior_does_costs_nothing(prior):
    wanted = [prior * (1 - prior) ** n for n in range(4)]
    halt = [w / sum(wanted[n:]) for n, w in enumerate(wanted)]
    assert ponder_cost(thought_with(halt), prior).item() == pytest.approx(0, abs=1e-5)
    assert ponder_cost(thought_with([0.99, 0.5, 0.5, 1.0]), prior).item() > 0.05


# -- how far voices agree ---------------------------------------------------------------------------------------


def coherence_by_hand(voices):
    """One minus the Jensen-Shannon divergence over its maximum, ``float[K, V]`` of probabilities."""
    mean = voices.mean(0)
    entropy = [-(p[p > 0] * np.log(p[p > 0])).sum() for p in (mean, *voices)]
    return 1 - (entropy[0] - np.mean(entropy[1:])) / np.log(min(voices.shape))


@FEW
@given(st.integers(2, 5), st.integers(2, 8), st.integers(0, 1000), st.floats(0.1, 6))
def test_coherence_is_one_less_the_divergence_of_the_voices_by_its_maximum(
    count, answers, seed, scale
):
    logits = np.random.default_rng(seed).normal(0, scale, (count, answers))
    voices = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    found = coherence(torch.from_numpy(voices).log()).item()
    assert found == pytest.approx(coherence_by_hand(voices), abs=1e-6)
    assert 0 <= found <= 1


def test_voices_that_say_the_same_are_coherent():
    voices = torch.log_softmax(torch.randn(5, 1, 9), -1).expand(5, 4, 9)
    torch.testing.assert_close(coherence(voices), torch.ones(5), rtol=0, atol=1e-5)


def test_voices_that_are_opposed_are_not():
    voices = torch.log_softmax(10 * torch.eye(4, 9), -1)
    assert coherence(voices) < 0.3
    assert coherence(voices) == pytest.approx(0, abs=0.01)


def test_one_voice_agrees_with_itself():
    assert coherence(torch.log_softmax(torch.randn(3, 1, 9), -1)).tolist() == [1, 1, 1]
