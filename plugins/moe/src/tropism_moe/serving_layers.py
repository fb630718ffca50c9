"""The layers as they are served, in NumPy: one step of ``B`` lanes, from packed weights.

They compute what :mod:`tropism_moe.recurrence` and :mod:`tropism_moe.attention` compute for one step, up to rounding, and the same bits for a
lane whatever the others are.  Shapes: width ``D``, rank ``r``, ``G`` heads of keys of width ``h``, window ``P``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tropism_moe.attention import BASE
from tropism_moe.blocks import EPSILON
from tropism_moe.config import ModelConfig
from tropism_moe.packed import MATRICES, Packed
from tropism_moe.recurrence import DECAY_FLOOR, READ_EPSILON
from tropism_moe.shapes import attention_shapes, recurrence_shapes

Floats = npt.NDArray[Any]
"""float32."""


def normalise(x: Floats, gain: Floats | float = 1.0, epsilon: float = EPSILON) -> Floats:
    """Root-mean-square normalisation of ``float32[B, D]``."""
    return (
        x / np.sqrt(np.square(x).mean(-1, keepdims=True) + np.float32(epsilon)) * np.float32(gain)
    )


def product(x: Floats, w: Floats) -> Floats:
    """``x w`` of ``float32[B, K]`` and ``float32[K, N]``, row by row: a product of all rows at once would sum in another order."""
    return (x[:, None] @ w)[:, 0]


def silu(x: Floats) -> Floats:
    """``x`` times its sigmoid."""
    return x * sigmoid(x)


def sigmoid(x: Floats) -> Floats:
    """Without overflow."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, small) / (1 + small)


class Recurrence:
    """A layer of gated linear recurrence.

    Args:
        arrays: named arrays of the model.
        name: of the layer among them.
        config: shapes.
    """

    def __init__(self, arrays: Mapping[str, Any], name: str, config: ModelConfig) -> None:
        self.shape = config.width, config.rank
        self.maps = {
            part: Packed.read(arrays, f"{name}.{part}")
            for part in recurrence_shapes(config.width, config.rank)
        }
        self.bias = arrays[f"{name}.decay_bias"]

    def begin(self, lanes: int) -> Floats:
        """Nothing written, ``float32[B, D, r]``."""
        return np.zeros((lanes, *self.shape), np.float32)

    def step(self, x: Floats, weights: Floats) -> tuple[Floats, Floats]:
        """What is added to the stream, ``float32[B, D]``, and the fast weights after the step."""
        maps = self.maps
        decay = np.maximum(sigmoid(maps["decay"](x) + self.bias), np.float32(DECAY_FLOOR))
        written = maps["value"](x)[..., None] * maps["key"](x)[:, None]
        weights = weights * decay[..., None] + written
        found = (weights @ maps["query"](x)[..., None])[..., 0]
        return maps["out"](normalise(found, epsilon=READ_EPSILON)), weights


class Cache(NamedTuple):
    """What a window holds, oldest first: ``float32[B, G, P, h]`` twice, and the steps of each lane so far, ``int64[B]``."""

    keys: Floats
    values: Floats
    count: npt.NDArray[np.int64]  # pyright: ignore[reportIncompatibleMethodOverride]  nobody counts a tuple's parts


class Attention:
    """A layer of windowed attention; arguments as of :class:`Recurrence`."""

    def __init__(self, arrays: Mapping[str, Any], name: str, config: ModelConfig) -> None:
        heads = config.query_heads, config.kv_heads, config.head_width
        self.maps = {
            part: Packed.read(arrays, f"{name}.{part}")
            for part in attention_shapes(config.width, *heads)
        }
        self.shape = config.kv_heads, config.window, config.head_width
        self.speed = BASE ** (-np.arange(0, config.head_width, 2) / config.head_width)

    def begin(self, lanes: int) -> Cache:
        """Nothing seen."""
        keys, values = np.zeros((2, lanes, *self.shape), np.float32)
        return Cache(keys, values, np.zeros(lanes, np.int64))

    def step(self, x: Floats, cache: Cache) -> tuple[Floats, Cache]:
        """What is added to the stream, ``float32[B, D]``, and the window after the step."""
        groups, window, width = self.shape
        query, key, value = (
            self.maps[part](x).reshape(len(x), -1, width) for part in ("query", "key", "value")
        )
        query, key = self._turn(query, cache.count), self._turn(key, cache.count)
        keys = np.concatenate([cache.keys[:, :, 1:], key[:, :, None]], 2)
        values = np.concatenate([cache.values[:, :, 1:], value[:, :, None]], 2)
        asked = query.reshape(len(x), groups, -1, width) * np.float32(width**-0.5)
        scores = asked @ keys.swapaxes(-1, -2)  # [B, G, H / G, P]
        seen = np.arange(window) >= window - 1 - cache.count[:, None]
        scores = np.where(seen[:, None, None], scores, -np.inf)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        found = (weights / weights.sum(-1, keepdims=True)) @ values
        return self.maps["out"](found.reshape(len(x), -1)), Cache(keys, values, cache.count + 1)

    def _turn(self, x: Floats, count: npt.NDArray[np.int64]) -> Floats:
        """Rotary positions of ``float32[B, ., h]``, channel ``i`` and channel ``i + h / 2`` as a pair."""
        angle = count[:, None, None] * self.speed
        cos, sin = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
        a, b = np.split(x, 2, -1)
        return np.concatenate([a * cos - b * sin, a * sin + b * cos], -1)


class FeedForward:
    """The network that all inputs share; arguments as of :class:`Recurrence`."""

    def __init__(self, arrays: Mapping[str, Any], name: str) -> None:
        self.maps = {part: Packed.read(arrays, f"{name}.{part}") for part in MATRICES}

    def __call__(self, x: Floats) -> Floats:
        """``float32[B, D]`` of ``float32[B, D]``."""
        return self.maps["down"](silu(self.maps["gate"](x)) * self.maps["up"](x))
