"""The model as it is served: shared weights packed in memory, experts read from a store as they are needed.

::

    with Served.open(directory, mode="ring", budget_bytes=128 << 20) as model:
        state = model.begin(lanes)
        outputs, state = model.step(tokens, state)  # or observations
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from tropism.errors import OptionError
from tropism_moe.config import BLOCK, ModelConfig
from tropism_moe.expert_store import ExpertStore
from tropism_moe.kernels_expert import Expert, Workspace, answers
from tropism_moe.kernels_routing import nearest
from tropism_moe.lattice import squared_distance
from tropism_moe.packed import Arrays, expert_in
from tropism_moe.routing import nearest_resident
from tropism_moe.serving_block import Block, Chooser, Indices, State, Through
from tropism_moe.serving_layers import Floats, normalise, product
from tropism_moe.serving_state import each, take
from tropism_moe.serving_turns import in_turns, shares
from tropism_moe.store_plan import Mode

ROOM = 3
"""Times as much as experts take that are held together: as many as come next, and come then."""


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
        self._work, self._reading = Workspace(config.width, config.hidden), not store.resident_all
        self._foreseen: tuple[State, list[list[Indices]]] = (), []
        self._knows = store.resident_all  # whom lanes ask, before they do

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
            OptionError: a token is not in the table, an activation is not finite, or there are not as many rows as lanes.
            StoreError: an expert cannot be read.
        """
        started, waited = time.perf_counter(), self.store.stats.stall_s
        missed = self.store.stats.misses
        lanes = len(state[0][0])
        if len(x) != lanes:
            raise OptionError(
                f"x must have a row for each of the {lanes} lanes of the state, got {len(x)}"
            )
        x, after = self._embed(x), each(state, np.empty_like)
        ends = in_turns(self._turns(x, state, after, choose), self.store)
        self._reading = self.store.stats.misses > missed
        self.chosen = np.concatenate([chosen for _, chosen in ends], 1)
        self.features = normalise(np.concatenate([x for x, _ in ends]), self.norm)
        outputs = product(self.features, self.heads.T)
        elapsed = time.perf_counter() - started
        self.compute_s += elapsed - (self.store.stats.stall_s - waited)
        return outputs, after

    def _turns(
        self, x: Floats, state: State, after: State, choose: Chooser | None
    ) -> list[Through]:
        """Lanes on their way; together, if it is known whom they ask: they are read while the step before computes.

        Whoever chooses by what is in memory, or by lanes, is asked for all lanes at once, and so are lanes that lately found everything in
        memory; the others go in shares.
        """
        ahead = bool(self.config.gated_ahead) and self._as_ever(choose)
        self._knows = ahead or self.store.resident_all
        if ahead:
            return [self._ahead(x, state, after)]
        self._foreseen = (), []  # what was announced is forgotten as soon as something else is
        parts = self._as_ever(choose) and self._reading
        return [
            self._through(x[rows], take(state, rows), take(after, rows), choose or self.nearest)
            for rows in (shares(len(x), self.store.slots) if parts else [slice(0, len(x))])
        ]

    def _known(self, state: State) -> list[list[Indices]]:
        """By step and block, the experts that were chosen ahead; they are announced, too, unless the step before has just done it."""
        (before, steps), self._foreseen = self._foreseen, ((), [])
        if before is state:
            return steps
        steps = [
            [b.choose(old[BLOCK][:, n], self.nearest) for b, old in zip(self.blocks, state, strict=True)]
            for n in range(self.config.gated_ahead)
        ]  # fmt: skip
        for n, step in enumerate(steps):
            keys = (b.keys(chosen) for b, chosen in zip(self.blocks, step, strict=True))
            self.store.prefetch(chain.from_iterable(keys), more=n > 0)
        return steps

    def _as_ever(self, choose: Chooser | None) -> bool:
        """Whether the nearest experts are chosen while others have to be read."""
        return choose is None and not self.tolerance and not self.store.resident_all

    def _through(self, x: Floats, before: State, after: State, choose: Chooser) -> Through:
        """The stream ``float32[B, D]`` after all blocks, and the experts that answered, ``int64[layers with experts, B]``."""
        chosen = []
        for block, old, new in zip(self.blocks, before, after, strict=True):
            x, found = yield from block.step(x, old, new, choose, self)
            chosen.append(found)
        return x, np.concatenate(chosen)

    def _ahead(self, x: Floats, before: State, after: State) -> Through:
        """The same by the nearest experts, which are known; every block announces, at its entry, those that it will ask later."""
        (known, *later), coming = self._known(before), []
        for block, old, new, chosen in zip(self.blocks, before, after, known, strict=True):
            coming.append(block.foresee(x, old, new))
            self.store.prefetch(block.keys(coming[-1]), more=True)
            x, _ = yield from block.step(x, old, new, self.nearest, self, chosen)
        self._foreseen = after, [*later, coming]
        return x, np.concatenate(known)

    def answer(self, h: Floats, layer: int, experts: Indices) -> Floats:
        """What the experts ``int64[B]`` of a layer say, ``float32[B, D]``; each is read once."""
        said, lanes = np.empty_like(h), dict[int, list[int]]()
        for lane, e in enumerate(experts.tolist()):
            lanes.setdefault(e, []).append(lane)
        for some in [list(lanes)] if self._together(len(lanes)) else [[e] for e in lanes]:
            found = [
                self._expert(layer, e) for e in some
            ]  # in the order in which they were announced
            answers(found, h, [lanes[e] for e in some], said, self._work)
        return said

    def beside(self, layers: Sequence[int], experts: Indices) -> list[Expert] | None:
        """The experts ``int64[layers, 1]`` of one lane, unless they are rather had one by one."""
        if experts.shape[1] != 1 or not self._together(len(layers)):
            return None
        return [self._expert(*key) for key in zip(layers, experts[:, 0].tolist(), strict=True)]

    def _together(self, count: int) -> bool:
        """Whether so many experts are held beside each other; else the first had to wait for the others, or they for room."""
        slots = self.store.slots
        return self._knows and (slots is None or ROOM * count <= slots)

    def _expert(self, layer: int, e: int) -> Expert:
        """An expert in memory."""
        return expert_in(self.store.get(layer, e), self.store.slabs[layer, e].meta)

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
        if not self.tolerance and positions.ndim == 3:
            return nearest(z, positions)
        squared = squared_distance(z[..., None, :], positions)
        if not self.tolerance:
            return squared.argmin(-1)
        resident = np.stack([self.store.resident(layer) for layer in layers])
        found, substituted = nearest_resident(np.sqrt(squared), resident, self.tolerance)
        self.substituted += int(substituted.sum())
        return found

    def _embed(self, x: npt.NDArray[Any]) -> Floats:
        if x.dtype.kind == "f":
            return product(np.asarray(x, np.float32), self.inputs)
        if x.size and (x.min() < 0 or x.max() >= len(self.inputs)):
            raise OptionError(
                f"tokens must lie in [0, {len(self.inputs)}), got {x.min()} to {x.max()}"
            )
        return self.inputs[x]
