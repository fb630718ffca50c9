"""Four layers of the model as they are served; they stop wherever they need experts."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tropism_moe.blocks import EPSILON
from tropism_moe.config import BLOCK, ModelConfig
from tropism_moe.kernels import FASTEST
from tropism_moe.kernels_expert import Expert
from tropism_moe.kernels_lane import block_into
from tropism_moe.kernels_routing import foresee_into, projected
from tropism_moe.lattice import mod_one
from tropism_moe.packed import Arrays
from tropism_moe.routing import Tables
from tropism_moe.serving_layers import Attention, FeedForward, Floats, Recurrence, normalise
from tropism_moe.store_errors import Key

Indices = npt.NDArray[np.int64]
State = tuple[Any, ...]
"""Of every layer: fast weights ``float32[B, D, r]``, or what a window holds; of a block that is gated ahead, its last entries, too."""
Asked = npt.NDArray[np.float64]
"""``W h`` of the routers of three layers, without their biases, ``float64[B, 3, 3]``: zeros at the first step, when nothing was read."""
Chooser = Callable[[Floats, Floats, Sequence[int]], Indices]
"""Of the positions of lanes in three layers ``float64[B, 3, 3]``, of their experts ``float64[3, E, 3]``, and the layers: ``int64[B, 3]``."""
Through = Generator[Iterable[Key], None, tuple[Floats, Indices]]
"""Lanes on their way: they tell which slabs they will ask for as soon as it is their turn again, and end with stream and experts."""

ALL = slice(None)


class Experts(Protocol):
    """Whoever has them."""

    def answer(self, h: Floats, layer: int, experts: Indices) -> Floats:
        """What the experts ``int64[B]`` of a layer say to ``float32[B, D]``."""
        ...

    def beside(self, layers: Sequence[int], experts: Indices) -> list[Expert] | None:
        """The experts of some layers together, ``int64[layers, 1]``; None if they are rather had one by one."""
        ...


class Block:
    """Three layers that recur and have experts, and one that attends."""

    def __init__(self, arrays: Arrays, name: str, number: int, config: ModelConfig) -> None:
        tables = (arrays[f"{name}.routers.{part}"] for part in Tables._fields)
        self.tables = Tables(*(table.astype(np.float64) for table in tables))
        self.layers = [number * BLOCK + n for n in range(BLOCK - 1)]
        self._tables = tuple(self.tables)
        self.pre_gated, self.ahead = config.pre_gated, config.gated_ahead
        self.recurrences = [
            Recurrence(arrays, f"{one}.recurrence", (f"{one}.norm", f"{one}.norm_expert"), config)
            for one in (f"{name}.recurrent.{n}" for n in range(BLOCK - 1))
        ]
        last = f"{name}.attention"
        norms = f"{last}.norm", f"{last}.norm_feed"
        self.attention = Attention(arrays, f"{last}.attention", norms, config)
        self.feed = FeedForward(arrays, f"{last}.feed")
        network = self.feed.network
        self._kernel = (
            tuple((*r.packed, r.bias) for r in self.recurrences), self.recurrences[0].own, self.attention.packed,
            self.attention.speed, (network.slab, network.scales),
        )  # fmt: skip

    def begin(self, lanes: int) -> State:
        """Nothing read."""
        state = (*(r.begin(lanes) for r in self.recurrences), self.attention.begin(lanes))
        return (*state, np.zeros((lanes, self.ahead, BLOCK - 1, 3))) if self.ahead else state

    def step(
        self, x: Floats, before: State, after: State, choose: Chooser, experts: Experts, known: Indices | None = None
    ) -> Through:  # fmt: skip
        """The stream after the block, and the experts that answered, ``int64[3, B]``; fills in the state ``after``.

        It stops where it has chosen experts, and nowhere if they are ``known``: then the state knows already what the next ones are
        chosen by.
        """
        chosen = np.empty((BLOCK - 1, len(x)), np.int64) if known is None else known
        if self.pre_gated and known is None:
            asked = self.look_ahead(x, before, after) if self.ahead else self.entry(x)
            chosen[:] = self.choose(before[BLOCK][:, 0] if self.ahead else asked, choose)
            yield self.keys(chosen)
        if self.pre_gated and (out := self._alone(x, before, after, experts.beside(self.layers, chosen))) is not None:  # fmt: skip
            return out, chosen
        parts = zip(self.recurrences, self.layers, before, after, strict=False)
        for n, (recurrence, layer, old, new) in enumerate(parts):
            x, h = recurrence.step(x, old, new)
            if not self.pre_gated:
                one = slice(n, n + 1)
                asked = projected(self.tables.weights[one], h)
                chosen[one] = self.choose(asked, choose, one)
                yield self.keys(chosen[one], one)
            x = x + experts.answer(h, layer, chosen[n])
        x, h = self.attention.step(x, before[BLOCK - 1], after[BLOCK - 1])
        return x + self.feed(h), chosen

    def _alone(
        self, x: Floats, before: State, after: State, experts: list[Expert] | None
    ) -> Floats | None:
        """The stream after the block in one call; None if that cannot be, or if something is not finite, which layers by themselves say."""
        if experts is None:
            return None
        slabs, scales = (tuple(getattr(e, part) for e in experts) for part in ("slab", "scales"))
        old, window, out = before[BLOCK - 1], after[BLOCK - 1], np.empty_like(x)
        state = before[: BLOCK - 1], after[: BLOCK - 1], (tuple(old), tuple(window))
        work = self.feed.work
        fine = block_into(
            FASTEST, *self._kernel, slabs, scales, work.shape, work.inner, x, *state, out
        )
        return out if fine else None

    def foresee(self, x: Floats, before: State, after: State) -> Indices:
        """The nearest experts for a later step, ``int64[3, B]``, by what the stream at the entry is; fills in that part of the state."""
        chosen, gain = np.empty((len(x), BLOCK - 1), np.int64), self.recurrences[0].norms[0]
        if not foresee_into(x, gain, EPSILON, self._tables, before[BLOCK], after[BLOCK], chosen):
            self.entry(x)  # says what is not finite
        return chosen.T

    def look_ahead(self, x: Floats, before: State, after: State) -> Asked:
        """By what the stream at the entry chooses experts of a later step; fills in that part of the state."""
        asked = self.entry(x)
        after[BLOCK][:, :-1], after[BLOCK][:, -1] = before[BLOCK][:, 1:], asked
        return asked

    def entry(self, x: Floats) -> Asked:
        """By what the stream at the entry chooses experts."""
        return projected(self.tables.weights, normalise(x, self.recurrences[0].norms[0]))

    def choose(self, asked: Asked, choose: Chooser, some: slice = ALL) -> Indices:
        """Experts of some layers, ``int64[3, B]``."""
        _, bias, positions = (table[some] for table in self.tables)
        return choose(mod_one(asked + bias), positions, self.layers[some]).T

    def keys(self, chosen: Indices, some: slice = ALL) -> list[Key]:
        """The slabs of experts ``int64[3, B]``, in the order in which they will be asked for."""
        pairs = zip(self.layers[some], chosen.tolist(), strict=True)
        return [(layer, e) for layer, one in pairs for e in one]
