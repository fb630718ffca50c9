from __future__ import annotations

import math
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plugins.moe.tests.recurrences import GATES, layer_of, stream
from torch.autograd.graph import saved_tensors_hooks

from tropism_moe.recurrence import (
    CHUNK,
    READ_EPSILON,
    FastWeights,
    Inputs,
    read,
    read_step,
)
from tropism_moe.shapes import recurrence_shapes

FEW = settings(deadline=None, max_examples=25, derandomize=True)


def doubles(tensor):
    return tensor.detach().double().numpy()


def by_hand(layer, x, state, resets=None):
    """The equations as they are written, step by step in float64."""
    maps = {name: doubles(getattr(layer, name).weight) for name in recurrence_shapes(1, 1)}
    bias, found, after = doubles(layer.decay_bias), np.zeros(x.shape), []
    for lane, rows in enumerate(doubles(x)):
        s = doubles(state.weights)[lane].copy()
        for t, row in enumerate(rows):
            if resets is not None and resets[lane, t]:
                s[:] = 0
            gate = np.maximum(1 / (1 + np.exp(-maps["decay"] @ row - bias)), math.exp(-1))
            s = gate[:, None] * s + np.outer(maps["value"] @ row, maps["key"] @ row)
            read = s @ (maps["query"] @ row)
            found[lane, t] = maps["out"] @ (read / np.sqrt(np.mean(read**2) + READ_EPSILON))
        after.append(s)
    return found, np.array(after)


def in_pieces(layer, x, state, cuts, resets=None):
    found, start = [], 0
    for n in cuts:
        part = None if resets is None else resets[:, start : start + n]
        y, state = layer(x[:, start : start + n], state, part)
        found.append(y)
        start += n
    return torch.cat(found, 1), state


def close(found, expected, atol):
    torch.testing.assert_close(found, expected, rtol=0, atol=atol)


# -- the equations ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gates", GATES)
def test_a_long_stretch_is_what_a_slow_loop_in_float64_finds(gates):
    layer = layer_of(256, 16, gates=gates)
    x, state = stream(1, 1024, 256), FastWeights(torch.randn(1, 256, 16))
    with torch.no_grad():
        y, after = layer(x, state)
        steps, _ = in_pieces(layer, x, state, [1] * 1024)
        exact, last = layer.double()(x.double(), FastWeights(state.weights.double()))
    expected, weights = by_hand(layer, x, state)
    assert np.abs(y.numpy() - expected).max() < 1e-4
    close(steps, y, 1e-5)
    assert np.abs(after.weights.numpy() - weights).max() < 1e-5 * max(1, np.abs(weights).max())
    assert np.abs(exact.numpy() - expected).max() < 1e-10
    assert np.abs(last.weights.numpy() - weights).max() < 1e-9


