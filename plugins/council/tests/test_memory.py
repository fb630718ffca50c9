from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tropism_council.memory import Memory, Written

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
    assert ring.slots.shape == (LANES, kept, WIDTH)
    assert ring.when.tolist() == [list(range(sum(cuts) - kept, sum(cuts)))] * LANES
    torch.testing.assert_close(ring.slots, memory.write(latents)[:, -kept:], rtol=0, atol=1e-6)
    assert ring.count.tolist() == [sum(cuts)] * LANES


def test_a_step_finds_the_slots_before_it_and_none_that_is_too_old(memory):
    latents = torch.randn(2, 9, WIDTH)
    written, _ = memory.store(latents, memory.begin(2))
    mind, step = torch.randn(2, 1, WIDTH), torch.full((2, 1), 6)
    before, _ = memory.recall(mind, step, written)
    seen = []
    for slot in range(9):
        slots = written.slots.clone()
        slots[:, slot] += 1
        after, _ = memory.recall(mind, step, written._replace(slots=slots))
        seen.append((after - before).abs().max().item() > 1e-6)
    assert seen == [False, False, True, True, True, True, False, False, False]  # of ages 4 to 1


def recall_by_hand(memory, mind, step, slots, when):
    """What one mind finds, in plain NumPy."""
    w = {name: x.detach().numpy().astype(float) for name, x in memory.state_dict().items()}
    d = WIDTH // HEADS
    normed = mind / np.sqrt((mind**2).mean() + np.finfo(np.float32).eps) * w["norm.weight"]
    query = (w["query.weight"] @ normed).reshape(HEADS, d)
    read = np.vstack([w["nothing"], slots]) @ w["read.weight"].T
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
    minds, steps = torch.randn(1, 3, WIDTH), torch.tensor([[1, 4, 5]])
    found, paid = memory.recall(minds, steps, written)
    for r in range(3):
        by_hand, attention = recall_by_hand(
            memory,
            minds[0, r].numpy().astype(float),
            steps[0, r].item(),
            written.slots[0].detach().numpy(),
            written.when[0].numpy(),
        )
        np.testing.assert_allclose(found[0, r].detach().numpy(), by_hand, rtol=1e-4, atol=1e-4)
        assert paid[0, r].item() == pytest.approx(attention, abs=1e-5)


def test_where_nothing_is_written_nothing_is_attended_to(memory):
    ring = memory.begin(2)
    _, paid = memory.recall(torch.randn(2, 3, WIDTH), torch.zeros(2, 3), Written(*ring[:2]))
    torch.testing.assert_close(paid, torch.zeros(2, 3), rtol=0, atol=1e-6)


def test_step_by_step_finds_what_is_found_at_once(memory):
    latents, minds = torch.randn(LANES, 11, WIDTH), torch.randn(LANES, 11, WIDTH)
    written, _ = memory.store(latents, memory.begin(LANES))
    at_once, _ = memory.recall(minds, torch.arange(11).expand(LANES, -1), written)
    ring = memory.begin(LANES)
    for t in range(11):
        step = ring.count[:, None]
        written, ring = memory.store(latents[:, t : t + 1], ring)
        found, _ = memory.recall(minds[:, t : t + 1], step, written)
        torch.testing.assert_close(found[:, 0], at_once[:, t], rtol=0, atol=1e-5)


def test_gradients_reach_what_was_written_two_steps_earlier_and_more(memory):
    latents = torch.randn(LANES, 6, WIDTH, requires_grad=True)
    written, _ = memory.store(latents, memory.begin(LANES))
    found, _ = memory.recall(torch.randn(LANES, 1, WIDTH), torch.full((LANES, 1), 5), written)
    found.square().sum().backward()
    assert latents.grad is not None
    norms = latents.grad.norm(dim=-1)
    assert (norms[:, 1:4] > 1e-6).all()  # ages 4 to 2, in every lane
    assert (norms[:, [0, 5]] == 0).all()  # too old, and its own
    assert memory.write.weight.grad.norm() > 1e-6


def test_forgetting_empties_exactly_the_lanes_of_the_mask(memory):
    ring = filled(memory, torch.randn(3, 5, WIDTH))
    fresh = ring.forget(torch.tensor([False, True, False]))
    minds, later = torch.randn(3, 1, WIDTH), torch.randn(3, 1, WIDTH)
    assert fresh.count.tolist() == [5, 0, 5]
    written, after = memory.store(later, fresh)
    found, paid = memory.recall(minds, fresh.count[:, None], written)
    kept, _ = memory.recall(minds, ring.count[:, None], memory.store(later, ring)[0])
    torch.testing.assert_close(found[[0, 2]], kept[[0, 2]], rtol=0, atol=0)
    assert paid[:, 0].gt(1e-3).tolist() == [True, False, True]
    assert after.when[1, -1] == 0


def test_without_slots_nothing_is_learned_written_or_found():
    memory = Memory(WIDTH, HEADS, 0)
    assert not list(memory.parameters())
    written, ring = memory.store(torch.randn(2, 3, WIDTH), memory.begin(2))
    assert ring.slots.shape == (2, 0, WIDTH)
    assert ring.count.tolist() == [3, 3]
    found, paid = memory.recall(torch.randn(2, 4, WIDTH), torch.full((2, 4), 2), written)
    assert not found.any()
    assert not paid.any()
