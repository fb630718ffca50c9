"""Play every reference player of PatternWorld on every tier and feedback mode, and record the scores.

Writes ``benchmarks/results/patternworld_scores.json`` and prints a table (about four minutes on a quiet core)::

    .venv/bin/python benchmarks/patternworld_scores.py           # or name the tiers to play anew

Episodes are those of the test seeds 10000, 10001, ... and 1000 steps long.  A player of exact beliefs with
more than 50,000 hidden states a lane plays 4 of them, everyone else 20; the s.e. is over episodes.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from tropism.agents.artifacts import write_atomic
from tropism.agents.manifest import manifest
from tropism.agents.progress import progress
from tropism.envs.patternworld.baselines import BASELINES
from tropism.envs.patternworld.observer import not_computable, num_states
from tropism.envs.patternworld.params import FEEDBACKS, TIERS, Params, make_params

RESULTS = Path(__file__).parent / "results" / "patternworld_scores.json"
GOLDEN = Path(__file__).parents[1] / "tests" / "conformance" / "golden.json"
"""Hash of a rollout of each id: the scores of a tier hold as long as it does."""
FIRST_SEED = 10_000
STEPS = 1000
PLAYERS = tuple(name for name in BASELINES if name != "heuristic")
"""``heuristic`` is another name of the successor table."""
HEAVY = 50_000
"""Hidden states a lane above which a belief player gets fewer episodes."""


def num_episodes(params: Params, player: str) -> int:
    """Episodes of one cell of the table."""
    return 4 if player in ("map", "ideal") and num_states(params) > HEAVY else 20


def play(params: Params, player: str, episodes: int) -> dict[str, np.ndarray]:
    """Mean ``reward``, ``accuracy`` and ``nats`` (surprise by the target) a step, one value an episode."""
    import gymnasium
    from gymnasium.vector import AutoresetMode

    from tropism.envs.patternworld.baselines import make_baseline

    task = f"tropism/PatternWorld-{params.tier}-v0"
    mode = AutoresetMode.DISABLED
    envs = gymnasium.make_vec(task, episodes, autoreset_mode=mode, feedback=params.feedback)
    baseline = make_baseline(player, params, episodes)
    seeds = FIRST_SEED + np.arange(episodes)
    each: Any = seeds.tolist()  # Gymnasium types one number; its vectors take a list
    observation, info = envs.reset(seed=each)
    baseline.reset(np.ones(episodes, bool), seeds.astype(np.uint64))
    total = {name: np.zeros(episodes) for name in ("reward", "accuracy", "nats")}
    lanes = np.arange(episodes)
    for _ in range(STEPS):
        action, log_probs = baseline.act(observation, info)
        assert log_probs is not None
        target = info["target"]
        total["accuracy"] += action == target
        total["nats"] -= log_probs[lanes, target]
        observation, reward, ended, cut, info = envs.step(action)
        total["reward"] += reward
        baseline.observe(action, observation, reward, ended, cut, info)
    return {name: values / STEPS for name, values in total.items()}


def cell(params: Params, player: str) -> dict[str, Any]:
    """One entry of the record: means and standard errors, or why there are none."""
    entry: dict[str, Any] = {
        "tier": params.tier,
        "feedback": params.feedback,
        "player": player,
    }
    reason = not_computable(params)
    if reason and player in ("map", "ideal"):
        return entry | {"not_computable": reason}
    episodes = num_episodes(params, player)
    for name, values in play(params, player, episodes).items():
        spread = float(values.std(ddof=1) / np.sqrt(episodes))
        entry[name] = {"mean": round(float(values.mean()), 4), "se": round(spread, 4)}
    return entry | {"episodes": episodes}


def table(cells: list[dict[str, Any]], feedback: str) -> str:
    """Accuracy of every player on every tier in one feedback mode, as text."""
    found = {(c["tier"], c["player"]): c for c in cells if c["feedback"] == feedback}
    lines = [f"{feedback:>10}  " + " ".join(f"{player:>15}" for player in PLAYERS)]
    for tier in TIERS:
        shown = [found[tier, player].get("accuracy") for player in PLAYERS]
        values = [f"{a['mean']:.3f} ± {a['se']:.3f}" if a else "not computable" for a in shown]
        lines.append(f"{tier:>10}  " + " ".join(f"{value:>15}" for value in values))
    return "\n".join(lines)


def main() -> None:
    """Play, print and record."""
    import tropism.envs  # noqa: F401  registers the ids

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "tiers", nargs="*", choices=[*TIERS, []], metavar="TIER"
    )  # [] is none named
    parser.add_argument("--output", type=Path, default=RESULTS)
    given = parser.parse_args()
    chosen = given.tiers or list(TIERS)
    before = json.loads(RESULTS.read_bytes()) if given.tiers else {"cells": [], "tiers": {}}
    tasks = [make_params(tier, feedback=mode) for mode in FEEDBACKS for tier in chosen]
    jobs = [(params, player) for params in tasks for player in PLAYERS]
    cells = [kept for kept in before["cells"] if kept["tier"] not in chosen]
    with progress(len(jobs), "PatternWorld players") as update:
        for done, (params, player) in enumerate(jobs, start=1):
            cells.append(cell(params, player))
            update(done)
    about = {k: v for k, v in manifest().items() if k != "command"}
    golden = json.loads(GOLDEN.read_bytes())
    fresh = {
        t: {"golden": golden[f"tropism/PatternWorld-{t}-v0"], "manifest": about} for t in chosen
    }
    record = {
        "command": "python benchmarks/patternworld_scores.py",
        "first_seed": FIRST_SEED,
        "steps": STEPS,
        "cells": cells,
        "tiers": before["tiers"] | fresh,
    }
    write_atomic(given.output, json.dumps(record, indent=1) + "\n")
    print("\n\n".join(table(cells, feedback) for feedback in FEEDBACKS))


if __name__ == "__main__":
    main()
