from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.func import functional_call, jvp

from tropism.errors import OptionError
from tropism_moe.kernels import linear
from tropism_moe.kernels_simd import ACTIVATION_FLOOR as KERNEL_FLOOR
from tropism_moe.packing import pack_2bit
from tropism_moe.ternary import (
    ACTIVATION_FLOOR,
    TernaryLinear,
    quantise,
    quantise_activations,
    set_share,
    share_at,
    straight_through,
)

FEW = settings(deadline=None, max_examples=30, derandomize=True)
QUIET = pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning")
"""What torch says to itself when it first makes a forward derivative."""
SIZES, SEEDS = st.integers(1, 40), st.integers(0, 2**31)


@pytest.fixture(autouse=True)
def same_seed():
    torch.manual_seed(0)


def by_hand(w):
    """Codes and scale of BitNet b1.58, weight by weight."""
    w = w.double().numpy()
    scale = sum(abs(v) for v in w.flat) / w.size
    return np.array([[round(min(1, max(-1, v / scale))) for v in row] for row in w]), scale


# -- weights ----------------------------------------------------------------------------------------------------


@FEW
@given(SIZES, SIZES, SEEDS)
def test_weights_become_ternary_by_their_mean_magnitude(rows, columns, seed):
    w = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))
    codes, scale = quantise(w)
    expected, mean = by_hand(w)
    assert (codes.dtype, scale.dtype, scale.shape) == (torch.int8, torch.float32, ())
    np.testing.assert_array_equal(codes.numpy(), expected)
    assert float(scale) == pytest.approx(mean, rel=1e-6)


def test_a_third_of_normal_weights_become_zero():
    codes, _ = quantise(torch.randn(400, 400))
    zeros = float((codes == 0).float().mean())
    assert zeros == pytest.approx(0.310, abs=0.01)  # P(|w| < .5 mean|w|)


def test_zeros_have_codes_of_zero_and_what_is_not_finite_is_refused():
    codes, scale = quantise(torch.zeros(3, 4))
    assert not codes.any()
    assert scale > 0
    w = torch.ones(3, 4)
    w[1, 2], w[2, 0] = torch.nan, torch.inf
    with pytest.raises(OptionError, match=r"finite, 2 of \[3, 4\] are not"):
        quantise(w)


def test_trained_weights_are_the_packed_ones_to_the_bit():
    w = torch.randn(30, 50)
    codes, scale = quantise(w)
    assert torch.equal(straight_through(w), codes * scale)


def test_gradients_pass_straight_through():
    w, by = torch.randn(30, 50, requires_grad=True), torch.randn(30, 50)
    for share in (0.0, 0.5, 1.0):
        (gradient,) = torch.autograd.grad((straight_through(w, share) * by).sum(), w)
        assert torch.equal(gradient, by)


@QUIET
def test_forward_mode_agrees_with_reverse_mode():
    w, tangent = torch.randn(30, 50), torch.randn(30, 50)
    primal, derivative, *_ = jvp(straight_through, (w,), (tangent,))
    assert torch.equal(primal, straight_through(w))
    assert torch.equal(derivative, tangent)


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.75, 1.0])
def test_a_share_of_the_weights_is_quantised_and_these_are_the_largest(share):
    w = torch.randn(40, 50)
    found, whole = straight_through(w, share), straight_through(w)
    order = w.abs().flatten().argsort(descending=True)
    large, small = order[: int(share * 2000)], order[int(share * 2000) :]
    assert torch.equal(found.flatten()[large], whole.flatten()[large])
    torch.testing.assert_close(found.flatten()[small], w.flatten()[small])
    if share < 1:
        assert (found.flatten()[small] != whole.flatten()[small]).all()


def test_the_schedule_grows_by_quarters():
    shares = [share_at(p) for p in (0, 0.2499, 0.25, 0.4999, 0.5, 0.7499, 0.75, 0.99, 1)]
    assert shares == [0.25, 0.25, 0.5, 0.5, 0.75, 0.75, 1, 1, 1]
    for wrong in (-0.01, 1.01, float("nan")):
        with pytest.raises(OptionError, match=rf"progress must lie in \[0, 1\], got {wrong}"):
            share_at(wrong)


def test_the_share_is_set_in_all_layers_and_saved():
    def layers():
        inner = TernaryLinear(4, 3), TernaryLinear(3, 2)
        return inner, torch.nn.Sequential(inner[0], torch.nn.Sequential(inner[1]))

    (inner, model), (others, other) = layers(), layers()
    assert [float(layer.share) for layer in inner] == [1, 1]
    set_share(model, 0.5)
    assert [float(layer.share) for layer in inner] == [0.5, 0.5]
    other.load_state_dict(model.state_dict())
    assert [float(layer.share) for layer in others] == [0.5, 0.5]
    for wrong in (-0.1, 1.1, float("nan")):
        with pytest.raises(OptionError, match=f"share must lie in .* got {wrong}"):
            set_share(model, wrong)


