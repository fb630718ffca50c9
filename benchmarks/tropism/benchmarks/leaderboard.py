"""The leaderboard: finished cells, condensed to one row an agent and task, with intervals."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tropism.benchmarks.budgets import budget_area, point_area
from tropism.benchmarks.estimates import across_tasks, estimate, improvement
from tropism.benchmarks.gate import pool
from tropism.benchmarks.metrics import METRICS, find_metric, regret_curve
from tropism.benchmarks.metrics.registry import References
from tropism.benchmarks.references import BEST, scale
from tropism.benchmarks.statistics import Interval

if TYPE_CHECKING:
    from tropism.agents.contract import Task
    from tropism.agents.episodes import Episode
    from tropism.benchmarks.board import Board
    from tropism.benchmarks.runner import Result

ESTIMATED = ("score", "nis", "accuracy", "excess-lag", "log-regret")
"""Metrics told with an interval: they are computed sample by sample."""


@dataclass(frozen=True)
class Row:
    """One player on one task.

    Attributes:
        player: Its name on the board.
        reference: Privileged, or the best possible play: a line to compare with, never ranked.
        rank: 1 for the best score of the task; ``None`` for references.
        runs: Training seeds.
        samples: Samples of the score, over all training seeds.
        env_steps: Training budget.
        estimates: Interquartile mean and interval by metric, of :data:`ESTIMATED`.
        metrics: Every metric that applies, over all episodes pooled.
        curve: Accuracy lost to the ideal observer by steps since the switch, or empty.
        latency_us: Median microseconds of a decision at one lane, or ``None``.
        gate: The matched random gate over all training seeds, see :func:`tropism.benchmarks.gate.pool`,
            or ``None``.
        pareto: Area under the normalised score within a budget of compute, see
            :mod:`tropism.benchmarks.budgets`, or ``None`` where there is no scale.  It needs more than
            the recorded episodes, so it is none of the metrics.
        over_next: Chance that a sample of this player beats one of the next in rank, or ``None``.
    """

    player: str
    reference: bool
    rank: int | None
    runs: int
    samples: int
    env_steps: int
    estimates: Mapping[str, Interval]
    metrics: Mapping[str, float]
    curve: tuple[float, ...]
    latency_us: float | None
    gate: Mapping[str, Any] | None
    pareto: float | None
    over_next: Interval | None = None


@dataclass(frozen=True)
class Section:
    """All rows of one task, references first, then by rank."""

    task: str
    rows: tuple[Row, ...]


def sections(results: Sequence[Result]) -> list[Section]:
    """One section a task, in the order of the results."""
    tasks = by_task(results)
    return [_section(name, players) for name, players in tasks.items()]


def board_json(board: Board) -> dict[str, Any]:
    """The whole board as JSON values, to be recorded beside the command that made it; NaN becomes null."""
    return {
        **board.about,
        "cells": {"finished": len(board.results), "total": board.total},
        "overall": {name: asdict(value) for name, value in overall(board.results).items()},
        "tasks": {s.task: [_row_json(row) for row in s.rows] for s in sections(board.results)},
    }


def _row_json(row: Row) -> dict[str, Any]:
    curve = [None if math.isnan(value) else value for value in row.curve]
    return asdict(row) | {"curve": curve}


def overall(results: Sequence[Result]) -> dict[str, Interval]:
    """Normalised score across tasks, for the players that played every task on which regimes switch.

    Returns:
        By player, best first; empty with fewer than two such tasks.
    """
    tasks = {
        name: players
        for name, players in by_task(results).items()
        if "switched" in next(iter(players.values()))[0].episodes[0].labels
    }
    common = set.intersection(*(set(players) for players in tasks.values())) if tasks else set()
    nis = find_metric("nis")
    found = {}
    for name in common if len(tasks) > 1 else ():
        tables = [samples(nis, p[name], task_references(p)) for p in tasks.values()]
        found[name] = across_tasks(tables)
    kept = {name: value for name, value in found.items() if value is not None}
    return dict(sorted(kept.items(), key=lambda item: -item[1].estimate))


def by_task(results: Sequence[Result]) -> dict[str, dict[str, list[Result]]]:
    """Results by name of the task and of the player, training seeds in order."""
    found: dict[str, dict[str, list[Result]]] = {}
    for result in sorted(results, key=lambda r: r.cell.train_seed):
        players = found.setdefault(task_name(result.cell.task), {})
        players.setdefault(result.cell.label or result.cell.agent, []).append(result)
    return dict(sorted(found.items()))


def task_name(task: Task) -> str:
    """The id without namespace and version, and the keyword arguments: ``PatternWorld-Switch (feedback=probe)``."""
    name = task.env_id.rpartition("/")[2].rpartition("-v")[0] or task.env_id
    options = ", ".join(f"{key}={value}" for key, value in sorted(task.kwargs.items()))
    return f"{name} ({options})" if options else name


def task_references(players: Mapping[str, Sequence[Result]]) -> References:
    """The reference players of one task, for the metrics."""
    return scale({name: results[0].episodes for name, results in players.items()})


def samples(
    metric: Callable[[Sequence[Episode], References], float],
    results: Sequence[Result],
    references: References,
) -> np.ndarray:
    """The metric of every block of episodes, shape (training seeds, blocks)."""
    return np.array(
        [[metric(block, references) for block in _blocks(result)] for result in results]
    )


def _blocks(result: Result) -> Iterator[list[Episode]]:
    size = result.cell.block
    for first in range(0, len(result.episodes), size):
        yield result.episodes[first : first + size]


def _section(task: str, players: Mapping[str, list[Result]]) -> Section:
    references = task_references(players)
    rows = [_row(name, results, references) for name, results in players.items()]
    rows.sort(key=lambda row: -row.estimates["score"].estimate)
    lines = [row for row in rows if row.reference]
    ranked = [row for row in rows if not row.reference]
    score = find_metric("score")
    tables = [samples(score, players[row.player], references) for row in ranked]
    chances = [improvement(a, b) for a, b in itertools.pairwise(tables)]
    placed = [
        replace(row, rank=rank, over_next=chance)
        for rank, (row, chance) in enumerate(zip(ranked, [*chances, None], strict=False), start=1)
    ]
    return Section(task, (*lines, *placed))


def _row(name: str, results: list[Result], references: References) -> Row:
    episodes = [episode for result in results for episode in result.episodes]
    estimates = {m: estimate(samples(find_metric(m), results, references)) for m in ESTIMATED}
    metrics = {m: metric(episodes, references) for m, metric in METRICS.items()}
    switching = "ideal" in references and find_metric("excess-lag").applies(episodes, references)
    curve = regret_curve(episodes, references["ideal"]) if switching else ()
    latencies = [r.record["latency_us"] for r in results if r.record["latency_us"] is not None]
    return Row(
        player=name,
        reference=results[0].record["privileged"] or name in BEST,
        rank=None,
        runs=len(results),
        samples=sum(len(list(_blocks(result))) for result in results),
        env_steps=results[0].cell.env_steps,
        estimates={m: found for m, found in estimates.items() if found is not None},
        metrics={m: value for m, value in metrics.items() if not np.isnan(value)},
        curve=tuple(float(value) for value in curve),
        latency_us=float(np.median(latencies)) if latencies else None,
        gate=pool(gates) if (gates := _recorded(results, "gate")) else None,
        pareto=_pareto(results, references, metrics["nis"]),
    )


def _recorded(results: Sequence[Result], name: str) -> list[dict[str, Any]]:
    """What the results recorded under ``name``, if each did."""
    found = [result.record[name] for result in results if result.record.get(name) is not None]
    return found if len(found) == len(results) else []


def _pareto(results: Sequence[Result], references: References, normalised: float) -> float | None:
    """Area over budgets of compute: measured under buckets, or of the one point of a policy with one mode."""
    if math.isnan(normalised):
        return None
    if any(episode.gated is not None for result in results for episode in result.episodes):
        records = _recorded(results, "budgets")
        area = budget_area(records, references) if records else math.nan
    else:
        area = point_area([e for r in results for e in r.episodes], normalised)
    return None if math.isnan(area) else area
