from __future__ import annotations

import io
import math

import numpy as np
import pytest
import torch
from plugins.moe.tests.recurrences import layer_of, stream

from tropism.errors import OptionError
from tropism_moe.recurrence import (
    DECAY_FLOOR,
    FastWeights,
    GatedRecurrence,
)
from tropism_moe.shapes import recurrence_shapes

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
