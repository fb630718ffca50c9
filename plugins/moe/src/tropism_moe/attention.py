"""Grouped-query attention over a window of positions, with a cache of fixed size, so that a step costs one window.

Shapes: ``B`` lanes, ``T`` steps, ``D`` width, ``H`` heads of queries, ``G`` of keys and values, ``h`` width of each, ``P`` the
window, ``N = P - 1 + T`` the places at hand.  Every group of ``H / G`` heads shares keys and values (Ainslie et al. 2023,
arXiv:2305.13245).  Sizes of the seed (002): 32 and 8 heads of 128, a window of 512.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from tropism_moe.blocks import expect, expect_stretch, linear
from tropism_moe.shapes import attention_shapes, check_sizes

BASE = 10_000.0
"""Of the periods of rotary positions (seed 002)."""
LEAST_STRETCH = 64
"""Steps that are read at once at least; a smaller window would make many small products."""


class Cache(NamedTuple):
    """The last ``P`` positions, oldest first.

    Place ``i`` holds position ``count - P + i`` of the episode; it is empty where that is negative.

    Attributes:
        keys: turned by their positions, ``float[B, G, P, h]``.
        values: ``float[B, G, P, h]``.
        count: steps of the episode so far, ``int64[B]``.
    """

    keys: Tensor
    values: Tensor
    count: Tensor  # pyright: ignore[reportIncompatibleMethodOverride]  nobody counts a tuple's parts

    def forget(self, mask: Tensor) -> Cache:
        """The same with nothing seen in the lanes of ``bool[B]``.

        Raises:
            OptionError: if the mask has another shape or type.
        """
        expect("mask", mask, (len(self.count),), torch.bool)
        lanes = mask[:, None, None, None]
        keys, values = self.keys.masked_fill(lanes, 0), self.values.masked_fill(lanes, 0)
        return Cache(keys, values, self.count.masked_fill(mask, 0))

    def detach(self) -> Cache:
        """The same, through which no gradient flows."""
        return Cache(self.keys.detach(), self.values.detach(), self.count)


def positions(count: Tensor, steps: int, resets: Tensor | None) -> Tensor:
    """Of further steps in their episodes, ``int64[B, T]``; 0 where one begins.

    Args:
        count: steps of the episode so far, ``int64[B]``.
        steps: ``T``.
        resets: where an episode begins, ``bool[B, T]``.
    """
    at = count[:, None] + torch.arange(steps, device=count.device)
    if resets is None:
        return at
    return at - torch.where(resets, at, 0).cummax(1).values


def turns(position: Tensor, width: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Cosines and sines of rotary positions (Su et al. 2021, arXiv:2104.09864), each ``float[B, 1, T, h / 2]``.

    Angles are float64: float32 would round those of late positions, and what is far into an episode would differ.

    Args:
        position: ``int64[B, T]``.
        width: ``h``.
        dtype: of the result.
    """
    pairs = torch.arange(0, width, 2, dtype=torch.float64, device=position.device)
    angle = position[:, None, :, None] * BASE ** (-pairs / width)
    return angle.cos().to(dtype), angle.sin().to(dtype)


def rotate(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """Heads ``float[B, ., T, h]``, channel ``i`` and channel ``i + h / 2`` turned as a pair.

    The seed pairs neighbours; which channels pair is a matter of the order of rows in two maps.
    """
    cos, sin = turn
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)


def visible(position: Tensor, window: int) -> Tensor:
    """Which of the ``N`` places at hand a step sees, ``bool[B, T, N]``: those of its window and of its episode.

    Args:
        position: of the steps in their episodes, ``int64[B, T]``; as many places before a step are of its episode.
        window: ``P``.
    """
    steps = torch.arange(position.shape[1], device=position.device)
    places = torch.arange(window - 1 + len(steps), device=position.device)
    back = steps[:, None] + window - 1 - places
    return (back >= 0) & (back <= position.clamp(max=window - 1)[..., None])


