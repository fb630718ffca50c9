from __future__ import annotations

import pytest
import torch
from plugins.moe.tests.attentions import WIDTH, layer_of

from tropism_moe import attention
from tropism_moe.attention import Cache, WindowedAttention


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
