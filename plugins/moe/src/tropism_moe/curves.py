"""How a run learned, in one picture: losses by environment steps, stage by stage; matplotlib is imported when it is drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gymnasium.error import DependencyNotInstalled

from tropism.agents.runs import read_metrics
from tropism.errors import ArtifactError
from tropism_moe.stages import STAGES

PANELS = {
    "imitation": "loss against the teacher",
    "distillation": "divergence from the dense network",
    "balance": "load of experts, 1 is even",
    "smoothness": "way of the routing a step",
}
SHADES = ("#ffffff", "#e8eef4", "#f6efe4")
"""Behind the stages."""


def draw_curves(directory: Path, out: Path) -> Path:
    """Draw the losses of a run into the picture ``out``.

    Raises:
        ArtifactError: nothing was learned there yet.
        gymnasium.error.DependencyNotInstalled: without matplotlib.
    """
    rows = [row for row in read_metrics(directory) if "imitation" in row]
    if not rows:
        raise ArtifactError(
            f"{directory} has no metrics of training yet; run `tropism moe train` first"
        )
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise DependencyNotInstalled(
            "curves need matplotlib, which is not installed: pip install matplotlib"
        ) from error
    figure = Figure(figsize=(11, 6.4), layout="constrained")
    for axes, (name, title) in zip(figure.subplots(2, 2).flat, PANELS.items(), strict=True):
        _panel(axes, rows, name, title)
    figure.savefig(out, dpi=120)
    return out


def _panel(axes: Any, rows: list[dict[str, Any]], name: str, title: str) -> None:
    """One loss, on a logarithmic scale where it falls by much."""
    axes.set(title=title, xlabel="environment steps")
    axes.grid(alpha=0.25)
    for number, (stage, shade) in enumerate(zip(STAGES, SHADES, strict=True)):
        some = [row for row in rows if row["stage"] == number and row[name] is not None]
        if not some:
            continue
        steps = [row["step"] for row in some]
        axes.axvspan(steps[0], steps[-1], color=shade, zorder=0)
        axes.plot(steps, [row[name] for row in some], lw=1, color="#0072b2")
        axes.text(steps[0], 1, f" {stage.name}", transform=axes.get_xaxis_transform(), va="top")
    if name in ("imitation", "distillation"):
        axes.set_yscale("log")
