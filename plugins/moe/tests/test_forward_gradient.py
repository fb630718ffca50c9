from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from plugins.moe.tests.adapting import autograd, curved, curved_point, flat, generator, quick, seeds

from tropism_moe.forward_gradient import forward_gradient


def drawn(point, directions, seed):
    """What the function draws for this seed."""
    draw = generator(seed)
    return {k: torch.randn(directions, *p.shape, dtype=p.dtype, generator=draw) for k, p in point.items()}  # fmt: skip


@quick
@given(st.integers(1, 6), seeds)
def test_a_forward_gradient_is_the_mean_of_slopes_along_directions(directions, seed):
    point = curved_point(seed)
    found = forward_gradient(curved, point, directions, generator(seed))
    true, along = flat(autograd(curved, point)), drawn(point, directions, seed)
    by_hand = torch.zeros(20, dtype=torch.float64)
    for k in range(directions):
        v = flat({name: x[k] for name, x in along.items()})
        by_hand += sum(float(a) * float(b) for a, b in zip(true, v, strict=True)) * v / directions
    torch.testing.assert_close(flat(found.gradients), by_hand)
    assert found.loss.item() == pytest.approx(curved(point).item())
    assert all(found.gradients[name].shape == p.shape for name, p in point.items())


def test_slopes_are_those_of_finite_differences():
    for seed in range(10):
        point = curved_point(seed)
        (v,) = [{name: x[0] for name, x in drawn(point, 1, seed).items()}]
        found = forward_gradient(curved, point, 1, generator(seed))
        slope = (flat(found.gradients) @ flat(v) / flat(v).square().sum()).item()
        step = 1e-5
        ahead, behind = ({k: p + sign * step * v[k] for k, p in point.items()} for sign in (1, -1))
        difference = (curved(ahead) - curved(behind)).item() / (2 * step)
        assert slope == pytest.approx(difference, rel=1e-3)


def test_a_forward_gradient_is_unbiased():
    weights = torch.linspace(0.5, 2, 1000, dtype=torch.float64)
    point, draw = {"x": torch.ones(1000, dtype=torch.float64)}, generator()

    def bowl(parameters):
        return (weights * parameters["x"].square()).sum() / 2

    found = torch.stack(
        [forward_gradient(bowl, point, 64, draw).gradients["x"] for _ in range(150)]
    )
    true = autograd(bowl, point)["x"]
    share = (found.mean(0) @ true / true.square().sum()).item()
    assert share == pytest.approx(1, abs=0.1)
    halves = found.mean(0).reshape(2, 500) * true.reshape(2, 500)
    np.testing.assert_allclose(halves.sum(1) / true.reshape(2, 500).square().sum(1), 1, atol=0.1)
    square = found.square().sum(1).mean() / true.square().sum()
    assert square.item() == pytest.approx((1000 + 64 + 1) / 64, rel=0.05)


@pytest.mark.parametrize(("n", "directions"), [(100, 8), (512, 8), (1000, 8), (1000, 64), (50, 50)])
def test_its_cosine_is_the_root_of_k_over_n_and_k(n, directions):
    slope = torch.randn(n, generator=generator(1))
    point, draw, cosines = {"x": torch.zeros(n)}, generator(2), []
    for _ in range(150):
        (found,) = forward_gradient(lambda p: p["x"] @ slope, point, directions, draw)[1].values()
        cosines.append(torch.cosine_similarity(found, slope, 0).item())
    assert np.mean(cosines) == pytest.approx((directions / (n + directions)) ** 0.5, rel=0.1)


def test_the_same_generator_gives_the_same_bits_and_parameters_stay():
    for dtype in (torch.float32, torch.float64):
        point = curved_point(dtype=dtype)
        before = {name: p.clone() for name, p in point.items()}
        first = forward_gradient(curved, point, 3, generator(4))
        again = forward_gradient(curved, point, 3, generator(4))
        other = forward_gradient(curved, point, 3, generator(5))
        assert torch.equal(flat(first.gradients), flat(again.gradients))
        assert not torch.equal(flat(first.gradients), flat(other.gradients))
        assert all(torch.equal(point[name], before[name]) for name in point)
        assert first.loss.dtype == flat(first.gradients).dtype == dtype
