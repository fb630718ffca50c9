"""How runs went, generation by generation, in one picture; matplotlib is imported when one is drawn."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from gymnasium.error import DependencyNotInstalled

from tropism.errors import ArtifactError, OptionError
from tropism_evosax.config import EvoConfig
from tropism_evosax.records import read_run
from tropism_evosax.store import read_rows

FORMATS = (".png", ".svg", ".pdf")
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""After Okabe and Ito, https://jfly.uni-koeln.de/color/: told apart by all eyes."""

Row = Mapping[str, Any]
Axes = Any


class Group(NamedTuple):
    """Runs that differ in their seed only.

    Attributes:
        label: what sets them apart from the other groups.
        population: genomes a generation.
        runs: rows of each.
    """

    label: str
    population: int
    runs: list[list[Row]]


def plot_runs(directories: Sequence[Path], out: Path) -> Path:
    """Draw the runs in ``directories`` into the file ``out``.

    Raises:
        OptionError: for another format.
        ArtifactError: if a directory is no run, is damaged, or has no generation yet.
        gymnasium.error.DependencyNotInstalled: without matplotlib.
    """
    if out.suffix.lower() not in FORMATS:
        raise OptionError(f"out must end in {', '.join(FORMATS)}, got {str(out)!r}")
    groups = _groups(directories)
    panels = _panels(groups)
    figure, rc_context = _new_figure(len(panels))
    for axes, (title, draw) in zip(
        figure.subplots(-(-len(panels) // 2), 2).flat, panels, strict=False
    ):
        axes.set(title=title, xlabel="generation")
        axes.grid(alpha=0.25)
        for group, colour in zip(groups, COLOURS * len(groups), strict=False):
            draw(axes, group, colour)
    for axes in figure.axes[len(panels) :]:
        axes.remove()
    figure.legend(
        *figure.axes[0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=min(len(groups), 4),
    )
    metadata = {"Date": None} if out.suffix.lower() == ".svg" else None
    with rc_context({"svg.hashsalt": "tropism"}):  # the same picture, the same bytes
        figure.savefig(out, dpi=120, metadata=metadata)
    return out


def _new_figure(panels: int) -> tuple[Any, Any]:
    """A figure for so many panels, and matplotlib's context of settings."""
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError as error:
        raise DependencyNotInstalled(
            'plots need matplotlib, which is not installed: pip install "tropism-evosax[plot]"'
        ) from error
    return Figure(figsize=(11, 0.8 + 3 * -(-panels // 2)), layout="constrained"), rc_context


def _groups(directories: Sequence[Path]) -> list[Group]:
    """The runs by configuration, in order of appearance."""
    found: dict[str, tuple[EvoConfig, list[Any]]] = {}
    for directory in directories:
        config, rows = read_run(directory), read_rows(directory)
        if not rows:
            raise ArtifactError(f"{directory} has no generation yet; nothing to plot")
        key = json.dumps(config.to_json() | {"seed": None}, sort_keys=True)
        found.setdefault(key, (config, []))[1].append(rows)
    labels = _labels([config.to_json() for config, _ in found.values()])
    return [
        Group(f"{label} ({len(runs)} seeds)" if len(runs) > 1 else label, config.population, runs)
        for label, (config, runs) in zip(labels, found.values(), strict=True)
    ]


def _labels(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """What sets each config apart; where there is one, its environment and network."""
    names = [n for n in configs[0] if n != "seed" and any(c[n] != configs[0][n] for c in configs)]
    names = names or ["env_id", "controller"]
    return [", ".join(_short(name, config[name]) for name in names) for config in configs]


def _short(name: str, value: Any) -> str:
    text = value if isinstance(value, str) else f"{name}={json.dumps(value)}"
    return text if len(text) < 60 else f"{text[:57]}..."


def _panels(groups: Sequence[Group]) -> list[tuple[str, Callable[[Axes, Group, str], None]]]:
    """The panels that have something to show."""
    panels = [("fitness", _draw_fitness), ("entropy of actions, in nats", _line("entropy"))]
    if any(
        row["viable"] < group.population for group in groups for run in group.runs for row in run
    ):
        panels.append(("share of viable genomes", _draw_viable))
    if any("change" in run[0] for group in groups for run in group.runs):
        panels.append(("mean |Δw| of the plastic weights", _draw_change))
    return panels


def _draw_fitness(axes: Axes, group: Group, colour: str) -> None:
    """Mean of the generation, its best, and the champion's score on fresh episodes."""
    mean, best, crowned = (_series(group, n) for n in ("fitness_mean", "fitness_max", "best_score"))
    axes.plot(_middle(best), color=colour, alpha=0.3, lw=0.7, label=f"{group.label}: best")
    _band(axes, mean, colour, label="mean of the generation", width=0.8)
    score = _middle(crowned)
    at = np.flatnonzero(np.isfinite(score))
    axes.plot(at, score[at], "o-", color=colour, ms=4, lw=1.6, label="champion, lived again")


def _draw_viable(axes: Axes, group: Group, colour: str) -> None:
    _band(axes, _series(group, "viable") / group.population, colour)
    axes.set_ylim(0, 1.02)


def _draw_change(axes: Axes, group: Group, colour: str) -> None:
    """How much weights move: in a step, and in one with an event."""
    axes.set_yscale("log")
    _band(axes, _series(group, "change"), colour, label="a step")
    _band(axes, _series(group, "event_change"), colour, label="a step with an event", style="--")
    axes.legend(fontsize="small")


def _line(name: str) -> Callable[[Axes, Group, str], None]:
    return lambda axes, group, colour: _band(axes, _series(group, name), colour)


def _band(
    axes: Axes,
    series: npt.NDArray[np.float64],
    colour: str,
    label: str | None = None,
    style: str = "-",
    width: float = 1.2,
) -> None:
    """The mean over runs, in a band from lowest to highest."""
    axes.plot(_middle(series), style, color=colour, lw=width, label=label)
    if len(series) > 1:
        low, high = np.fmin.reduce(series), np.fmax.reduce(series)  # NaN only where all are
        axes.fill_between(np.arange(series.shape[1]), low, high, color=colour, alpha=0.18, lw=0)


def _series(group: Group, name: str) -> npt.NDArray[np.float64]:
    """``float64[runs, generations]``, NaN where nothing was told; as long as the shortest run."""
    length = min(map(len, group.runs))
    return np.array([[_number(row.get(name)) for row in run[:length]] for run in group.runs])


def _number(value: float | None) -> float:
    return np.nan if value is None else float(value)


def _middle(series: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Mean over the runs that told something; NaN where none did."""
    told = np.isfinite(series)
    total = np.where(told, series, 0.0).sum(axis=0)
    return np.where(told.any(axis=0), total / np.maximum(told.sum(axis=0), 1), np.nan)