@FEW
@given(
    cuts=st.lists(st.integers(1, 2 * CHUNK + 3), min_size=1, max_size=4),
    chance=st.sampled_from([0.0, 0.02, 0.3, 1.0]),
    gates=st.sampled_from(list(GATES)),
    double=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_steps_and_stretches_of_any_lengths_find_the_same(cuts, chance, gates, double, seed):
    dtype, atol = (torch.float64, 1e-10) if double else (torch.float32, 1e-5)
    layer, steps = layer_of(24, 5, seed, gates, dtype), sum(cuts)
    x, resets = stream(3, steps, 24, dtype), torch.rand(3, steps) < chance
    state = FastWeights(torch.randn(3, 24, 5, dtype=dtype))
    with torch.no_grad():
        ways = [in_pieces(layer, x, state, ways, resets) for ways in ([steps], cuts, [1] * steps)]
    expected, weights = by_hand(layer, x, state, resets)
    scale = max(1.0, np.abs(weights).max())
    for y, after in ways:
        close(y, ways[0][0], atol)
        close(after.weights, ways[0][1].weights, atol * scale)
    assert np.abs(ways[0][0].numpy() - expected).max() < 1e-4
    assert np.abs(ways[0][1].weights.numpy() - weights).max() < 1e-5 * scale


@pytest.mark.parametrize("steps", [1, 2, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK])
def test_a_reset_is_a_new_beginning_before_its_step(steps):
    layer = layer_of(16, 4, dtype=torch.float64)
    x = stream(2, steps, 16, torch.float64)
    old = FastWeights(torch.randn(2, 16, 4, dtype=torch.float64))
    for at in {0, steps // 2, steps - 1}:
        resets = torch.zeros(2, steps, dtype=torch.bool)
        resets[1, at] = True
        y, after = layer(x, old, resets)
        plain, plain_after = layer(x, old)
        fresh, fresh_after = layer(x[:, at:], layer.begin(2))
        close(y[0], plain[0], 1e-12)
        close(after.weights[0], plain_after.weights[0], 1e-12)
        close(y[1, :at], plain[1, :at], 1e-12)
        close(y[1, at:], fresh[1], 1e-12)
        close(after.weights[1], fresh_after.weights[1], 1e-12)
        assert (plain[1, at:] - fresh[1]).abs().max() > 0.01


def test_a_reset_clears_weights_that_are_not_numbers():
    layer, x = layer_of(8, 2), stream(1, 5, 8)
    broken = FastWeights(torch.full((1, 8, 2), torch.nan))
    resets = torch.zeros(1, 5, dtype=torch.bool)
    resets[0, 2] = True
    y, after = layer(x, broken, resets)
    assert y.isnan().all(-1).tolist() == [[True, True, False, False, False]]
    assert after.weights.isfinite().all()
    assert layer(x, broken.forget(torch.tensor([True])))[0].isfinite().all()


@pytest.mark.parametrize("gates", ["one", "floor"])
def test_ten_thousand_steps_stay_finite(gates):
    layer = layer_of(8, 2, gates=gates)
    x = stream(1, 1, 8).expand(1, 10_000, 8)  # the same again and again: nothing grows faster
    with torch.no_grad():
        y, after = layer(x, layer.begin(1))
        step, state = layer(x[:, :1], layer.begin(1))
        for t in range(1, 10_000):
            step, state = layer(x[:, t : t + 1], state)
    assert y.isfinite().all()
    close(step[:, 0], y[:, -1], 1e-5)
    torch.testing.assert_close(state.weights, after.weights, rtol=1e-4, atol=1e-4)
    assert y.abs().max() < 20  # normalised, though the weights may be thousands
    assert (after.weights.abs().max() > 1000) == (gates == "one")


def test_beginnings_whose_key_and_query_are_orthogonal_enlarge_no_rounding():
    layer, x = layer_of(64, 16), stream(4000, 2, 64)
    with torch.no_grad():
        y, _ = layer(x, layer.begin(4000))
        steps, _ = in_pieces(layer, x, layer.begin(4000), [1, 1])
    close(steps, y, 1e-5)


def test_the_read_of_a_step_is_normalised_whatever_the_size_of_the_state():
    layer = layer_of(32, 4, dtype=torch.float64)
    x, big = stream(1, 1, 32, torch.float64), torch.randn(1, 32, 4, dtype=torch.float64) * 1e6
    y, _ = layer(x, FastWeights(big))
    twice, _ = layer(x, FastWeights(2 * big))
    close(twice, y, 1e-4)
    layer.norm.register_forward_hook(lambda _, __, out: seen.append(out))
    seen = []
    layer(x, FastWeights(big))
    assert seen[0].square().mean().item() == pytest.approx(1, abs=1e-6)


# -- cost -------------------------------------------------------------------------------------------------------


def test_no_state_a_step_is_kept_for_the_way_back():
    layer, kept = layer_of(64, 64), {}

    def note(tensor):
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes() // tensor.element_size()
        return tensor

    with saved_tensors_hooks(note, lambda tensor: tensor):
        y, _ = layer(stream(1, 1024, 64), layer.begin(1))
    assert y.requires_grad
    assert 1024 * 64 < sum(kept.values()) < 1024 * 64 * 64 / 2


def test_a_stretch_costs_less_than_a_quarter_of_its_steps():
    size, steps = (1, 1024, 256), torch.zeros(1, 1024, dtype=torch.bool)
    q, k = torch.randn(2, 1, 1024, 16)
    inputs = Inputs(q, k, torch.randn(size), 0.9 + 0.1 * torch.rand(size), steps)
    weights = torch.zeros(1, 256, 16)

    def loop():
        state = weights
        for t in range(1024):
            _, state = read_step(Inputs(*(part[:, t : t + 1] for part in inputs)), state)

    def least(run):
        times = []
        for _ in range(4):
            start = time.process_time()
            run()
            times.append(time.process_time() - start)
        return min(times)

    with torch.no_grad():
        assert 4 * least(lambda: read(inputs, weights)) < least(loop)  # 9 times as fast, measured
