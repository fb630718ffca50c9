from __future__ import annotations

import cmath
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plugins.moe.tests.attentions import GROUPS, HEAD, HEADS, WIDTH, close, doubles, layer_of
from torch.utils.flop_counter import FlopCounterMode

from tropism_moe import attention
from tropism_moe.attention import BASE, WindowedAttention, rotate, turns
from tropism_moe.shapes import attention_shapes

FEW = settings(deadline=None, max_examples=20, derandomize=True)


def turned(x, position):
    """Pairs of channels as complex numbers."""
    half = len(x) // 2
    angles = [position * BASE ** (-2 * i / len(x)) for i in range(half)]
    pairs = [complex(x[i], x[i + half]) * cmath.exp(1j * a) for i, a in enumerate(angles)]
    return np.array([z.real for z in pairs] + [z.imag for z in pairs])


def by_hand(layer, x, resets):
    """Every head of every step by itself, from an empty cache, in float64."""
    maps = {name: doubles(getattr(layer, name).weight) for name in attention_shapes(1, 1, 1, 2)}
    found = np.zeros(x.shape)
    for lane, rows in enumerate(doubles(x)):
        begun = 0
        for t, row in enumerate(rows):
            begun = t if resets[lane, t] else begun
            near = range(max(begun, t - layer.window + 1), t + 1)
            heads = []
            for head in range(HEADS):
                mine = slice(head * HEAD, (head + 1) * HEAD)
                group = head // (HEADS // GROUPS)
                theirs = slice(group * HEAD, (group + 1) * HEAD)
                query = turned((maps["query"] @ row)[mine], t - begun)
                keys = [turned((maps["key"] @ rows[s])[theirs], s - begun) for s in near]
                scores = np.exp([query @ key / math.sqrt(HEAD) for key in keys])
                values = np.array([(maps["value"] @ rows[s])[theirs] for s in near])
                heads.append(scores @ values / scores.sum())
            found[lane, t] = maps["out"] @ np.concatenate(heads)
    return found


def in_pieces(layer, x, state, cuts, resets):
    found, start = [], 0
    for n in cuts:
        y, state = layer(x[:, start : start + n], state, resets[:, start : start + n])
        found.append(y)
        start += n
    return torch.cat(found, 1), state


# -- the equations ----------------------------------------------------------------------------------------------