# -- activations ------------------------------------------------------------------------------------------------


def test_every_token_has_its_own_scale():
    x = torch.randn(2, 3, 20) * torch.tensor([1e-3, 1.0, 1e3])[:, None]
    q, scale = quantise_activations(x)
    assert scale.shape == (2, 3, 1)
    torch.testing.assert_close(scale[..., 0], x.abs().amax(-1) / 127)
    assert torch.equal(q.abs().amax(-1), torch.full((2, 3), 127.0))
    assert torch.equal(q, q.round())
    assert ((q * scale - x).abs() <= 0.5001 * scale).all()
    assert not quantise_activations(torch.zeros(4))[0].any()
    assert np.float32(ACTIVATION_FLOOR) == KERNEL_FLOOR


# -- the layer --------------------------------------------------------------------------------------------------


@FEW
@given(st.integers(1, 700), SIZES, st.integers(1, 20), SEEDS)
def test_a_layer_has_the_bits_of_the_kernel(inputs, outputs, tokens, seed):
    torch.manual_seed(seed)
    layer, x = TernaryLinear(inputs, outputs), torch.randn(tokens, inputs)
    codes, scale = quantise(layer.weight)
    packed = pack_2bit(codes.numpy())
    found = layer(x).detach().numpy()
    np.testing.assert_array_equal(found, linear(packed, float(scale), x.numpy()))
    for row, token in zip(found, x.numpy(), strict=True):
        np.testing.assert_array_equal(row, linear(packed, float(scale), token))


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_are_those_of_the_quantised_product(share, dtype):
    layer = TernaryLinear(50, 30).to(dtype)
    set_share(layer, share)
    x = torch.randn(2, 7, 50, dtype=dtype, requires_grad=True)
    by = torch.randn(2, 7, 30, dtype=dtype)
    y = layer(x)
    q, step = quantise_activations(x)
    seen, weight = q * step, straight_through(layer.weight, share).detach()
    torch.testing.assert_close(y, seen @ weight.T)
    of_x, of_w = torch.autograd.grad((y * by).sum(), (x, layer.weight))
    torch.testing.assert_close(of_x, by @ weight)
    torch.testing.assert_close(of_w, torch.einsum("bto,bti->oi", by, seen))


@QUIET
def test_a_layer_has_exact_forward_derivatives():
    layer = TernaryLinear(50, 30).double()
    x, weight = torch.randn(7, 50).double(), layer.weight.detach()
    dx, dw = torch.randn_like(x), torch.randn_like(weight)

    def run(x, weight):
        return functional_call(layer, {"weight": weight}, x)

    y, dy, *_ = jvp(run, (x, weight), (dx, dw))
    q, step = quantise_activations(x)
    torch.testing.assert_close(y, layer(x))
    torch.testing.assert_close(dy, dx @ straight_through(weight).T + (q * step) @ dw.T)


def test_layers_of_zeros_are_finite():
    layer = TernaryLinear(5, 3)
    torch.nn.init.zeros_(layer.weight)
    for x in (torch.zeros(5), torch.ones(5)):
        x.requires_grad_()
        y = layer(x)
        assert not y.any()
        assert all(g.isfinite().all() for g in torch.autograd.grad(y.sum(), (x, layer.weight)))


def test_the_schedule_trains_a_layer_to_be_a_ternary_teacher():
    teacher = torch.randint(-1, 2, (16, 32)).float() * 0.3
    layer, steps = TernaryLinear(32, 16), 400
    optimiser = torch.optim.Adam(layer.parameters(), 0.01)

    def loss():
        x = torch.randn(64, 32)
        return (layer(x) - x @ teacher.T).square().mean()

    before = loss().item()
    for n in range(steps):
        set_share(layer, share_at(n / steps))
        optimiser.zero_grad()
        loss().backward()
        optimiser.step()
    assert loss().item() < 0.01 * before
    assert torch.equal(quantise(layer.weight)[0].sign().float(), teacher.sign())


def test_quantised_weights_are_kept_until_weights_or_share_change():
    torch.manual_seed(0)
    layer, x = TernaryLinear(10, 6), torch.randn(3, 10)

    def fresh():
        other = TernaryLinear(10, 6)
        other.load_state_dict(layer.state_dict())
        return other(x)

    first = layer(x)
    kept = layer._quantised()[0]
    assert layer._quantised()[0] is kept
    with torch.no_grad():
        layer.weight.neg_()
    torch.testing.assert_close(layer(x), fresh(), rtol=0, atol=0)
    assert not torch.equal(layer(x), first)
    layer.share.fill_(0.5)
    torch.testing.assert_close(layer(x), fresh(), rtol=0, atol=0)
    optimiser = torch.optim.AdamW(layer.parameters(), 0.1)
    layer(x).square().sum().backward()
    optimiser.step()
    torch.testing.assert_close(layer(x), fresh(), rtol=0, atol=0)
