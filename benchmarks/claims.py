"""Hold what the project promises against what was recorded, promise by promise.

Reads ``benchmarks/results/*.json`` and measures nothing itself::

    .venv/bin/python benchmarks/claims.py            # one line a promise: PASS, FAIL or MISSING, and the numbers
    .venv/bin/python benchmarks/claims.py --strict   # exit status 1 unless everything passes

The boards are those of ``make bench`` (``full.json``) and of ``bench_demo.py`` (``quick.json``).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from claims_bridge import BRIDGE
from claims_council import COUNCIL
from claims_ladder import LADDER
from claims_moe import MOE
from claims_moe_learning import MOE_LEARNING

RESULTS = Path(__file__).parent / "results"
IDEAL = {"Switch": 0.966, "Affine": 0.974, "Noisy": 0.869, "Fast": 0.874, "Order2": 0.975}
"""Accuracy of the ideal observer by tier."""
IDEAL_TOLERANCE = 0.01
SPEEDS = {"single": 2.0, "vector-64": 1.0, "vector-1024": 1.0, "scan-1024": 4.0}
"""Least ratio of Switch to CartPole on each face."""
DEMO = {"random", "table", "cusum", "two-mode", "ideal", "ppo"}
MEMORY = ("recurrent-ppo", "cusum", "two-mode")
"""Agents that remember more than the successor table does."""

Finding = tuple[bool, str]
"""Whether a promise is kept, and the numbers."""


def read(name: str) -> dict[str, Any]:
    """A recorded result."""
    return json.loads((RESULTS / f"{name}.json").read_bytes())


def boards() -> dict[str, dict[str, Any]]:
    """Rows of the boards by task and player; the full one where it has the task."""
    names = [name for name in ("quick", "full") if (RESULTS / f"{name}.json").exists()]
    if not names:
        raise FileNotFoundError(RESULTS / "full.json")
    tasks = {task: rows for name in names for task, rows in read(name)["tasks"].items()}
    return {task: {row["player"]: row for row in rows} for task, rows in tasks.items()}


def demo() -> Finding:
    """The demo: its time, and who plays what."""
    seconds, tasks = read("demo")["seconds"], read("quick")["tasks"]
    players = {task: {row["player"]: row for row in rows} for task, rows in tasks.items()}
    tiers = [task for task in players if players[task].keys() >= DEMO]
    seeds = min((players[task]["ppo"]["runs"] for task in tiers), default=0)
    memory = "recurrent-ppo" in players.get("Sanity-Memory", {})
    kept = seconds <= 180 and len(tiers) >= 4 and seeds >= 3 and memory
    return kept, f"{seconds:.0f} s; {len(tiers)} tiers, {seeds} training seeds"


def ideal_accuracy() -> Finding:
    """The ideal observer is as good as theory says."""
    found = {
        cell["tier"]: cell["accuracy"]["mean"]
        for cell in read("patternworld_scores")["cells"]
        if (cell["player"], cell["feedback"]) == ("ideal", "reveal") and cell["tier"] in IDEAL
    }
    near = all(abs(found.get(tier, 0) - value) <= IDEAL_TOLERANCE for tier, value in IDEAL.items())
    return near, ", ".join(f"{tier} {found.get(tier)} (expected {IDEAL[tier]})" for tier in IDEAL)


def nobody_beyond() -> Finding:
    """Nobody without labels beats the ideal observer by more than two standard errors, answers shown."""
    worst, where = float("-inf"), ""
    for task, rows in boards().items():
        if "ideal" not in rows or "feedback=" in task:
            continue
        for player in rows.keys() - {"ideal", "oracle"}:
            ours, best = rows[player]["estimates"]["score"], rows["ideal"]["estimates"]["score"]
            error = (standard_error(ours) ** 2 + standard_error(best) ** 2) ** 0.5 or 1e-9
            beyond = (ours["estimate"] - best["estimate"]) / error
            worst, where = max((worst, where), (beyond, f"{player} on {task}"))
    return worst <= 2, f"at most {worst:.1f} standard errors above it ({where})"


def standard_error(interval: dict[str, float]) -> float:
    """That of a 95 % interval, as of a normal one."""
    return (interval["high"] - interval["low"]) / 3.92


def speeds() -> Finding:
    """Steps per second beside CartPole."""
    ratios = {s["face"]: s["ratio"] for s in read("throughput")["speeds"] if s["ratio"]}
    kept = all(ratios.get(face, 0) >= least for face, least in SPEEDS.items())
    told = [f"{f} {ratios.get(f, 0):.2f} x (at least {least:g})" for f, least in SPEEDS.items()]
    return kept, ", ".join(told)


def start() -> Finding:
    """Imports and commands begin at once, and load neither jax nor torch."""
    record = read("start")
    seconds, loads = record["seconds"], record["loads"]
    extra = seconds["import tropism.envs, gymnasium already there"]
    commands = [seconds["tropism --help"], seconds["tropism plugins"]]
    kept = extra <= 0.05 and max(commands) <= 0.3 and not any(loads.values())
    told = f"import {extra * 1e3:.0f} ms, --help {commands[0]:.2f} s, plugins {commands[1]:.2f} s"
    return kept, f"{told}; heavy modules: {sum(map(len, loads.values()))}"


def native_vecenv() -> Finding:
    """The native VecEnv of SB3."""
    ratio = read("sb3_vecenv")["ratio"]
    return ratio >= 5, f"{ratio:.1f} x DummyVecEnv"


def beats(rows: dict[str, Any], player: str, other: str) -> bool:
    """Whether the 95 % interval of ``player`` lies above that of ``other``."""
    ours, theirs = (rows[name]["estimates"]["score"] for name in (player, other))
    return ours["low"] > theirs["high"]


def ppo_learns() -> Finding:
    """PPO beats the random player on every task of the demo but the memory check, which needs memory.

    The tasks of the full grid on which it does not are named too.
    """
    tasks = {t: rows for t, rows in boards().items() if "ppo" in rows and t != "Sanity-Memory"}
    verdicts = {task: beats(rows, "ppo", "random") for task, rows in tasks.items()}
    failed = [task for task, won in verdicts.items() if not won]
    demo = (RESULTS / "quick.json").exists()
    required = set(read("quick")["tasks"]) if demo else set(tasks)
    told = f"on {len(verdicts) - len(failed)} of {len(verdicts)} tasks"
    return not required & set(failed), told + (f"; not on {', '.join(failed)}" if failed else "")


def memory_check() -> Finding:
    """Recurrent PPO beats PPO on the memory check."""
    rows = boards()["Sanity-Memory"]
    return beats(rows, "recurrent-ppo", "ppo"), " against ".join(
        "{estimate:.3g} [{low:.3g}, {high:.3g}]".format(**rows[name]["estimates"]["score"])
        for name in ("recurrent-ppo", "ppo")
    )


def memory_helps() -> Finding:
    """An agent with memory beats the successor table somewhere."""
    tiers = {task: rows for task, rows in boards().items() if "table" in rows}
    won = {
        name: [task for task, rows in tiers.items() if name in rows and beats(rows, name, "table")]
        for name in MEMORY
    }
    told = [f"{name} on {', '.join(tasks) or 'none'}" for name, tasks in won.items()]
    return any(won.values()), "; ".join(told)


def ledger_speed() -> Finding:
    """Append and verify beside a plain SHA3 loop: published, whatever they are."""
    table = read("ledger")["results"]
    names = ("append, batches of 1000", "verify")
    return True, ", ".join(f"{name}: {table[name]['ratio']} x the plain loop" for name in names)


CLAIMS: dict[str, Callable[[], Finding]] = {
    "make demo within 3 minutes, on four tiers with three seeds": demo,
    "ideal observer within .01 of its accuracy": ideal_accuracy,
    "nobody beyond the ideal observer": nobody_beyond,
    "steps per second beside CartPole": speeds,
    "import within 50 ms, commands within .3 s, no jax or torch": start,
    "native VecEnv at least 5 x DummyVecEnv": native_vecenv,
    "PPO beats random, intervals apart": ppo_learns,
    "RecurrentPPO beats PPO on the memory check": memory_check,
    "memory beats the successor table on a tier": memory_helps,
    "ledger speed published": ledger_speed,
    **{
        promise: partial(check, lambda name: read(name))
        for promise, check in (LADDER | BRIDGE | COUNCIL | MOE | MOE_LEARNING).items()
    },
}
"""What is promised and shown by records; parity, checkers, attacks and the plugin are shown by tests."""


def findings() -> Iterator[tuple[str, str, str]]:
    """Verdict, promise and numbers of each."""
    for promise, check in CLAIMS.items():
        try:
            kept, numbers = check()
        except (FileNotFoundError, KeyError) as missing:
            yield "MISSING", promise, f"no record: {missing}"
        else:
            yield "PASS" if kept else "FAIL", promise, numbers


def main() -> None:
    """Print a line a promise."""
    parser = argparse.ArgumentParser(description="Hold the promises against the records.")
    parser.add_argument("--strict", action="store_true", help="fail unless everything passes")
    strict = parser.parse_args().strict
    every = list(findings())
    for verdict, promise, numbers in every:
        print(f"{verdict:8}{promise}\n        {numbers}")
    if strict and any(verdict != "PASS" for verdict, _, _ in every):
        sys.exit(1)


if __name__ == "__main__":
    main()
