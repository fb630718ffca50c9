"""The layers as they are served, compiled: one step of ``B`` lanes, from packed weights.

They compute what :mod:`tropism_moe.recurrence` and :mod:`tropism_moe.attention` compute for one step, up to rounding, and the same bits for a
lane whatever the others are.  Shapes: width ``D``, rank ``r``, ``G`` heads of keys of width ``h``, window ``P``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tropism.errors import OptionError
from tropism_moe.attention import BASE
from tropism_moe.blocks import EPSILON
from tropism_moe.config import ModelConfig
from tropism_moe.kernel_checks import not_finite
from tropism_moe.kernels import FASTEST, at_once
from tropism_moe.kernels_blocks import (
    ATTENTION,
    RECURRENCE,
    attention_into,
    recurrence_into,
)
from tropism_moe.kernels_expert import Expert, Workspace, answer
from tropism_moe.kernels_layers import attend_into, normalise_into, recur_into
from tropism_moe.packed import MATRICES, Packed
from tropism_moe.recurrence import DECAY_FLOOR, READ_EPSILON

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


class Layer:
    """What layers have in common: maps, and the norms before and after them.

    Args:
        arrays: named arrays of the model.
        name: of the layer among them.
        norms: names of the norms before and after it.
        parts: names of its maps, in the order of its kernel.
    """

    def __init__(self, arrays: Mapping[str, Any], name: str, norms: Sequence[str], parts: Sequence[str]) -> None:  # fmt: skip
        self.norms = np.stack([arrays[f"{norm}.weight"] for norm in norms])
        self.maps = {part: Packed.read(arrays, f"{name}.{part}") for part in parts}
        scales = np.array([self.maps[part].scale for part in parts], np.float32)
        self.packed = tuple(self.maps[part].weights for part in parts), scales, self.norms, EPSILON

    def added(self, x: Floats, found: Floats) -> tuple[Floats, Floats]:
        """The stream after the layer, and the same, normalised."""
        x = x + found
        return x, normalise(x, self.norms[1])


def check_rows(x: Floats, bad: int) -> None:
    """Refuse what a kernel said is not finite.

    Raises:
        OptionError: naming the number and its place, or the lane whose state led to it.
    """
    if bad >= 0 and np.isfinite(x[bad]).all():
        raise OptionError(
            f"what a layer reads in its state must be finite, and is not in lane {bad}; go on from another state"
        )
    if bad >= 0:
        raise not_finite("the stream before a layer", x[bad])


class Recurrence(Layer):
    """A layer of gated linear recurrence.

    Args:
        arrays: named arrays of the model.
        name: of the layer among them.
        norms: names of the norms before and after it.
        config: shapes.
    """

    def __init__(self, arrays: Mapping[str, Any], name: str, norms: Sequence[str], config: ModelConfig) -> None:  # fmt: skip
        super().__init__(arrays, name, norms, RECURRENCE)
        self.shape = config.rank, config.width
        self.bias = arrays[f"{name}.decay_bias"]
        self.own = FLOOR, np.ones(config.width, np.float32), READ_EPSILON

    def begin(self, lanes: int) -> Floats:
        """Nothing written, ``float32[B, r, D]``."""
        return np.zeros((lanes, *self.shape), np.float32)

    def step(self, x: Floats, before: Floats, after: Floats) -> tuple[Floats, Floats]:
        """The stream ``float32[B, D]`` after the layer, and the same, normalised; fills in the fast weights ``after`` the step."""
        if at_once(len(x)):
            return self._all_at_once(x, before, after)
        out, h = np.empty_like(x), np.empty_like(x)
        bad = recurrence_into(FASTEST, *self.packed, self.bias, *self.own, x, before, after, out, h)
        check_rows(x, bad)
        return out, h

    def _all_at_once(self, x: Floats, before: Floats, after: Floats) -> tuple[Floats, Floats]:
        """The same, each map of all rows together."""
        maps, found, h = self.maps, np.empty_like(x), normalise(x, self.norms[0])
        value, key, query = (maps[part](h) for part in ("value", "key", "query"))
        recur_into(before, maps["decay"](h), self.bias, FLOOR, value, key, query, after, found)
        return self.added(x, maps["out"](normalise(found, *self.own[1:])))


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


class Attention(Layer):
    """A layer of windowed attention; arguments as of :class:`Recurrence`."""

    def __init__(self, arrays: Mapping[str, Any], name: str, norms: Sequence[str], config: ModelConfig) -> None:  # fmt: skip
        super().__init__(arrays, name, norms, ATTENTION)
        self.shape = config.kv_heads, config.window, config.head_width
        self.speed = BASE ** (-np.arange(0, config.head_width, 2) / config.head_width)

    def begin(self, lanes: int) -> Cache:
        """Nothing seen."""
        groups, window, width = self.shape
        keys = np.zeros((lanes, groups, width, window), np.float32)
        values = np.zeros((lanes, groups, window, width), np.float32)
        return Cache(keys, values, np.zeros(lanes, np.int64))

    @staticmethod
    def enter(before: Cache, after: Cache) -> None:
        """Begin a window with what the one before holds."""
        after.keys[:], after.values[:], after.count[:] = before.keys, before.values, before.count + 1  # fmt: skip

    def step(self, x: Floats, before: Cache, after: Cache) -> tuple[Floats, Floats]:
        """The stream ``float32[B, D]`` after the layer, and the same, normalised; fills in the window ``after`` the step."""
        self.enter(before, after)
        if at_once(len(x)):
            return self._all_at_once(x, before, after)
        out, h = np.empty_like(x), np.empty_like(x)
        window = before.count, after.keys, after.values
        check_rows(x, attention_into(FASTEST, *self.packed, self.speed, x, *window, out, h))
        return out, h

    def _all_at_once(self, x: Floats, before: Cache, after: Cache) -> tuple[Floats, Floats]:
        """The same, each map of all rows together."""
        h = normalise(x, self.norms[0])
        query, key, value = (self.maps[part](h) for part in ("query", "key", "value"))
        found = np.empty_like(query)
        attend_into(query, key, value, before.count, self.speed, after.keys, after.values, found)
        return self.added(x, self.maps["out"](found))


class FeedForward:
    """The network that all inputs share, an expert that everyone meets; arguments as of :class:`Recurrence`."""

    def __init__(self, arrays: Mapping[str, Any], name: str) -> None:
        gate, up, down = (Packed.read(arrays, f"{name}.{part}") for part in MATRICES)
        scales = np.array([part.scale for part in (gate, up, down)], np.float32)
        self.network = Expert.of(gate.weights, up.weights, down.weights, scales)
        self.work = Workspace(self.network.width, self.network.hidden)

    def __call__(self, x: Floats) -> Floats:
        """``float32[B, D]`` of ``float32[B, D]``."""
        said = np.empty_like(x)
        answer(self.network, x, np.arange(len(x)), said, self.work)
        return said
