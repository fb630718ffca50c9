"""Measure whole models of experts: memory, speed and bits in each residency mode, streaming, and how all that scales.

Prints tables; ``--record`` writes ``benchmarks/results/moe_model.json``, too::

    .venv/bin/python benchmarks/bench_moe_model.py --record

``demo-2.4b`` is packed with random weights beside the repository, in both forms of experts, and acts under a budget of 128 MB on random tokens, which make the
routing visit most experts: in each mode in a process of its own, which has imported and compiled everything before its memory is
looked at (:mod:`tropism_moe.bench`, as ``tropism moe bench``).  ``demo-0.8b`` acts in memory, for the speed of one core.  Streaming
(``moe_streaming.py``) and scaling (``moe_scaling.py``) follow.  ``--small`` does all of that with models of a few MB.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from claims_moe import AT_ENTRY
from moe_scaling import ROWS, Row, row, scaling, sizes
from moe_streaming import streaming
from tropism.agents.artifacts import write_atomic
from tropism.agents.manifest import manifest
from tropism.agents.progress import progress
from tropism_moe.bench import MEGABYTE, Measured, compare, same_bits
from tropism_moe.config import ModelConfig, preset
from tropism_moe.pack import pack_random
from tropism_moe.packed import BASE3, FORMS

RESULTS = Path(__file__).parent / "results" / "moe_model.json"
LARGE, SMALL = "demo-2.4b", "demo-0.8b"
BUDGET = 128
"""MB."""
STREAMED = {1: 400, 8: 100, 32: 40}
"""Steps of a round of streaming by lanes."""
RESIDENT_STEPS = 2000
PARTS = ["models", "modes", "resident", "streaming", "scaling"]


def shrunk(config: ModelConfig) -> ModelConfig:
    """A model of the same kind and a few MB."""
    return replace(config, width=config.width // 4, hidden=config.hidden // 4, layers=4)


def packed(config: ModelConfig, form: str, directory: Path) -> Path:
    """Write a random model."""
    name = f"pack {directory.name}"
    with progress(config.experts * len(config.expert_layers), name) as update:
        pack_random(config, directory, 0, update, form)
    return directory


def modes(models: dict[str, Path], budget: int, steps: int) -> dict[str, Row]:
    """A row for each form and mode, and whether all gave the same bits."""
    every: dict[str, Measured] = {}
    for form, directory in models.items():
        with progress(3, f"modes, {form}") as update:
            found = compare(directory, budget * MEGABYTE, 1, steps, 0, update)
        every |= {f"{form}, {mode}": one for mode, one in found.items()}
    sha256 = next(iter(every.values())).sha256
    rows = {name: told(one) for name, one in every.items()}
    return {**rows, "all": {"same_bits": same_bits(every), "sha256": sha256}}


def told(one: Measured) -> Row:
    """What was measured, rounded."""
    grown = {f"grown_{name}_mb": round(x / MEGABYTE, 1) for name, x in one.grown.items()}
    found = {k: round(v, 4) if isinstance(v, float) else v for k, v in one._asdict().items()}
    del found["grown"], found["read_bytes"], found["sha256"]
    return {**grown, **found, "read_mb": round(one.read_bytes / MEGABYTE, 1)}


def streams(models: dict[str, Path], budget: int, rounds: int) -> dict[str, Row]:
    """A row for each form and number of lanes, with experts that are chosen ahead, and not."""
    found = {}
    for ahead, (form, directory), (lanes, steps) in product(
        (True, False), models.items(), STREAMED.items()
    ):
        name = f"{form}, {lanes} lanes{'' if ahead else AT_ENTRY}"
        with progress(rounds, f"streaming, {name}") as update:
            one = streaming(directory, budget * MEGABYTE, lanes, steps, rounds, update, ahead)
        found[name] = {"steps_a_round": steps, **one}
    return found


def measure_all(options: argparse.Namespace, work: Path) -> dict[str, Any]:
    """All of it."""
    configs, budget = {name: preset(name) for name in (LARGE, SMALL)}, BUDGET
    if options.small:
        configs, budget = {name: shrunk(one) for name, one in configs.items()}, 4
    large = {form: packed(configs[LARGE], form, work / f"{LARGE}, {form}") for form in FORMS}
    small = packed(configs[SMALL], BASE3, work / SMALL)

    def scales() -> dict[str, Row]:
        with progress(ROWS, "scaling") as update:
            return scaling(large[BASE3], configs[SMALL], options.scaling_steps, work, update)

    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "models": lambda: {name: sizes(config) for name, config in configs.items()},
        "modes": lambda: modes(large, budget, options.steps),
        "resident": lambda: {SMALL: row(small, "resident", 0, 1, RESIDENT_STEPS)},
        "streaming": lambda: streams(large, budget, options.rounds),
        "scaling": scales,
    }
    return {name: parts[name]() for name in options.parts}


def show(found: dict[str, Any]) -> None:
    """Print a table for each part."""
    for part, rows in found.items():
        print(part)
        for name, values in rows.items():
            print(f"  {name:24}" + ", ".join(f"{key} {value}" for key, value in values.items()))


def main() -> None:
    """Measure, print and, where asked to, record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=400, help="in each mode")
    parser.add_argument("--scaling-steps", type=int, default=100, help="of each lane, a row")
    parser.add_argument("--rounds", type=int, default=9, help="of streaming")
    parser.add_argument("--small", action="store_true", help="models of a few MB, to try it out")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="others stay as they were recorded")  # fmt: skip
    beside = Path(__file__).resolve().parents[1].parent
    parser.add_argument("--directory", type=Path, default=beside, help="where models are packed")
    parser.add_argument("--record", action="store_true", help=f"write {RESULTS.name}")
    options = parser.parse_args()
    began = os.getloadavg()
    with tempfile.TemporaryDirectory(dir=options.directory) as work:
        found = measure_all(options, Path(work))
    show(found)
    if options.record:
        before = json.loads(RESULTS.read_text())["results"] if options.parts != PARTS else {}
        done = {k: v for k, v in vars(options).items() if k not in ("record", "directory", "parts")}
        results = {
            "command": "python benchmarks/bench_moe_model.py --record",
            "parts_measured_last": options.parts,
            "work": {
                **done,
                "budget_mb": BUDGET,
                "load_before_and_after": [began, os.getloadavg()],
            },
            "results": {**before, **found},
            "manifest": {k: v for k, v in manifest(seed=0).items() if k != "command"},
        }
        write_atomic(RESULTS, json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
