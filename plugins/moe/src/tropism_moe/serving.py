"""The model as it is served: shared weights packed in memory, experts read from a store as they are needed.

::

    with Served.open(directory, mode="ring", budget_bytes=128 << 20) as model:
        state = model.begin(lanes)
        outputs, state = model.step(tokens, state)  # or observations
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from tropism.errors import OptionError
from tropism_moe.config import BLOCK, ModelConfig
from tropism_moe.expert_store import ExpertStore
from tropism_moe.kernels import Expert, Workspace, expert
from tropism_moe.lattice import squared_distance
from tropism_moe.packed import Arrays, expert_of
from tropism_moe.routing import Tables, nearest_resident, place
from tropism_moe.serving_layers import (
    Attention,
    FeedForward,
    Floats,
    Recurrence,
    normalise,
    product,
)
from tropism_moe.store_plan import Mode

Indices = npt.NDArray[np.int64]
State = tuple[Any, ...]
"""Of every layer: fast weights ``float32[B, D, r]``, or what a window holds."""
Chooser = Callable[[Floats, Floats, Sequence[int]], Indices]
"""Of the positions of lanes in three layers ``float64[B, 3, 3]``, of their experts ``float64[3, E, 3]``, and the layers: ``int64[B, 3]``."""


class Served:
    """A packed model over a store.

    Attributes:
        config: shapes.
        store: of the experts.
        tolerance: how much farther than the nearest expert one at hand may be and still be taken; 0 takes the nearest.
        chosen: experts of the last step, ``int64[layers with experts, B]``.
        features: latents of the last step, of which the heads made its outputs, ``float32[B, D]``.
        substituted: choices so far that were not the nearest.
        compute_s: seconds that steps took, without those they waited for the store.

    Args:
        config: shapes.
        arrays: all but the experts, as :func:`tropism_moe.pack.shared_arrays` gives them.
        store: of the experts.
        tolerance: see above.
    """

    def __init__(
        self, config: ModelConfig, arrays: Arrays, store: ExpertStore, tolerance: float = 0.0
    ) -> None:
        if tolerance < 0:
            raise OptionError(f"tolerance must be >= 0, got {tolerance}")
        self.config, self.store, self.tolerance = config, store, tolerance
        self.inputs, self.norm = arrays["inputs"].astype(np.float32), arrays["norm.weight"]
        self.heads = arrays["heads.weight"].astype(np.float32) if config.outputs else self.inputs
        numbers = range(config.layers // BLOCK)
        self.blocks = [Block(arrays, f"blocks.{n}", n, config) for n in numbers]
        self.chosen = np.zeros((0, 0), np.int64)
        self.features = np.zeros((0, config.width), np.float32)
        self.substituted, self.compute_s = 0, 0.0
        self._work = Workspace(config.width, config.hidden)

    @classmethod
    def open(
        cls,
        directory: Path,
        mode: Mode = "mmap",
        budget_bytes: int | None = None,
        tolerance: float = 0.0,
    ) -> Served:
        """A model that was packed into ``directory``.

        Raises:
            ArtifactError: a part is missing, damaged, of another version or of another model.
            BudgetError: the budget is smaller than two slabs.
        """
        from tropism_moe.pack import open_store, read_shared

        config, arrays = read_shared(directory)
        store = open_store(Path(directory), mode, budget_bytes)
        try:
            return cls(config, arrays, store, tolerance)
        except BaseException:
            store.close()
            raise

    def begin(self, lanes: int) -> State:
        """The state of lanes that have read nothing."""
        return tuple(block.begin(lanes) for block in self.blocks)

    def step(
        self, x: npt.NDArray[Any], state: State, choose: Chooser | None = None
    ) -> tuple[Floats, State]:
        """Read one step.

        Args:
            x: tokens ``int64[B]`` or observations ``float32[B, inputs]``.
            state: of the steps before; not changed.
            choose: the experts; by default the nearest, or with a tolerance those at hand.

        Returns:
            Outputs of the heads, ``float32[B, outputs]``, or logits of tokens, ``float32[B, inputs]``; and the state after the step.

        Raises:
            OptionError: a token is not in the table, or an activation is not finite.
            StoreError: an expert cannot be read.
        """
        started, waited = time.perf_counter(), self.store.stats.stall_s
        x, after, chosen = self._embed(x), [], []
        for block, before in zip(self.blocks, state, strict=True):
            x, new, found = block.step(x, before, self, choose or self.nearest)
            after.append(new)
            chosen.append(found)
        self.chosen = np.concatenate(chosen)
        self.features = normalise(x, self.norm)
        outputs = product(self.features, self.heads.T)
        elapsed = time.perf_counter() - started
        self.compute_s += elapsed - (self.store.stats.stall_s - waited)
        return outputs, tuple(after)

    def answer(self, h: Floats, layer: int, experts: Indices) -> Floats:
        """What the experts ``int64[B]`` of a layer say, ``float32[B, D]``; each is read once."""
        said, lanes = np.empty_like(h), dict[int, list[int]]()
        for lane, e in enumerate(experts.tolist()):
            lanes.setdefault(e, []).append(lane)
        for e, some in lanes.items():  # in the order in which they were announced
            found = self.store.get(layer, e)
            if not isinstance(found, Expert):  # a slab of the form that is read as it lies
                found = expert_of(found, self.store.slabs[layer, e].meta)
            for lane in some:
                said[lane] = expert(found, h[lane], self._work)
        return said

    def close(self) -> None:
        """Give up the store."""
        self.store.close()

    def __enter__(self) -> Served:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:  # fmt: skip
        self.close()

    def nearest(self, z: Floats, positions: Floats, layers: Sequence[int]) -> Indices:
        """The nearest expert, or with a tolerance one at hand that is hardly farther; of positions that all lanes share, or of each its own."""
        squared = squared_distance(z[..., None, :], positions)
        if not self.tolerance:
            return squared.argmin(-1)
        resident = np.stack([self.store.resident(layer) for layer in layers])
        found, substituted = nearest_resident(np.sqrt(squared), resident, self.tolerance)
        self.substituted += int(substituted.sum())
        return found

    def _embed(self, x: npt.NDArray[Any]) -> Floats:
        if np.issubdtype(x.dtype, np.floating):
            return product(np.asarray(x, np.float32), self.inputs)
        if ((x < 0) | (x >= len(self.inputs))).any():
            raise OptionError(
                f"tokens must lie in [0, {len(self.inputs)}), got {x.min()} to {x.max()}"
            )
        return self.inputs[x]


class Block:
    """Three layers that recur and have experts, and one that attends."""

    def __init__(self, arrays: Arrays, name: str, number: int, config: ModelConfig) -> None:
        tables = (arrays[f"{name}.routers.{part}"] for part in Tables._fields)
        self.tables = Tables(*(table.astype(np.float64) for table in tables))
        self.layers = [number * BLOCK + n for n in range(BLOCK - 1)]
        self.pre_gated = config.pre_gated
        inner = [f"{name}.recurrent.{n}" for n in range(BLOCK - 1)]
        self.recurrences = [Recurrence(arrays, f"{one}.recurrence", config) for one in inner]
        norms = ("norm", "norm_expert")
        self.norms = [tuple(arrays[f"{one}.{n}.weight"] for n in norms) for one in inner]
        last = f"{name}.attention"
        self.attention = Attention(arrays, f"{last}.attention", config)
        self.norm_attention, self.norm_feed = (
            arrays[f"{last}.{n}.weight"] for n in ("norm", "norm_feed")
        )
        self.feed = FeedForward(arrays, f"{last}.feed")

    def begin(self, lanes: int) -> State:
        """Nothing read."""
        return (*(r.begin(lanes) for r in self.recurrences), self.attention.begin(lanes))

    def step(
        self, x: Floats, state: State, model: Served, choose: Chooser
    ) -> tuple[Floats, State, Indices]:
        """The stream after the block, its state, and the experts that were chosen, ``int64[3, B]``."""
        ahead = self._choose(normalise(x, self.norms[0][0]), slice(None), model, choose) if self.pre_gated else None  # fmt: skip
        chosen, after = [], []
        parts = zip(self.recurrences, self.norms, self.layers, state, strict=False)
        for n, (recurrence, (norm, norm_expert), layer, before) in enumerate(parts):
            found, new = recurrence.step(normalise(x, norm), before)
            x = x + found
            h = normalise(x, norm_expert)
            experts = self._choose(h, slice(n, n + 1), model, choose)[0] if ahead is None else ahead[n]  # fmt: skip
            x = x + model.answer(h, layer, experts)
            after.append(new)
            chosen.append(experts)
        found, last = self.attention.step(normalise(x, self.norm_attention), state[-1])
        x = x + found
        x = x + self.feed(normalise(x, self.norm_feed))
        return x, (*after, last), np.stack(chosen)

    def _choose(self, h: Floats, some: slice, model: Served, choose: Chooser) -> Indices:
        """Experts of some layers for ``float32[B, D]``, which begin to be read, ``int64[layers, B]``."""
        weights, bias, positions = (table[some] for table in self.tables)
        layers = self.layers[some]
        chosen = choose(place(weights, bias, h[:, None]), positions, layers).T
        pairs = zip(layers, chosen.tolist(), strict=True)
        model.store.prefetch(dict.fromkeys((layer, e) for layer, one in pairs for e in one))
        return chosen


def forget(state: State, mask: npt.NDArray[np.bool_]) -> State:
    """The state with nothing read in the lanes of ``bool[B]``."""
    kept = ~mask
    return _each(state, lambda x: x * kept.reshape(-1, *[1] * (x.ndim - 1)).astype(x.dtype))


def take(state: State, rows: Indices) -> State:
    """The state of some lanes, ``int64[R]``."""
    return _each(state, lambda x: x[rows])


def _each(state: State, change: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]) -> State:
    """Change every array in a state."""
    return tuple(
        tuple(type(x)(*map(change, x)) if isinstance(x, tuple) else change(x) for x in block)  # pyright: ignore[reportCallIssue]
        for block in state
    )
