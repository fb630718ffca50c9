"""How speed and bytes go with the number of experts, the width, the lanes that act together, and the budget.

Part of ``bench_moe_model.py``.  Experts and width vary around ``demo-0.8b``, which is packed anew for each; lanes and budget on the model
that is given.  Each row is a process of its own (:mod:`tropism_moe.bench`); steps are those of all lanes together.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from tropism_moe.bench import MEGABYTE, Trial, measure
from tropism_moe.budget import memory_budget, parameter_budget
from tropism_moe.config import ModelConfig
from tropism_moe.pack import pack_random

LATTICES = {16: (4, 2, 2), 128: (8, 4, 4), 512: (8, 8, 8)}
WIDTHS = (128, 256, 512)
LANES = (1, 8, 32)
BUDGETS = (32, 64, 128, 256)
BUDGET = 64
"""MB for the models in which experts and width vary."""
Row = dict[str, Any]


def experts_and_width(base: ModelConfig) -> Iterator[tuple[str, ModelConfig]]:
    """Models around one; the hidden units go with the width."""
    for count, lattice in LATTICES.items():
        yield f"{count} experts", replace(base, lattice=lattice)
    for width in WIDTHS:
        scale = width / WIDTHS[1]
        sizes = {"width": int(base.width * scale), "hidden": int(base.hidden * scale)}
        yield f"width {sizes['width']}", replace(base, **sizes)


def row(directory: Path, mode: Any, budget: int, lanes: int, steps: int) -> Row:
    """What a trial says of speed and bytes."""
    limit = None if mode == "resident" else budget * MEGABYTE
    one = measure(Trial(str(directory), mode, limit, lanes, steps))
    return {
        "steps_per_s": round(one.steps_per_s, 1),
        "steps_per_core_s": round(one.steps_per_core_s, 1),
        "p50_ms": round(one.p50_ms, 3),
        "p99_ms": round(one.p99_ms, 3),
        "grown_mb": {name: round(x / MEGABYTE, 1) for name, x in one.grown.items()},
        "hit_share": round(one.hit_share, 3),
        "stall_share": round(one.stall_share, 3),
        "read_mb_a_step": round(one.read_bytes / MEGABYTE / lanes / steps, 3),
    }


def sizes(config: ModelConfig) -> Row:
    """What a model takes."""
    found = memory_budget(config)
    return {
        "parameters": parameter_budget(config).total,
        "disk_mb": round(found.store / MEGABYTE, 1),
        "memory_mb": round(found.experts_in_memory / MEGABYTE, 1),
        "slab_mb": round(found.slab / MEGABYTE, 3),
    }


def scaling(
    large: Path, base: ModelConfig, steps: int, where: Path, update: Callable[[int], Any]
) -> dict[str, Row]:
    """A row for each model, mode, number of lanes and budget.

    Args:
        large: a packed model, of which lanes and budget vary.
        base: of the models that are packed.
        steps: of each lane.
        where: models are packed.
        update: told how many rows are done.
    """
    rows: dict[str, Row] = {}

    def add(name: str, directory: Path, mode: str, budget: int, lanes: int, **facts: Any) -> None:
        rows[name] = {**facts, **row(directory, mode, budget, lanes, steps)}
        update(len(rows))

    for name, config in experts_and_width(base):
        with tempfile.TemporaryDirectory(dir=where) as work:
            pack_random(config, Path(work), 0)
            for mode in ("resident", "ring"):
                add(f"{name}, {mode}", Path(work), mode, BUDGET, 1, **sizes(config))
    for lanes in LANES:
        for mode in ("resident", "ring"):
            add(f"{lanes} lanes, {mode}", large, mode, BUDGETS[2], lanes)
    for budget in BUDGETS:
        add(f"{budget} MB, ring", large, "ring", budget, 1)
    return rows


ROWS = 2 * (len(LATTICES) + len(WIDTHS) + len(LANES)) + len(BUDGETS)
