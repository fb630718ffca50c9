"""Play every reference player of Chemotaxis on every level; record scores, and the gap that makes a level one.

Writes ``benchmarks/results/chemotaxis_scores.json`` and prints a table (about two minutes on a quiet core)::

    .venv/bin/python benchmarks/chemotaxis_scores.py           # or name the levels to play anew

Lives are those of the seeds 10000, 10001, ..., 512 of them a level (L0.0 to L1.1: 5120), and every player lives the
same ones.  The s.e. is over lives; the gap is oracle minus heuristic, paired, with a 95 % interval.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tropism.agents.artifacts import write_atomic
from tropism.agents.manifest import manifest
from tropism.agents.progress import progress
from tropism.envs.chemotaxis.baselines import baseline_names, make_baseline
from tropism.envs.chemotaxis.levels import LEVELS, make_params
from tropism.envs.chemotaxis.oracle import is_exact

RESULTS = Path(__file__).parent / "results" / "chemotaxis_scores.json"
GOLDEN = Path(__file__).parents[1] / "tests" / "conformance" / "golden.json"
"""Hash of a rollout of each id: the scores of a level hold as long as it does."""
FIRST_SEED = 10_000
LANES = 512
"""Lives played side by side."""
PLAYERS = ("random", "stay", "heuristic", "probe", "oracle")
MEASURES = ("fitness", "reached", "good_arrivals", "bad_arrivals", "t_alive")
"""Labels at the end of a life; ``reached`` is success."""
PUBLISHED: dict[str, dict[str, float]] = {
    "L0.0": {"heuristic": 178.49, "random": 138.04, "stay": 129.07, "oracle": 206.4},
    "L0.1": {"heuristic": 178.50, "random": 136.38, "stay": 128.39},
    "L0.2": {"heuristic": 154.91, "random": 133.95, "stay": 129.76, "oracle": 208.7},
    "L0.2-Informed": {"heuristic": 178.48},
    "L1.0": {"heuristic": 130.79, "random": 144.15, "stay": 129.76},
    "L1.1": {"heuristic": 159.84, "random": 144.15, "stay": 129.76},
}
"""Mean fitness of 512 lives in the origin's own worlds, koki2 (K. Kis, 2025), https://github.com/Krisztiaan/koki2;
its oracles by dynamic programming over them."""
PUBLISHED_LIVES = 512
LIVES = dict.fromkeys(PUBLISHED, 5120)
"""Lives of the levels of the origin; the others have 512."""

Cell = dict[str, Any]


def play(level: str, player: str, lives: int) -> dict[str, np.ndarray]:
    """Each of :data:`MEASURES` at the end of ``lives`` lives, one value a life."""
    blocks = [
        _play_lanes(level, player, np.arange(start, min(start + LANES, lives)))
        for start in range(0, lives, LANES)
    ]
    return {name: np.concatenate([block[name] for block in blocks]) for name in MEASURES}


def _play_lanes(level: str, player: str, lives: np.ndarray) -> dict[str, np.ndarray]:
    import gymnasium

    lanes, seeds = len(lives), FIRST_SEED + lives
    envs = gymnasium.make_vec(f"tropism/Chemotaxis-{level}-v0", lanes, autoreset_mode="NEXT_STEP")
    baseline = make_baseline(player, make_params(level), lanes)
    each: Any = seeds.tolist()  # Gymnasium types one number; its vectors take a list
    observation, info = envs.reset(seed=each)
    baseline.reset(np.ones(lanes, bool), seeds.astype(np.uint64))
    alive = np.ones(lanes, bool)
    found = {name: np.zeros(lanes) for name in MEASURES}
    while alive.any():  # lanes that ended go on with another life, which does not count
        action, _ = baseline.act(observation, info)
        observation, reward, ended, cut, info = envs.step(action)
        baseline.observe(action, observation, reward, ended, cut, info)
        over = alive & (ended | cut)
        for name, values in found.items():
            values[over] = info[name][over]
        alive &= ~over
    return found


def summary(values: np.ndarray) -> dict[str, float]:
    """Mean and standard error over lives."""
    spread = float(values.std(ddof=1) / np.sqrt(len(values)))
    return {"mean": round(float(values.mean()), 4), "se": round(spread, 4)}


def gap(oracle: np.ndarray, heuristic: np.ndarray) -> Cell:
    """What knowing is worth: the paired difference, its 95 % interval, and its share of the oracle's fitness."""
    found = summary(oracle - heuristic)
    low, high = (found["mean"] + side * 1.96 * found["se"] for side in (-1, 1))
    share = found["mean"] / float(oracle.mean())
    return found | {"interval": [round(low, 4), round(high, 4)], "share": round(share, 4)}


