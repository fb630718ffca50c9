from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tropism_council.memory import PRIOR, Memory, Written, situations

WIDTH, HEADS, SLOTS, LANES = 16, 2, 4, 33


@pytest.fixture
def memory(stir):
    return stir(Memory(WIDTH, HEADS, SLOTS))


def filled(memory, latents, cuts=None):
    """The ring after writing the steps of ``latents`` in pieces of these lengths."""
    ring, start = memory.begin(len(latents)), 0
    for n in cuts or [latents.shape[1]]:
        _, ring = memory.store(latents[:, start : start + n], ring)
        start += n
    return ring


@settings(deadline=None, max_examples=20, derandomize=True)
@given(st.lists(st.integers(1, 7), min_size=1, max_size=6))
def test_the_ring_holds_the_last_slots_of_every_lane_and_never_more(cuts):
    memory = Memory(WIDTH, HEADS, SLOTS)
    latents = torch.randn(LANES, sum(cuts), WIDTH)
    ring = filled(memory, latents, cuts)
    kept = min(SLOTS, sum(cuts))
    assert ring.slots.shape == (LANES, kept, 2 * WIDTH)
    assert ring.when.tolist() == [list(range(sum(cuts) - kept, sum(cuts)))] * LANES
    now, _ = situations(latents, memory.begin(LANES))
    before = torch.cat([torch.zeros(LANES, 1, WIDTH), now[:, :-1]], 1)
    written = torch.cat([memory.situation(before), memory.outcome(latents)], -1)
    torch.testing.assert_close(ring.slots, written[:, -kept:], rtol=0, atol=1e-5)
    torch.testing.assert_close(ring.last, now[:, -1], rtol=0, atol=1e-5)
    assert ring.count.tolist() == [sum(cuts)] * LANES


def test_a_step_finds_the_slots_before_it_and_none_that_is_too_old(memory):
    latents = torch.randn(2, 9, WIDTH)
    written, _ = memory.store(latents, memory.begin(2))
    mind, step = torch.randn(2, 1, WIDTH), torch.full((2, 1), 6)
    before, _ = memory.recall(mind, mind, step, written)
    seen = []
    for slot in range(9):
        slots = written.slots.clone()
        slots[:, slot] += 1
        after, _ = memory.recall(mind, mind, step, written._replace(slots=slots))
        seen.append((after - before).abs().max().item() > 1e-6)
    assert seen == [False, False, True, True, True, True, False, False, False]  # of ages 4 to 1


def test_a_situation_is_in_standard_deviations_of_the_episode_so_far(memory):
    latents = torch.randn(2, 9, WIDTH) + 3
    now, _ = situations(latents, memory.begin(2))
    for t in range(9):
        so_far = latents[:, : t + 1].double().numpy()
        off = so_far[:, t] - so_far.mean(1)
        variance = ((t + 1) * so_far.var(1) + PRIOR) / (t + 2)
        by_hand = off / np.sqrt(variance)
        np.testing.assert_allclose(now[:, t].numpy(), by_hand, rtol=1e-4, atol=1e-4)


def recall_by_hand(memory, mind, now, step, slots, when):
    """What one mind finds, in plain NumPy."""
    w = {name: x.detach().numpy().astype(float) for name, x in memory.state_dict().items()}
    d = WIDTH // HEADS
    normed = mind / np.sqrt((mind**2).mean() + np.finfo(np.float32).eps) * w["norm.weight"]
    query = (w["query.weight"] @ normed).reshape(HEADS, d)
    query += w["likeness"][:, None] * (w["situation.weight"] @ now).reshape(HEADS, d)
    read = np.vstack([w["nothing"], slots])
    keys, values = read.reshape(len(read), 2, HEADS, d).transpose(1, 2, 0, 3)
    found, paid = [], []
    for h in range(HEADS):
        scores = keys[h] @ query[h] / np.sqrt(d)
        for c, written in enumerate(when):
            age = step - written
            hidden = age < 1 or age > SLOTS
            scores[1 + c] -= np.inf if hidden else w["ageing"][h] * np.log(age)
        share = np.exp(scores - scores.max())
        share /= share.sum()
        found.append(share @ values[h])
        paid.append(1 - share[0])
    return w["out.weight"] @ np.concatenate(found), np.mean(paid)


