from __future__ import annotations

import cmath
import io
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from tropism.errors import OptionError
from tropism_moe import attention
from tropism_moe.attention import BASE, Cache, WindowedAttention, rotate, turns
from tropism_moe.blocks import SwiGLU, rms_norm
from tropism_moe.shapes import attention_shapes, feed_forward_shapes

FEW = settings(deadline=None, max_examples=20, derandomize=True)
WIDTH, HEADS, GROUPS, HEAD = 12, 4, 2, 6


def layer_of(window, seed=0, dtype=torch.float32):
    torch.manual_seed(seed)
    return WindowedAttention(WIDTH, HEADS, GROUPS, HEAD, window).to(dtype)


def doubles(tensor):
    return tensor.detach().double().numpy()


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


def close(found, expected, atol):
    torch.testing.assert_close(found, expected, rtol=0, atol=atol)


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


# -- gradients --------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings(
    "ignore:.torch.jit.script. is deprecated"
)  # torch's own, in forward mode
@pytest.mark.parametrize("steps", [1, 6])
def test_gradients_are_those_of_finite_differences(steps, monkeypatch):
    monkeypatch.setattr(attention, "LEAST_STRETCH", 2)
    torch.manual_seed(0)
    layer = WindowedAttention(3, 2, 1, 2, 3).double()
    names, values = zip(*layer.named_parameters(), strict=True)
    resets = torch.zeros(2, steps, dtype=torch.bool)
    resets[1, steps // 2] = True
    _, old = layer(torch.randn(2, 3, 3, dtype=torch.float64), layer.begin(2))

    def run(x, keys, kept, *parameters):
        given = dict(zip(names, parameters, strict=True))
        state = Cache(keys, kept, old.count)
        y, after = torch.func.functional_call(layer, given, (x, state, resets))
        return y, after.keys, after.values

    x = torch.randn(2, steps, 3, dtype=torch.float64, requires_grad=True)
    cache = (part.detach().requires_grad_() for part in old[:2])
    assert torch.autograd.gradcheck(run, (x, *cache, *values), check_forward_ad=True)


def test_gradients_reach_every_parameter_and_the_cache_before():
    layer = layer_of(5)
    _, state = layer(torch.randn(2, 5, WIDTH), layer.begin(2))
    keys, values = (part.detach().requires_grad_() for part in state[:2])
    y, _ = layer(torch.randn(2, 8, WIDTH), Cache(keys, values, state.count))
    y.square().sum().backward()
    for name, p in [*layer.named_parameters(), ("keys", keys), ("values", values)]:
        assert p.grad.isfinite().all(), name
        assert (p.grad.abs() > 0).float().mean() > 0.7, name


def test_no_gradient_flows_through_a_detached_cache():
    layer = layer_of(5)
    _, state = layer(torch.randn(2, 5, WIDTH), layer.begin(2))
    assert state.keys.requires_grad
    held = state.detach()
    assert not held.keys.requires_grad
    assert not held.values.requires_grad
    assert torch.equal(held.keys, state.keys)
    assert torch.equal(held.count, state.count)


# -- the state --------------------------------------------------------------------------------------------------


def test_a_lane_does_not_touch_another():
    layer, x = layer_of(5), torch.randn(3, 9, WIDTH)
    _, state = layer(torch.randn(3, 7, WIDTH), layer.begin(3))
    resets = torch.zeros(3, 9, dtype=torch.bool)
    y, after = layer(x, state, resets)
    x[1], resets[1, 4], state.keys.data[1], state.count[1] = 5, True, 7, 2
    other, other_after = layer(x, state, resets)
    for found, again in ((y, other), *zip(after, other_after, strict=True)):
        assert torch.equal(found[[0, 2]], again[[0, 2]])
        assert not torch.equal(found[1], again[1])


def test_what_is_forgotten_is_as_at_the_beginning_and_the_rest_as_it_was():
    layer = layer_of(5)
    _, state = layer(torch.randn(3, 9, WIDTH), layer.begin(3))
    before = [part.clone() for part in state]
    after = state.forget(torch.tensor([False, True, False]))
    for part, old, empty, unchanged in zip(after, before, layer.begin(1), state, strict=True):
        assert torch.equal(part[1], empty[0])
        assert torch.equal(part[[0, 2]], old[[0, 2]])
        assert torch.equal(unchanged, old)  # nothing is written in place
        assert old[1].any()


def test_forgetting_clears_what_is_not_a_number():
    layer = layer_of(3)
    _, state = layer(torch.full((1, 2, WIDTH), torch.nan), layer.begin(1))
    x = torch.randn(1, 1, WIDTH)
    assert layer(x, state)[0].isnan().any()
    assert layer(x, state.forget(torch.tensor([True])))[0].isfinite().all()


def test_a_saved_state_goes_on_with_the_same_bits():
    layer, x = layer_of(5), torch.randn(2, 4, WIDTH)
    with torch.no_grad():
        _, state = layer(torch.randn(2, 9, WIDTH), layer.begin(2))
        file = io.BytesIO()
        np.savez(file, **{name: part.numpy() for name, part in state._asdict().items()})
        file.seek(0)
        again = Cache(**{name: torch.from_numpy(part) for name, part in np.load(file).items()})
        one, other = layer(x, state), layer(x, again)
    assert torch.equal(one[0], other[0])
    assert all(map(torch.equal, one[1], other[1]))


def test_reading_leaves_the_state_before_as_it_was():
    layer = layer_of(5)
    _, state = layer(torch.randn(2, 9, WIDTH), layer.begin(2))
    before = [part.clone() for part in state]
    for steps in (1, 8):
        layer(torch.randn(2, steps, WIDTH), state)
        assert all(map(torch.equal, state, before))


# -- shapes and the feed-forward layer --------------------------------------------------------------------------


def weights_of(module):
    return {name: tuple(p.shape) for name, p in module.named_parameters()}


def test_weights_have_the_shapes_that_budgets_count():
    layer = WindowedAttention(10, 6, 3, 4, 7)
    shapes = attention_shapes(10, 6, 3, 4)
    assert weights_of(layer) == {f"{name}.weight": shape for name, shape in shapes.items()}
    shapes = feed_forward_shapes(10, 23)
    assert weights_of(SwiGLU(10, 23)) == {f"{n}.weight": shape for n, shape in shapes.items()}


def test_layers_of_the_seed_have_42_and_135_million_weights():
    assert sum(map(math.prod, attention_shapes(4096, 32, 8, 128).values())) == 41_943_040
    assert sum(map(math.prod, feed_forward_shapes(4096, 11008).values())) == 135_266_304


@pytest.mark.filterwarnings(
    "ignore:.torch.jit.script. is deprecated"
)  # torch's own, in forward mode
def test_a_feed_forward_layer_is_a_swiglu():
    torch.manual_seed(0)
    layer, x = SwiGLU(6, 9).double(), torch.randn(2, 3, 6, dtype=torch.float64)
    gate, up, down = (doubles(m.weight) for m in (layer.gate, layer.up, layer.down))
    y = layer(x)
    for lane in range(2):
        for t in range(3):
            row = x[lane, t].numpy()
            hidden = gate @ row / (1 + np.exp(-(gate @ row))) * (up @ row)
            np.testing.assert_allclose(y[lane, t].detach(), down @ hidden, rtol=0, atol=1e-12)
    x.requires_grad_()
    assert torch.autograd.gradcheck(layer, (x,), check_forward_ad=True)
    layer(x).sum().backward()
    assert all(p.grad.all() for p in layer.parameters())


def test_a_stream_is_divided_by_its_root_mean_square():
    norm, x = rms_norm(64).double(), torch.randn(3, 64, dtype=torch.float64) * 1e-3
    expected = x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt()
    close(norm(x).detach(), expected, 1e-12)


def test_the_same_seed_makes_the_same_layers():
    one, other, another = (layer_of(3, seed) for seed in (1, 1, 2))
    for name, p in one.named_parameters():
        assert torch.equal(p, other.get_parameter(name))
        assert not torch.equal(p, another.get_parameter(name))


# -- bad input --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((0, 4, 2, 6, 5), "width must be an integer >= 1, got 0"),
        ((8, 4, 2, 6, 0), "window must be an integer >= 1, got 0"),
        ((8, 4, True, 6, 5), "kv_heads must be an integer >= 1, got True"),
        ((8, 4, 3, 6, 5), "query_heads must be a multiple of kv_heads = 3, got 4"),
        ((8, 4, 2, 5, 5), "head_width must be even for rotary positions, got 5"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(sizes, message):
    with pytest.raises(OptionError, match=message):
        WindowedAttention(*sizes)


def test_a_feed_forward_layer_of_no_size_is_refused():
    with pytest.raises(OptionError, match="hidden must be an integer >= 1, got 0"):
        SwiGLU(8, 0)


def test_inputs_states_masks_and_resets_of_another_shape_or_type_are_refused():
    layer, x = layer_of(5), torch.zeros(3, 4, WIDTH)
    state = layer.begin(3)
    with pytest.raises(OptionError, match=r"input must be .* width = 12\], got \[3, 4, 11\]"):
        layer(x[..., 1:], state)
    with pytest.raises(
        OptionError, match=r"keys must have shape \(3, 2, 5, 6\), got \(1, 2, 5, 6\)"
    ):
        layer(x, layer.begin(1))
    with pytest.raises(OptionError, match=r"values must have shape \(3, 2, 5, 6\)"):
        layer(x, state._replace(values=state.values[:, :1]))
    with pytest.raises(OptionError, match=r"count must be torch.int64, got torch.float32"):
        layer(x, state._replace(count=torch.zeros(3)))
    with pytest.raises(OptionError, match=r"resets must have shape \(3, 4\), got \(1, 4\)"):
        layer(x, state, torch.zeros(1, 4, dtype=torch.bool))
    with pytest.raises(OptionError, match=r"mask must have shape \(3,\), got \(2,\)"):
        state.forget(torch.tensor([True, False]))