@FEW
@given(
    cuts=st.lists(st.integers(1, 12), min_size=1, max_size=4),
    window=st.sampled_from([1, 2, 5, 9, 64]),
    least=st.sampled_from([1, 7, 64]),
    chance=st.sampled_from([0.0, 0.1, 0.5]),
    double=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_steps_and_stretches_of_any_lengths_find_what_loops_by_hand_find(
    cuts, window, least, chance, double, seed
):
    dtype, atol = (torch.float64, 1e-10) if double else (torch.float32, 1e-5)
    layer, steps = layer_of(window, seed, dtype), sum(cuts)
    x, resets = torch.randn(2, steps, WIDTH, dtype=dtype), torch.rand(2, steps) < chance
    expected = torch.from_numpy(by_hand(layer, x, resets)).to(dtype)
    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        patch.setattr(attention, "LEAST_STRETCH", least)
        ways = [
            in_pieces(layer, x, layer.begin(2), ways, resets)
            for ways in ([steps], cuts, [1] * steps)
        ]
    for y, after in ways:
        close(y, expected, atol)
        assert torch.equal(after.count, ways[0][1].count)
    since = [steps - max([0, *row.nonzero()[:, 0].tolist()]) for row in resets]
    assert ways[0][1].count.tolist() == since


def test_a_long_stretch_in_windows_of_the_seed_is_what_single_steps_find():
    torch.manual_seed(0)
    layer, x = WindowedAttention(32, 4, 1, 8, 512), torch.randn(1, 1300, 32)
    with torch.no_grad():
        y, after = layer(x, layer.begin(1))
        state, found = layer.begin(1), []
        for t in range(1300):
            step, state = layer(x[:, t : t + 1], state)
            found.append(step)
    close(torch.cat(found, 1), y, 1e-5)
    close(state.keys, after.keys, 1e-5)
    close(state.values, after.values, 1e-5)


def test_a_step_sees_its_window_and_nothing_else():
    layer = layer_of(4)
    x = torch.randn(1, 9, WIDTH)
    y, _ = layer(x, layer.begin(1))
    seen = []
    for t in range(9):
        other = x.clone()
        other[:, t] += 1
        changed = layer(other, layer.begin(1))[0][0, 6]
        seen.append(not torch.equal(changed, y[0, 6]))
    assert seen == [False, False, False, True, True, True, True, False, False]


@pytest.mark.parametrize("steps", [1, 2, 5, 12])
def test_a_reset_is_a_new_beginning_before_its_step(steps):
    layer = layer_of(5, dtype=torch.float64)
    x = torch.randn(2, steps, WIDTH, dtype=torch.float64)
    _, old = layer(torch.randn(2, 7, WIDTH, dtype=torch.float64), layer.begin(2))
    for at in {0, steps // 2, steps - 1}:
        resets = torch.zeros(2, steps, dtype=torch.bool)
        resets[1, at] = True
        y, after = layer(x, old, resets)
        plain, _ = layer(x, old)
        fresh, _ = layer(x[:, at:], layer.begin(2))
        close(y[0], plain[0], 1e-12)
        close(y[1, :at], plain[1, :at], 1e-12)
        close(y[1, at:], fresh[1], 1e-12)
        assert (plain[1, at:] - fresh[1]).abs().max() > 0.01
        more = torch.randn(2, 6, WIDTH, dtype=torch.float64)
        _, begun = layer(x[:, at:], layer.begin(2))
        close(layer(more, after)[0][1], layer(more, begun)[0][1], 1e-12)


def test_scores_depend_on_differences_of_positions_only_however_late():
    layer, x = layer_of(6), torch.randn(2, 20, WIDTH)
    late = layer.begin(2)._replace(count=torch.tensor([0, 10**9]))
    full = layer(torch.zeros(2, 6, WIDTH), late)[1]  # keys of zeros are the same at every turn
    y, _ = layer(torch.stack([x[0], x[0]]), full)
    close(y[1], y[0], 1e-5)


def test_positions_turn_pairs_half_a_head_apart():
    x = torch.randn(1, 1, 3, 8, dtype=torch.float64)
    where = torch.tensor([[0, 3, 700]])
    found = rotate(x, turns(where, 8, torch.float64))[0, 0].numpy()
    for row, position in enumerate(where[0].tolist()):
        expected = turned(x[0, 0, row].numpy(), position)
        np.testing.assert_allclose(found[row], expected, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(found[0], x[0, 0, 0].numpy())


# -- cost -------------------------------------------------------------------------------------------------------


def flops(layer, x, state):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        _, after = layer(x, state)
    return counter.get_total_flops(), after


def test_a_step_costs_its_window_however_long_the_episode():
    maps = 2 * WIDTH * (2 * HEADS * HEAD + 2 * GROUPS * HEAD)
    for window in (8, 16, 32):
        layer = layer_of(window)
        state, costs = layer.begin(1), set()
        for _ in range(50):
            cost, state = flops(layer, torch.randn(1, 1, WIDTH), state)
            costs.add(cost)
            assert state.keys.shape == state.values.shape == (1, GROUPS, window, HEAD)
            assert state.keys.untyped_storage().nbytes() == 4 * GROUPS * window * HEAD
        assert costs == {maps + 2 * 2 * HEADS * HEAD * window}


def test_a_stretch_costs_in_proportion_to_its_length_and_leaves_no_more_than_a_window():
    layer = layer_of(8)
    short, _ = flops(layer, torch.randn(1, 256, WIDTH), layer.begin(1))
    long, state = flops(layer, torch.randn(1, 1024, WIDTH), layer.begin(1))
    assert long == 4 * short
    assert state.keys.untyped_storage().nbytes() == 4 * GROUPS * 8 * HEAD