def test_recall_is_attention_by_content_and_age(memory):
    written, _ = memory.store(torch.randn(1, 6, WIDTH), memory.begin(1))
    minds, nows = torch.randn(1, 3, WIDTH), torch.randn(1, 3, WIDTH)
    steps = torch.tensor([[1, 4, 5]])
    found, paid = memory.recall(minds, nows, steps, written)
    for r in range(3):
        by_hand, attention = recall_by_hand(
            memory,
            minds[0, r].numpy().astype(float),
            nows[0, r].numpy().astype(float),
            steps[0, r].item(),
            written.slots[0].detach().numpy(),
            written.when[0].numpy(),
        )
        np.testing.assert_allclose(found[0, r].detach().numpy(), by_hand, rtol=1e-4, atol=1e-4)
        assert paid[0, r].item() == pytest.approx(attention, abs=1e-5)


def test_where_nothing_is_written_nothing_is_attended_to(memory):
    ring = memory.begin(2)
    minds = torch.randn(2, 3, WIDTH)
    _, paid = memory.recall(minds, minds, torch.zeros(2, 3), Written(ring.slots, ring.when, minds))
    torch.testing.assert_close(paid, torch.zeros(2, 3), rtol=0, atol=1e-6)


def test_step_by_step_finds_what_is_found_at_once(memory):
    latents, minds = torch.randn(LANES, 11, WIDTH), torch.randn(LANES, 11, WIDTH)
    written, _ = memory.store(latents, memory.begin(LANES))
    steps = torch.arange(11).expand(LANES, -1)
    at_once, _ = memory.recall(minds, written.now, steps, written)
    ring = memory.begin(LANES)
    for t in range(11):
        step = ring.count[:, None]
        written, ring = memory.store(latents[:, t : t + 1], ring)
        found, _ = memory.recall(minds[:, t : t + 1], written.now, step, written)
        torch.testing.assert_close(found[:, 0], at_once[:, t], rtol=0, atol=1e-4)


def test_gradients_reach_what_was_written_two_steps_earlier_and_more(memory):
    latents = torch.randn(LANES, 6, WIDTH, requires_grad=True)
    written, _ = memory.store(latents, memory.begin(LANES))
    mind = torch.randn(LANES, 1, WIDTH)
    found, _ = memory.recall(mind, mind, torch.full((LANES, 1), 5), written)
    found.square().sum().backward()
    assert latents.grad is not None
    norms = latents.grad.norm(dim=-1)
    assert (norms[:, :5].mean(0) > 1e-3).all()  # outcomes of ages 4 to 1, and the situation before
    assert (norms[:, 5] == 0).all()  # its own
    assert memory.situation.weight.grad.norm() > 1e-6
    assert memory.outcome.weight.grad.norm() > 1e-6


def test_forgetting_empties_exactly_the_lanes_of_the_mask(memory):
    ring = filled(memory, torch.randn(3, 5, WIDTH))
    fresh = ring.forget(torch.tensor([False, True, False]))
    minds, later = torch.randn(3, 1, WIDTH), torch.randn(3, 1, WIDTH)
    assert fresh.count.tolist() == [5, 0, 5]
    written, after = memory.store(later, fresh)
    found, paid = memory.recall(minds, minds, fresh.count[:, None], written)
    kept, _ = memory.recall(minds, minds, ring.count[:, None], memory.store(later, ring)[0])
    torch.testing.assert_close(found[[0, 2]], kept[[0, 2]], rtol=0, atol=0)
    assert paid[:, 0].gt(1e-3).tolist() == [True, False, True]
    assert after.when[1, -1] == 0


def test_before_any_training_a_situation_that_came_before_is_recalled():
    memory = Memory(WIDTH, HEADS, 64)
    latents = 9 + torch.randn(1, 40, WIDTH)  # most of all latents is the same
    latents[0, -1] = latents[0, 7]
    written, _ = memory.store(latents, memory.begin(1))
    memory.out.weight.data.copy_(torch.eye(WIDTH))
    memory.query.weight.data.zero_()
    found, _ = memory.recall(latents[:, -1:], written.now[:, -1:], torch.tensor([[39]]), written)
    came = memory.outcome(latents[0])
    assert torch.cosine_similarity(found[0], came).argmax() == 8


def test_without_slots_nothing_is_learned_written_or_found():
    memory = Memory(WIDTH, HEADS, 0)
    assert not list(memory.parameters())
    written, ring = memory.store(torch.randn(2, 3, WIDTH), memory.begin(2))
    assert ring.slots.shape == (2, 0, 2 * WIDTH)
    assert ring.count.tolist() == [3, 3]
    minds = torch.randn(2, 4, WIDTH)
    found, paid = memory.recall(minds, minds, torch.full((2, 4), 2), written)
    assert not found.any()
    assert not paid.any()
