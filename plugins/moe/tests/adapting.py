"""What tests of adaptation share: a head whose targets were shifted, and a curved loss."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import settings
from hypothesis import strategies as st

from tropism_moe.adaptation import Adapter
from tropism_moe.adaptation_config import AdaptationConfig
from tropism_moe.lattice import squared_distance

quick = settings(deadline=None, max_examples=25, derandomize=True)
seeds = st.integers(0, 2**32)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def curved(parameters):
    """A loss with all derivatives different from 0."""
    x = torch.linspace(-1, 1, 12, dtype=parameters["w"].dtype).reshape(4, 3)
    hidden = torch.tanh(x @ parameters["w"].T + parameters["b"])
    return (torch.log_softmax(hidden, -1)[:, 0] * hidden.square().sum(-1)).mean()


def curved_point(seed=0, dtype=torch.float64):
    draw = generator(seed)
    shapes = {"w": (5, 3), "b": (5,)}
    return {name: torch.randn(shape, dtype=dtype, generator=draw) for name, shape in shapes.items()}


def autograd(loss_fn, point):
    leaves = {name: p.clone().requires_grad_() for name, p in point.items()}
    return dict(zip(leaves, torch.autograd.grad(loss_fn(leaves), list(leaves.values())), strict=True))  # fmt: skip


def flat(tensors):
    return torch.cat([x.reshape(-1) for x in tensors.values()])


def shifted(seed=0, outputs=64, width=64, dtype=torch.float32):
    """A linear head, and what it should have become: 4 directions off."""
    draw = generator(seed)
    weight = torch.randn(outputs, width, generator=draw, dtype=dtype) / width**0.5
    thin = torch.randn(outputs, 4, generator=draw, dtype=dtype) / 2
    shift = thin @ torch.randn(4, width, generator=draw, dtype=dtype) / width**0.5
    return weight, weight + shift, draw


def online(adapter, target, draw, steps, pairs=1):
    """Losses of observations, one step of learning after each."""
    losses = []
    for _ in range(steps):
        x = torch.randn(pairs, target.shape[1], generator=draw, dtype=target.dtype)
        losses.append(adapter.observe(x, x @ target.T).mean().item())
        adapter.step()
    return losses


def away(positions, target):
    """Mean squared distance on the torus."""
    return squared_distance(positions, target).mean(-1)


def small():
    return Adapter(torch.zeros(3, 4), AdaptationConfig(rank=1), np.full((2, 3), 0.5))


def told(features, targets):
    adapter = small()
    adapter.observe(torch.zeros(2, 4), torch.zeros(2, 3))
    return adapter.observe(features, targets)
