"""A model that reads its experts from disk while it acts, against the bare disk and against the same model in memory.

Part of ``bench_moe_model.py``.  Each round acts some steps in ``ring`` mode, then the same steps in memory, which is the computing,
and then reads what was read once more: with O_DIRECT, as many slabs at a time as the store reads, and nothing done with them.  The
longer of the two is what no overlap can beat.

Experts of the presets are chosen some steps ahead.  A round begins with nothing on its way and ends so, since its last steps announce
nothing and use up what was announced before: all that is read for it is read while its clock runs.  The same weights are measured with
experts chosen at the entry of their block, too.  Those are known only when the block before has answered, so the slabs are also read
block by block: what a single lane then has to wait for, however it computes.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from itertools import chain
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from bench_moe_store import Key, probe
from tropism_moe.config import BLOCK
from tropism_moe.expert_store import ExpertStore
from tropism_moe.pack import STORE, open_store, read_shared
from tropism_moe.serving import Served
from tropism_moe.store_plan import Mode

Blocks = list[list[Key]]
"""Slabs that can be read at the same time, block by block."""


class Runner:
    """A model that goes on acting.

    Args:
        model: that acts.
        lanes: that act together.
    """

    def __init__(self, model: Served, lanes: int) -> None:
        self.model, self.state = model, model.begin(lanes)
        self.answers = sha256()

    def act(self, tokens: np.ndarray) -> tuple[float, Blocks]:
        """Seconds that some steps ``int64[T, B]`` took, and the experts that they met; looked at afterwards, as disks would go on meanwhile."""
        found, last, began = [], len(tokens) - self.model.config.gated_ahead, perf_counter()
        self._walk(tokens[:last], found)
        with silent(self.model.store):
            self._walk(tokens[last:], found)
        spent = perf_counter() - began
        self.state = (*self.state,)  # another one: what it would ask for was not announced
        for outputs, _ in found:
            self.answers.update(outputs.tobytes())
        return spent, [block for _, chosen in found for block in self._met(chosen.tolist())]

    def _walk(self, tokens: np.ndarray, found: list[tuple[np.ndarray, np.ndarray]]) -> None:
        """Act, and note outputs and experts of every step."""
        for row in tokens:
            outputs, self.state = self.model.step(row, self.state)
            found.append((outputs, self.model.chosen))

    def _met(self, chosen: list[list[int]]) -> Iterator[list[Key]]:
        """Of a step, by block."""
        layers = self.model.config.expert_layers
        keys = [[(layer, e) for e in dict.fromkeys(row)] for layer, row in zip(layers, chosen, strict=True)]  # fmt: skip
        for n in range(0, len(keys), BLOCK - 1):
            yield list(chain(*keys[n : n + BLOCK - 1]))


@contextmanager
def silent(store: ExpertStore) -> Iterator[None]:
    """Meanwhile nothing is announced to a store: what was announced before is read and used up."""
    announce: Any = store.prefetch
    store.prefetch = lambda *_, **__: None
    try:
        yield
    finally:
        store.prefetch = announce


def thinned(blocks: Blocks, count: int) -> Blocks:
    """So many of the slabs that were met, evenly: as many as were read; which of them were in memory is the same to a disk."""
    share, seen, kept = count / sum(map(len, blocks)), 0, Blocks()
    for block in blocks:
        kept.append([])
        for key in block:
            seen += 1
            if int(seen * share) > int((seen - 1) * share):
                kept[-1].append(key)
    return [block for block in kept if block]


def one_round(path: Path, streamed: Runner, resident: Runner, tokens: np.ndarray) -> dict[str, float]:  # fmt: skip
    """Seconds of streaming, of computing and of reading, and bytes."""
    stats = streamed.model.store.stats
    before, missed, stalled = stats.bytes_read, stats.misses, stats.stall_s
    wall, blocks = streamed.act(tokens)
    nbytes, stall = stats.bytes_read - before, stats.stall_s - stalled
    needed = stats.misses - missed  # what was read and given up again counts for the wall alone
    compute, _ = resident.act(tokens)
    if streamed.answers.digest() != resident.answers.digest():
        raise SystemExit("a streamed model answers otherwise than one in memory")
    read, size = thinned(blocks, needed), streamed.model.store.slabs[blocks[0][0]].padded
    found = {
        "wall": wall,
        "compute": compute,
        "stall": stall,
        "bytes": nbytes,
        "needed": needed * size,
    }
    return {**found, "raw": probe(path, list(chain(*read))), "by_block": probe(path, *read)}


def opened(directory: Path, mode: Mode, budget: int | None, ahead: bool) -> Served:
    """A model whose experts are chosen as far ahead as it says, or at the entry of their block."""
    config, arrays = read_shared(directory)
    store = open_store(directory, mode, budget)
    return Served(config if ahead else replace(config, gated_ahead=0), arrays, store)


def streaming(
    directory: Path,
    budget: int,
    lanes: int,
    steps: int,
    rounds: int,
    update: Callable[[int], Any],
    ahead: bool = True,
) -> dict[str, float]:
    """Medians of rounds, the first of which does not count; ratios are medians of those within a round."""
    rng, found = np.random.default_rng(lanes), []
    with (
        opened(directory, "ring", budget, ahead) as ring,
        opened(directory, "resident", None, ahead) as whole,
    ):
        streamed, resident = Runner(ring, lanes), Runner(whole, lanes)
        for done in range(rounds + 1):
            tokens = rng.integers(0, ring.config.inputs, (steps, lanes))
            found.append(one_round(directory / STORE, streamed, resident, tokens))
            update(done)
    return summary(found[1:], lanes * steps)


def summary(rounds: list[dict[str, float]], steps: int) -> dict[str, float]:
    """What the rounds come to."""

    def median(of: Callable[[dict[str, float]], float]) -> float:
        return round(statistics.median(map(of, rounds)), 3)

    return {
        "steps_per_s": median(lambda r: steps / r["wall"]),
        "wall_s": median(lambda r: r["wall"]),
        "stall_s": median(lambda r: r["stall"]),
        "compute_s": median(lambda r: r["compute"]),
        "raw_read_s": median(lambda r: r["raw"]),
        "raw_by_block_s": median(lambda r: r["by_block"]),
        "raw_gb_per_s": median(lambda r: r["needed"] / r["raw"] / 1e9),
        "read_mb": median(lambda r: r["bytes"] / 1e6),
        "needed_mb": median(lambda r: r["needed"] / 1e6),
        "wall_of_longer": median(lambda r: r["wall"] / max(r["raw"], r["compute"])),
        "wall_of_longer_by_block": median(lambda r: r["wall"] / max(r["by_block"], r["compute"])),
    }
