from __future__ import annotations

import pytest
import torch
from plugins.moe.tests.recurrences import GATES, layer_of, stream

from tropism_moe import recurrence
from tropism_moe.recurrence import (
    FastWeights,
)


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
