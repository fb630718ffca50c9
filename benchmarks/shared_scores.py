"""Play the reference players of the shared world with one to eight organisms, and record how they fare.

Writes ``benchmarks/results/chemotaxis_shared.json`` and prints a table (about three minutes on a quiet core)::

    .venv/bin/python benchmarks/shared_scores.py

Episodes are those of the test seeds 10000, 10001, ...; a score is the mean fitness of an organism, its standard
error is over episodes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.progress import track

from tropism.agents.artifacts import write_atomic
from tropism.agents.manifest import manifest
from tropism.envs import make_parallel
from tropism.envs.chemotaxis.shared_baselines import score

ENV_ID = "tropism/Chemotaxis-Shared-v0"
RESULTS = Path(__file__).parent / "results" / "chemotaxis_shared.json"
GOLDEN = Path(__file__).parents[1] / "tests" / "conformance" / "golden_parallel.json"
"""Hash of a rollout of the id: the scores hold as long as it does."""
SEEDS = range(10_000, 10_100)
ORGANISMS = (1, 2, 4, 8)
PLAYERS = ("random", "stay", "greedy", "oracle")


def cell(organisms: int, player: str) -> dict[str, Any]:
    """One entry of the record."""
    found = score(make_parallel(ENV_ID, organisms=organisms), player, SEEDS)
    numbers = {name: round(value, 2) for name, value in found._asdict().items()}
    return {"organisms": organisms, "player": player, **numbers}


def main() -> None:
    """Measure, record, print."""
    cells = [(organisms, player) for organisms in ORGANISMS for player in PLAYERS]
    rows = [cell(*each) for each in track(cells, "playing")]
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))[ENV_ID]
    record = {
        "command": "python benchmarks/shared_scores.py",
        "id": ENV_ID,
        "golden": golden,
        "seeds": [SEEDS.start, SEEDS.stop],
        "scores": rows,
        "manifest": {name: value for name, value in manifest().items() if name != "command"},
    }
    write_atomic(RESULTS, json.dumps(record, indent=1) + "\n")
    print("| organisms | player | fitness | ± | steps lived | best | worst |\n" + "|---" * 7 + "|")
    for row in rows:
        print("| " + " | ".join(map(str, row.values())) + " |")


if __name__ == "__main__":
    main()
