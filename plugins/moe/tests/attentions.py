"""Layers of attention, and the same by hand."""

from __future__ import annotations

import torch

from tropism_moe.attention import WindowedAttention

WIDTH, HEADS, GROUPS, HEAD = 12, 4, 2, 6


def layer_of(window, seed=0, dtype=torch.float32):
    torch.manual_seed(seed)
    return WindowedAttention(WIDTH, HEADS, GROUPS, HEAD, window).to(dtype)


def doubles(tensor):
    return tensor.detach().double().numpy()


def close(found, expected, atol):
    torch.testing.assert_close(found, expected, rtol=0, atol=atol)
