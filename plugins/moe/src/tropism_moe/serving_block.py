"""Four layers of the model as they are served; they stop wherever they need experts."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tropism_moe.config import BLOCK, ModelConfig
from tropism_moe.kernels_routing import projected
from tropism_moe.lattice import mod_one
from tropism_moe.packed import Arrays
from tropism_moe.routing import Tables
from tropism_moe.serving_layers import Attention, FeedForward, Floats, Recurrence, normalise
from tropism_moe.store_errors import Key

Indices = npt.NDArray[np.int64]
State = tuple[Any, ...]
"""Of every layer: fast weights ``float32[B, D, r]``, or what a window holds; of a block that is gated ahead, its entry, too."""
Asked = npt.NDArray[np.float64]
"""``W h`` of the routers of three layers, without their biases, ``float64[B, 3, 3]``: zeros at the first step, when nothing was read."""
Chooser = Callable[[Floats, Floats, Sequence[int]], Indices]
"""Of the positions of lanes in three layers ``float64[B, 3, 3]``, of their experts ``float64[3, E, 3]``, and the layers: ``int64[B, 3]``."""
Answer = Callable[[Floats, int, Indices], Floats]
"""What the experts ``int64[B]`` of a layer say to ``float32[B, D]``."""
Through = Generator[Iterable[Key], None, tuple[Floats, Indices]]
"""Lanes on their way: they tell which slabs they will ask for as soon as it is their turn again, and end with stream and experts."""

ALL = slice(None)


class Block:
    """Three layers that recur and have experts, and one that attends."""

    def __init__(self, arrays: Arrays, name: str, number: int, config: ModelConfig) -> None:
        tables = (arrays[f"{name}.routers.{part}"] for part in Tables._fields)
        self.tables = Tables(*(table.astype(np.float64) for table in tables))
        self.layers = [number * BLOCK + n for n in range(BLOCK - 1)]
        self.pre_gated, self.ahead = config.pre_gated, config.gated_ahead
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
        state = (*(r.begin(lanes) for r in self.recurrences), self.attention.begin(lanes))
        return (*state, np.zeros((lanes, BLOCK - 1, 3))) if self.ahead else state

    def step(
        self, x: Floats, before: State, after: State, choose: Chooser, answer: Answer, known: Indices | None = None
    ) -> Through:  # fmt: skip
        """The stream after the block, and the experts that answered, ``int64[3, B]``; fills in the state ``after``.

        It stops where it has chosen experts, and nowhere if they are ``known``: then the state knows already what the next ones are
        chosen by.
        """
        chosen = np.empty((BLOCK - 1, len(x)), np.int64) if known is None else known
        if self.pre_gated and known is None:
            asked = self.entry(x)
            if self.ahead:
                asked, after[BLOCK][:] = before[BLOCK], asked
            chosen[:] = self.choose(asked, choose)
            yield self.keys(chosen)
        parts = zip(self.recurrences, self.layers, before, after, strict=False)
        for n, (recurrence, layer, old, new) in enumerate(parts):
            x, h = recurrence.step(x, old, new)
            if not self.pre_gated:
                one = slice(n, n + 1)
                asked = projected(self.tables.weights[one], h)
                chosen[one] = self.choose(asked, choose, one)
                yield self.keys(chosen[one], one)
            x = x + answer(h, layer, chosen[n])
        x, h = self.attention.step(x, before[BLOCK - 1], after[BLOCK - 1])
        return x + self.feed(h), chosen

    def entry(self, x: Floats) -> Asked:
        """By what the stream at the entry chooses experts, of this step or, ahead, of the next one."""
        return projected(self.tables.weights, normalise(x, self.recurrences[0].norms[0]))

    def choose(self, asked: Asked, choose: Chooser, some: slice = ALL) -> Indices:
        """Experts of some layers, ``int64[3, B]``."""
        _, bias, positions = (table[some] for table in self.tables)
        return choose(mod_one(asked + bias), positions, self.layers[some]).T

    def keys(self, chosen: Indices, some: slice = ALL) -> list[Key]:
        """The slabs of experts ``int64[3, B]``, in the order in which they will be asked for."""
        pairs = zip(self.layers[some], chosen.tolist(), strict=True)
        return [(layer, e) for layer, one in pairs for e in one]
