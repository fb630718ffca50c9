"""Four layers of the model as they are served; they stop wherever they need experts."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tropism_moe.config import BLOCK, ModelConfig
from tropism_moe.packed import Arrays
from tropism_moe.routing import Tables, place
from tropism_moe.serving_layers import Attention, FeedForward, Floats, Recurrence, normalise
from tropism_moe.store_errors import Key

Indices = npt.NDArray[np.int64]
State = tuple[Any, ...]
"""Of every layer: fast weights ``float32[B, D, r]``, or what a window holds."""
Chooser = Callable[[Floats, Floats, Sequence[int]], Indices]
"""Of the positions of lanes in three layers ``float64[B, 3, 3]``, of their experts ``float64[3, E, 3]``, and the layers: ``int64[B, 3]``."""
Answer = Callable[[Floats, int, Indices], Floats]
"""What the experts ``int64[B]`` of a layer say to ``float32[B, D]``."""
Through = Generator[Iterable[Key], None, tuple[Floats, Indices]]
"""Lanes on their way: they tell which slabs they will ask for as soon as it is their turn again, and end with stream and experts."""


class Block:
    """Three layers that recur and have experts, and one that attends."""

    def __init__(self, arrays: Arrays, name: str, number: int, config: ModelConfig) -> None:
        tables = (arrays[f"{name}.routers.{part}"] for part in Tables._fields)
        self.tables = Tables(*(table.astype(np.float64) for table in tables))
        self.layers = [number * BLOCK + n for n in range(BLOCK - 1)]
        self.pre_gated = config.pre_gated
        self.recurrences = [
            Recurrence(arrays, f"{one}.recurrence", (f"{one}.norm", f"{one}.norm_expert"), config)
            for one in (f"{name}.recurrent.{n}" for n in range(BLOCK - 1))
        ]
        last = f"{name}.attention"
        norms = f"{last}.norm", f"{last}.norm_feed"
        self.attention = Attention(arrays, f"{last}.attention", norms, config)
        self.feed = FeedForward(arrays, f"{last}.feed")

    def begin(self, lanes: int) -> State:
        """Nothing read."""
        return (*(r.begin(lanes) for r in self.recurrences), self.attention.begin(lanes))

    def step(
        self, x: Floats, before: State, after: State, choose: Chooser, answer: Answer
    ) -> Through:
        """The stream after the block, and the experts that were chosen, ``int64[3, B]``; fills in the state ``after``."""
        chosen = np.empty((BLOCK - 1, len(x)), np.int64)
        if self.pre_gated:
            entry = normalise(x, self.recurrences[0].norms[0])
            yield self._choose(entry, slice(None), choose, chosen)
        parts = zip(self.recurrences, self.layers, before, after, strict=False)
        for n, (recurrence, layer, old, new) in enumerate(parts):
            x, h = recurrence.step(x, old, new)
            if not self.pre_gated:
                yield self._choose(h, slice(n, n + 1), choose, chosen)
            x = x + answer(h, layer, chosen[n])
        x, h = self.attention.step(x, before[-1], after[-1])
        x = x + self.feed(h)
        return x, chosen

    def _choose(self, h: Floats, some: slice, choose: Chooser, chosen: Indices) -> list[Key]:
        """Choose experts of some layers for ``float32[B, D]``, into ``int64[3, B]``; the slabs in the order in which they will be asked for."""
        weights, bias, positions = (table[some] for table in self.tables)
        layers = self.layers[some]
        chosen[some] = choose(place(weights, bias, h[:, None]), positions, layers).T
        pairs = zip(layers, chosen[some].tolist(), strict=True)
        return [(layer, e) for layer, one in pairs for e in one]
