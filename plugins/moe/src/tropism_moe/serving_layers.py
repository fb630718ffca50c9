"""The layers as they are served, compiled: one step of ``B`` lanes, from packed weights.

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
from tropism_moe.kernels import Expert, Workspace, expert
from tropism_moe.kernels_layers import attend_into, normalise_into, recur_into
from tropism_moe.packed import MATRICES, Packed
from tropism_moe.recurrence import DECAY_FLOOR, READ_EPSILON
from tropism_moe.shapes import attention_shapes, recurrence_shapes

Floats = npt.NDArray[Any]
"""float32."""
FLOOR = np.float32(DECAY_FLOOR)


def normalise(x: Floats, gain: Floats, epsilon: float = EPSILON) -> Floats:
    """Root-mean-square normalisation of ``float32[B, D]``."""
    out = np.empty_like(x)
    normalise_into(x, gain, epsilon, out)
    return out


def product(x: Floats, w: Floats) -> Floats:
    """``x w`` of ``float32[B, K]`` and ``float32[K, N]``, row by row: a product of all rows at once would sum in another order."""
    return (x[:, None] @ w)[:, 0]


class Recurrence:
    """A layer of gated linear recurrence.

    Args:
        arrays: named arrays of the model.
        name: of the layer among them.
        config: shapes.
    """

    def __init__(self, arrays: Mapping[str, Any], name: str, config: ModelConfig) -> None:
        self.shape = config.rank, config.width
        self.maps = {
            part: Packed.read(arrays, f"{name}.{part}")
            for part in recurrence_shapes(config.width, config.rank)
        }
        self.bias = arrays[f"{name}.decay_bias"]
        self.gain = np.ones(config.width, np.float32)

    def begin(self, lanes: int) -> Floats:
        """Nothing written, ``float32[B, r, D]``."""
        return np.zeros((lanes, *self.shape), np.float32)

    def step(self, x: Floats, before: Floats) -> tuple[Floats, Floats]:
        """What is added to the stream, ``float32[B, D]``, and the fast weights after the step."""
        maps, after, found = self.maps, np.empty_like(before), np.empty_like(x)
        value, key, query = (maps[part](x) for part in ("value", "key", "query"))
        recur_into(before, maps["decay"](x), self.bias, FLOOR, value, key, query, after, found)
        return maps["out"](normalise(found, self.gain, READ_EPSILON)), after


class Cache(NamedTuple):
    """What a window holds, step ``t`` at place ``t mod P``.

    Attributes:
        keys: ``float32[B, G, h, P]``.
        values: ``float32[B, G, P, h]``.
        count: steps of each lane so far, ``int64[B]``.
    """

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
        groups, window, width = self.shape
        keys = np.zeros((lanes, groups, width, window), np.float32)
        values = np.zeros((lanes, groups, window, width), np.float32)
        return Cache(keys, values, np.zeros(lanes, np.int64))

    def step(self, x: Floats, cache: Cache) -> tuple[Floats, Cache]:
        """What is added to the stream, ``float32[B, D]``, and the window after the step."""
        query, key, value = (self.maps[part](x) for part in ("query", "key", "value"))
        after, found = (
            Cache(cache.keys.copy(), cache.values.copy(), cache.count + 1),
            np.empty_like(query),
        )
        attend_into(query, key, value, cache.count, self.speed, after.keys, after.values, found)
        return self.maps["out"](found), after


class FeedForward:
    """The network that all inputs share, an expert that everyone meets; arguments as of :class:`Recurrence`."""

    def __init__(self, arrays: Mapping[str, Any], name: str) -> None:
        gate, up, down = (Packed.read(arrays, f"{name}.{part}") for part in MATRICES)
        scales = np.array([part.scale for part in (gate, up, down)], np.float32)
        self.network = Expert(gate.weights, up.weights, down.weights, scales)
        self.work = Workspace(*self.network.shape)

    def __call__(self, x: Floats) -> Floats:
        """``float32[B, D]`` of ``float32[B, D]``."""
        said = np.empty_like(x)
        for row, out in zip(x, said, strict=True):
            out[:] = expert(self.network, row, self.work)
        return said
