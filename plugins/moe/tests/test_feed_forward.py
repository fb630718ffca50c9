from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from plugins.moe.tests.attentions import close, doubles, layer_of

from tropism.errors import OptionError
from tropism_moe.attention import WindowedAttention
from tropism_moe.blocks import SwiGLU, rms_norm
from tropism_moe.shapes import attention_shapes, feed_forward_shapes

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
