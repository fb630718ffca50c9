from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from plugins.moe.tests.attentions import WIDTH, layer_of

from tropism.errors import OptionError
from tropism_moe.attention import Cache


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