def score_level(level: str) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """Every player of a level with what its lives came to."""
    for player in PLAYERS:
        if player in baseline_names(make_params(level)):
            yield player, play(level, player, LIVES.get(level, LANES))


def published_rows(cells: Sequence[Cell]) -> list[Cell]:
    """Ours beside the published figures, and whether they agree at 99 %.

    The published means are given without the spread of their lives; as the worlds are the same, it is ours.
    """
    rows: list[Cell] = []
    for cell in cells:
        figure = PUBLISHED.get(cell["level"], {}).get(cell["player"])
        if figure is None:
            continue
        ours = cell["fitness"]
        spread = ours["se"] * np.sqrt(cell["lives"])
        allowed = (
            2.576 * spread * np.sqrt(1 / cell["lives"] + 1 / PUBLISHED_LIVES) + 0.05
        )  # rounding
        agrees = abs(ours["mean"] - figure) <= allowed
        names = {"level": cell["level"], "player": cell["player"]}
        rows.append(
            names
            | {"published": figure, "ours": ours["mean"], "allowed": round(float(allowed), 3)}
            | {"agrees": bool(agrees)}
        )
    return rows


def table(cells: Sequence[Cell], gaps: dict[str, Cell]) -> str:
    """Fitness of every player on every level, and the gap, as text."""
    found = {(cell["level"], cell["player"]): cell["fitness"] for cell in cells}
    lines = [f"{'level':>14}  " + " ".join(f"{p:>14}" for p in PLAYERS) + f" {'gap':>22}"]
    for level in LEVELS:
        scores = [found.get((level, player)) for player in PLAYERS]
        shown = " ".join(
            f"{s['mean']:.1f} ± {s['se']:.2f}".rjust(14) if s else " " * 14 for s in scores
        )
        g = gaps.get(level)
        last = f"{g['mean']:.1f} ± {g['se']:.2f} ({g['share']:.0%})" if g else ""
        lines.append(f"{level:>14}  {shown} {last:>22}")
    return "\n".join(lines)


def measure(chosen: Sequence[str]) -> tuple[list[Cell], dict[str, Cell]]:
    """Cells and gaps of the levels ``chosen``."""
    cells: list[Cell] = []
    gaps: dict[str, Cell] = {}
    with progress(len(chosen) * len(PLAYERS), "Chemotaxis players") as update:
        for number, level in enumerate(chosen):
            fitness: dict[str, np.ndarray] = {}
            for done, (player, found) in enumerate(score_level(level), start=1):
                fitness[player] = found["fitness"]
                about = {"level": level, "player": player, "lives": len(found["fitness"])}
                cells.append(about | {name: summary(values) for name, values in found.items()})
                update(number * len(PLAYERS) + done)
            gaps[level] = gap(fitness["oracle"], fitness["heuristic"])
            gaps[level]["exact"] = is_exact(make_params(level))
    return cells, gaps


def main() -> None:
    """Play, print and record."""
    import tropism.envs  # noqa: F401  registers the ids

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "levels", nargs="*", choices=[*LEVELS, []], metavar="LEVEL"
    )  # [] is none named
    parser.add_argument("--output", type=Path, default=RESULTS)
    given = parser.parse_args()
    chosen = given.levels or list(LEVELS)
    before: Cell = {"cells": [], "gaps": {}, "levels": {}}
    if given.levels and RESULTS.exists():
        before = json.loads(RESULTS.read_bytes())
    cells, gaps = measure(chosen)
    cells = [kept for kept in before["cells"] if kept["level"] not in chosen] + cells
    gaps = before["gaps"] | gaps
    about = {k: v for k, v in manifest().items() if k != "command"}
    golden = json.loads(GOLDEN.read_bytes())
    fresh = {
        level: {"golden": golden[f"tropism/Chemotaxis-{level}-v0"], "manifest": about}
        for level in chosen
    }
    record = {
        "command": "python benchmarks/chemotaxis_scores.py",
        "first_seed": FIRST_SEED,
        "cells": cells,
        "gaps": gaps,
        "published": published_rows(cells),
        "levels": before["levels"] | fresh,
    }
    write_atomic(given.output, json.dumps(record, indent=1) + "\n")
    print(table(cells, gaps))
    for row in record["published"]:
        print(
            f"{row['level']:>14} {row['player']:>10}: published {row['published']:.2f}, here {row['ours']:.2f} "
            f"({'agrees' if row['agrees'] else 'DISAGREES'}, ± {row['allowed']:.2f} at 99 %)"
        )


if __name__ == "__main__":
    main()
