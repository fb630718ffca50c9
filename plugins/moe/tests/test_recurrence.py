from __future__ import annotations

import io
import math
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd.graph import saved_tensors_hooks

from tropism.errors import OptionError
from tropism_moe import recurrence
from tropism_moe.recurrence import (
    CHUNK,
    DECAY_FLOOR,
    READ_EPSILON,
    FastWeights,
    GatedRecurrence,
    Inputs,
    read,
    read_step,
)
from tropism_moe.shapes import recurrence_shapes

FEW = settings(deadline=None, max_examples=25, derandomize=True)
GATES = {"as begun": (1.0, 2.94), "floor": (0.0, -50.0), "one": (0.0, 50.0), "all": (4.0, 0.0)}
"""Factor of ``W_p`` and value of ``b_p``."""


def layer_of(width, rank, seed=0, gates="as begun", dtype=torch.float32):
    torch.manual_seed(seed)
    layer = GatedRecurrence(width, rank).to(dtype)
    factor, bias = GATES[gates]
    with torch.no_grad():
        layer.decay.weight.mul_(factor)
        layer.decay_bias.fill_(bias)
    return layer


def stream(lanes, steps, width, dtype=torch.float32):
    """As after a normalisation."""
    x = torch.randn(lanes, steps, width, dtype=dtype)
    return x / x.square().mean(-1, keepdim=True).sqrt()


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


