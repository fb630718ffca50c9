"""Run a cell and read it back.

A finished cell is two files, named by a hash of everything the result depends on: ``<key>.npz`` holds the
episodes and ``<key>.json``, written last, says what was played with which versions.  So any engine, or a
shell loop over shards, can run cells in any order, skip finished ones and merge directories by copying.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tropism.agents.artifacts import read_json, write_atomic
from tropism.agents.contract import Budget
from tropism.agents.plugins import default_host
from tropism.benchmarks.cells import Cell, cell_key, packages, source_of
from tropism.errors import ArtifactError, UnsupportedTaskError

if TYPE_CHECKING:
    from tropism.agents.contract import Agent, Policy
    from tropism.agents.episodes import Episode

LATENCY_STEPS = 200
"""Decisions timed at one lane for the latency of a policy."""

Progress = Callable[[float], None]


@dataclass(frozen=True)
class Result:
    """A finished cell.

    Attributes:
        key: Hash of everything it depends on.
        cell: What was played.
        record: The content of its JSON file: versions, seconds, latency, the matched random gate,
            the scores under budgets of compute, ...
        episodes: What was recorded, in the order of the evaluation seeds.
    """

    key: str
    cell: Cell
    record: dict[str, Any]
    episodes: list[Episode]


def run_cell(cell: Cell, out_dir: str | Path, progress: Progress | None = None) -> Path:
    """Train, evaluate and write one cell; a finished one is left as it is.

    Args:
        cell: What to run.
        out_dir: Files go into ``cells/`` there, the training run into ``runs/<key>``, where a killed
            run resumes.
        progress: Told the number of evaluation episodes played.

    Returns:
        The path of the JSON file that marks the cell as finished.

    Raises:
        UnsupportedTaskError: If the agent says that it cannot play the task.
        UnknownNameError, OptionError, PluginError: If the agent cannot be built.
    """
    from tropism.agents.evaluate import evaluate, save_episodes
    from tropism.benchmarks.budgets import play_budgets
    from tropism.benchmarks.gate import matched_gate

    key, folder = cell_key(cell), Path(out_dir) / "cells"
    done = folder / f"{key}.json"
    if done.exists():
        return done
    folder.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    host = default_host()
    host.register_envs()
    agent = host.make_agent(cell.agent, cell.config, cell.train_seed)
    policy = _trained(agent, cell, Path(out_dir) / "runs" / key)
    trained = time.perf_counter()
    episodes = evaluate(
        policy,
        cell.task,
        cell.eval_seeds,
        privileged=agent.privileged,
        belief=True,
        progress=progress,
    )
    matched = matched_gate(policy, cell.task, episodes, privileged=agent.privileged)
    budgets = play_budgets(policy, cell.task, episodes, privileged=agent.privileged)
    save_episodes(folder / f"{key}.npz", episodes)
    record = {
        "cell": cell.to_json(),
        "privileged": agent.privileged,
        "train_s": round(trained - started, 3),
        "eval_s": round(time.perf_counter() - trained, 3),
        "latency_us": _latency(policy, cell, agent.privileged),
        "gate": matched.to_json() if matched else None,
        "budgets": budgets,
        "action_hashes": [episode.action_hash for episode in episodes],
        "episodes_sha3": _digest(folder / f"{key}.npz"),
        **_origin(cell),
    }
    for episode in episodes:
        host.hook.tropism_episode_end(episode=episode)
    write_atomic(done, json.dumps(record, indent=1, sort_keys=True, allow_nan=False))
    return done


def load_result(path: str | Path) -> Result:
    """Read a finished cell back.

    Raises:
        ArtifactError: If either file is missing, truncated or edited.
    """
    from tropism.agents.episodes import load_episodes

    path = Path(path)
    record, data = read_json(path), path.with_suffix(".npz")
    if not data.exists() or _digest(data) != record.get("episodes_sha3"):
        raise ArtifactError(
            f"{data} is missing or not what {path.name} recorded; remove both files and run again"
        )
    return Result(path.stem, Cell.from_json(record.get("cell", {})), record, load_episodes(data))


def _trained(agent: Agent, cell: Cell, directory: Path) -> Policy:
    """The policy after training in ``directory``, where a killed run resumes."""
    from tropism.agents.runs import Run

    if reason := agent.supports(cell.task):
        raise UnsupportedTaskError(f"{cell.agent} does not play {cell.task.env_id}: {reason}")
    with Run(directory, {**cell.to_json(), "seed": cell.train_seed}) as run:
        return agent.train(cell.task, Budget(env_steps=cell.env_steps), run)


def _latency(policy: Policy, cell: Cell, privileged: bool) -> float | None:
    """Median wall microseconds of a decision at one lane; ``None`` for players who see labels."""
    from statistics import median

    from tropism.agents.evaluate import measure_latency

    if privileged:
        return None
    times = measure_latency(policy, cell.task, LATENCY_STEPS, seed=cell.eval_seeds[0])
    return round(float(median(times)), 2)


def _origin(cell: Cell) -> dict[str, Any]:
    """What the numbers came from: versions, sources, machine."""
    from tropism.agents.manifest import manifest

    kept = ("utc", "python", "platform", "cpu", "cores")
    about = manifest(cell.train_seed)
    entry = default_host().agents()[cell.agent]
    plugin = next(s for s in default_host().plugins() if s.name == entry.plugin)
    return {
        **{name: about[name] for name in kept},
        "plugin": f"{plugin.distribution or 'tropism'} {plugin.version}".strip(),
        "packages": packages(),
        "source": source_of(cell.agent),
    }


def _digest(path: Path) -> str:
    return hashlib.sha3_256(path.read_bytes()).hexdigest()