def attend(queries: Tensor, keys: Tensor, values: Tensor, seen: Tensor) -> Tensor:
    """What queries ``float[B, H, T, h]`` find, ``float[B, H, T, h]``.

    Args:
        queries: head ``i`` of them asks head ``i // (H / G)`` of the keys.
        keys: ``float[B, G, N, h]``.
        values: ``float[B, G, N, h]``.
        seen: ``bool[B, T, N]``, something in every row.
    """
    groups = keys.shape[1]
    asked = queries.unflatten(1, (groups, -1))
    rows = asked.flatten(2, 3) * queries.shape[-1] ** -0.5
    scores = (rows @ keys.mT).unflatten(2, asked.shape[2:4])
    weights = scores.masked_fill(~seen[:, None, None], -torch.inf).softmax(-1)
    return (weights.flatten(2, 3) @ values).view(asked.shape).flatten(1, 2)


class WindowedAttention(nn.Module):
    """The layer.

    Args:
        width: ``D``.
        query_heads: ``H``, a multiple of ``kv_heads``.
        kv_heads: ``G``.
        head_width: ``h``, even.
        window: ``P``, positions that a step sees, itself included.

    Raises:
        OptionError: if a size is below 1, or the heads do not fit.
    """

    def __init__(
        self, width: int, query_heads: int, kv_heads: int, head_width: int, window: int
    ) -> None:
        super().__init__()
        check_sizes(window=window)
        self.width, self.window, self.head_width = width, window, head_width
        self.query_heads, self.kv_heads = query_heads, kv_heads
        shapes = attention_shapes(width, query_heads, kv_heads, head_width)
        self.query, self.key = linear(shapes["query"]), linear(shapes["key"])
        self.value, self.out = linear(shapes["value"]), linear(shapes["out"])

    def begin(self, lanes: int) -> Cache:
        """Nothing seen, in ``lanes`` lanes."""
        weight = next(self.parameters())
        keys, values = (weight.new_zeros(self._cache_shape(lanes)) for _ in range(2))
        return Cache(keys, values, weight.new_zeros(lanes, dtype=torch.int64))

    def forward(
        self, x: Tensor, state: Cache, resets: Tensor | None = None
    ) -> tuple[Tensor, Cache]:
        """Read further steps; one by one, in stretches of any lengths, or all at once, it finds the same.

        Args:
            x: the normalised stream, ``float[B, T, D]``.
            state: of the steps before.
            resets: where an episode begins, of whose steps none sees any before, ``bool[B, T]``; nowhere by default.

        Returns:
            What is added to the stream, ``float[B, T, D]``, and the state after the last step.

        Raises:
            OptionError: if a shape or type is another.
        """
        expect_stretch(x, self.width, resets)
        expect("keys", state.keys, self._cache_shape(len(x)))
        expect("values", state.values, self._cache_shape(len(x)))
        expect("count", state.count, (len(x),), torch.int64)
        position = positions(state.count, x.shape[1], resets)
        found, keys, values = self._read(x, position, state)
        after = Cache(keys, values, position[:, -1] + 1)
        return self.out(found.transpose(1, 2).flatten(2)), after

    def _cache_shape(self, lanes: int) -> tuple[int, int, int, int]:
        return lanes, self.kv_heads, self.window, self.head_width

    def _read(self, x: Tensor, position: Tensor, state: Cache) -> tuple[Tensor, Tensor, Tensor]:
        """What all heads find, ``float[B, H, T, h]``, and the keys and values to keep.

        A long stretch is cut, since what is read at once costs its square.
        """
        size = max(self.window, LEAST_STRETCH)
        parts = (part.split(size, 2) for part in self._heads(x, position))
        found, keys, values = [], state.keys, state.values
        for q, k, v, at in zip(*parts, position.split(size, 1), strict=True):
            keys = torch.cat([keys[:, :, 1:], k], 2)
            values = torch.cat([values[:, :, 1:], v], 2)
            found.append(attend(q, keys, values, visible(at, self.window)))
            keys, values = keys[:, :, -self.window :], values[:, :, -self.window :]
        return torch.cat(found, 2), keys.contiguous(), values.contiguous()

    def _heads(self, x: Tensor, position: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, ``float[B, ., T, h]``, the first two turned by their positions."""
        turn = turns(position, self.head_width, x.dtype)
        q, k, v = (
            layer(x).unflatten(-1, (-1, self.head_width)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        return rotate(q, turn), rotate(k, turn), v