# -- gradients --------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings(
    "ignore:.torch.jit.script. is deprecated"
)  # torch's own, in forward mode
@pytest.mark.parametrize("steps", [1, 7])
def test_gradients_are_those_of_finite_differences(steps, monkeypatch):
    monkeypatch.setattr(recurrence, "CHUNK", 3)
    layer = layer_of(3, 2, dtype=torch.float64)
    with torch.no_grad():
        layer.decay_bias[0] = -3.0  # one gate at its floor, two above
    names, values = zip(*layer.named_parameters(), strict=True)
    resets = torch.zeros(2, steps, dtype=torch.bool)
    resets[1, steps // 2] = True

    def run(x, weights, *parameters):
        given = dict(zip(names, parameters, strict=True))
        y, after = torch.func.functional_call(layer, given, (x, FastWeights(weights), resets))
        return y, after.weights

    x = stream(2, steps, 3, torch.float64).requires_grad_()
    weights = torch.randn(2, 3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(run, (x, weights, *values), check_forward_ad=True)


@pytest.mark.parametrize("gates", GATES)
def test_gradients_in_float32_are_those_of_float64(gates):
    layer = layer_of(32, 8, gates=gates)
    x, state = stream(2, 200, 32), FastWeights(torch.randn(2, 32, 8))
    target = torch.randn(2, 200, 32)

    def gradients(dtype):
        layer.to(dtype).zero_grad()
        y, _ = layer(x.to(dtype), FastWeights(state.weights.to(dtype)))
        (y * target.to(dtype)).mean().backward()
        return {name: p.grad.double() for name, p in layer.named_parameters()}

    single, double = gradients(torch.float32), gradients(torch.float64)
    for name, exact in double.items():
        gap = (single[name] - exact).norm() / exact.norm().clamp(min=1e-9)
        assert gap < 1e-3, name


def test_gradients_reach_every_parameter_and_the_state_before():
    layer = layer_of(32, 8)
    weights = torch.randn(2, 32, 8, requires_grad=True)
    y, _ = layer(stream(2, 50, 32), FastWeights(weights))
    y.square().sum().backward()
    for name, p in [*layer.named_parameters(), ("state", weights)]:
        assert p.grad.isfinite().all(), name
        assert (p.grad.abs() > 0).float().mean() > 0.9, name


def test_no_gradient_flows_through_a_detached_state_or_a_reset():
    layer, x = layer_of(8, 2), stream(1, 4, 8)
    weights = torch.randn(1, 8, 2, requires_grad=True)
    resets = torch.tensor([[True, False, False, False]])
    for state, cut in ((FastWeights(weights).detach(), None), (FastWeights(weights), resets)):
        y, _ = layer(x, state, cut)
        y.square().sum().backward()
        assert weights.grad is None or not weights.grad.any()


# -- the state --------------------------------------------------------------------------------------------------


def test_a_lane_does_not_touch_another():
    layer, x = layer_of(16, 4), stream(3, 70, 16)
    state = FastWeights(torch.randn(3, 16, 4))
    resets = torch.zeros(3, 70, dtype=torch.bool)
    y, after = layer(x, state, resets)
    x[1], state.weights[1], resets[1, 40] = 5, 7, True
    other, other_after = layer(x, state, resets)
    for found, again in ((y, other), (after.weights, other_after.weights)):
        assert torch.equal(found[[0, 2]], again[[0, 2]])
        assert not torch.equal(found[1], again[1])


def test_what_is_forgotten_is_as_at_the_beginning_and_the_rest_as_it_was():
    layer = layer_of(16, 4)
    _, state = layer(stream(3, 9, 16), layer.begin(3))
    before = state.weights.clone()
    after = state.forget(torch.tensor([False, True, False]))
    assert torch.equal(after.weights[1], layer.begin(1).weights[0])
    assert torch.equal(after.weights[[0, 2]], before[[0, 2]])
    assert torch.equal(state.weights, before)  # nothing is written in place
    assert before[1].any()


def test_a_saved_state_goes_on_with_the_same_bits():
    layer = layer_of(16, 4)
    x = stream(2, 40, 16)
    with torch.no_grad():
        _, state = layer(x[:, :33], layer.begin(2))
        file = io.BytesIO()
        np.save(file, state.weights.numpy())
        file.seek(0)
        again = FastWeights(torch.from_numpy(np.load(file)))
        one, other = layer(x[:, 33:], state), layer(x[:, 33:], again)
    assert torch.equal(one[0], other[0])
    assert torch.equal(one[1].weights, other[1].weights)


def test_reading_leaves_the_state_before_as_it_was():
    layer, weights = layer_of(16, 4), torch.randn(2, 16, 4)
    for steps in (1, 50):
        layer(stream(2, steps, 16), FastWeights(kept := weights.clone()))
        assert torch.equal(kept, weights)


# -- the beginning ----------------------------------------------------------------------------------------------


def test_the_same_seed_makes_the_same_layer():
    one, other, another = layer_of(16, 4, 1), layer_of(16, 4, 1), layer_of(16, 4, 2)
    for name, p in one.named_parameters():
        assert torch.equal(p, other.get_parameter(name))
    assert not torch.equal(one.value.weight, another.value.weight)


def test_before_training_gates_keep_about_95_percent_a_step_and_vary_with_the_input():
    torch.manual_seed(0)
    layer, x = GatedRecurrence(256, 16), stream(4, 64, 256)
    inputs = layer._inputs(x, torch.zeros(4, 64, dtype=torch.bool))
    assert torch.sigmoid(layer.decay_bias).mean().item() == pytest.approx(0.95)
    assert inputs.decay.median().item() == pytest.approx(0.95, abs=0.005)
    assert 0.03 < inputs.decay.std().item() < 0.1
    assert DECAY_FLOOR <= inputs.decay.min().item() < inputs.decay.max().item() < 1
    likeness = (inputs.query * inputs.key).sum(-1)
    assert likeness.std().item() == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize(("width", "rank"), [(8, 2), (33, 7)])
def test_weights_have_the_shapes_that_budgets_count(width, rank):
    layer = GatedRecurrence(width, rank)
    found = {n: tuple(p.shape) for n, p in layer.named_parameters() if n.endswith("weight")}
    shapes = recurrence_shapes(width, rank)
    assert found == {f"{name}.weight": shape for name, shape in shapes.items()}
    assert set(dict(layer.named_parameters())) - set(found) == {"decay_bias"}
    assert sum(map(math.prod, shapes.values())) == 3 * width**2 + 2 * rank * width


def test_a_layer_of_the_seed_has_52_million_weights():
    assert sum(map(math.prod, recurrence_shapes(4096, 256).values())) == 52_428_800


# -- bad input --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sizes", "name"), [((0, 4), "width"), ((8, -1), "rank"), ((8, 1.5), "rank")]
)
def test_sizes_below_one_are_refused(sizes, name):
    with pytest.raises(
        OptionError, match=rf"{name} must be an integer >= 1, got {sizes[name == 'rank']}"
    ):
        GatedRecurrence(*sizes)


@pytest.mark.parametrize("shape", [(8,), (2, 8), (2, 0, 8), (2, 3, 9)])
def test_an_input_of_another_shape_is_refused(shape):
    layer = GatedRecurrence(8, 2)
    with pytest.raises(OptionError, match=r"input must be \[lanes, steps >= 1, width = 8\], got"):
        layer(torch.zeros(shape), layer.begin(2))


def test_a_state_a_mask_and_resets_of_another_shape_or_type_are_refused():
    layer, x = GatedRecurrence(8, 2), torch.zeros(3, 4, 8)
    with pytest.raises(OptionError, match=r"state must have shape \(3, 8, 2\), got \(1, 8, 2\)"):
        layer(x, layer.begin(1))
    with pytest.raises(OptionError, match=r"resets must have shape \(3, 4\), got \(3, 1\)"):
        layer(x, layer.begin(3), torch.zeros(3, 1, dtype=torch.bool))
    with pytest.raises(OptionError, match=r"resets must be torch.bool, got torch.float32"):
        layer(x, layer.begin(3), torch.zeros(3, 4))
    with pytest.raises(OptionError, match=r"mask must have shape \(3,\), got \(1,\)"):
        layer.begin(3).forget(torch.tensor([True]))
