"""Write the results in the README of ``plugins/council`` from the records; ``--check`` writes nothing, and fails if they differ.

::

    .venv/bin/python benchmarks/council_table.py
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import fmean
from typing import Any

from council_arms import ABLATIONS, ARMS
from council_hops import rising_of_means
from readme_rows import ROOT, figure, fill, read, rows

COLUMNS = {
    "accuracy": "accuracy",
    "S1": "System 1",
    "S2": "System 2",
    "normalised": "normalised",
    "excess_lag": "excess lag",
    "asked_stable": "asked, stable",
    "asked_near": "asked, 1–3",
    "auroc": "AUROC",
}
"""Of the tables of arms: names on record, and of columns."""


def arms(names: Mapping[str, str], found: Mapping[str, Any]) -> Iterator[str]:
    """A table of arms, by the names that are told for those on record."""
    body = []
    for name, told in names.items():
        if (arm := found.get(name)) is None:
            continue
        m = arm["matched"]
        gain = f"{m['gain']:.1f} [{m['low']:.1f}, {m['high']:.1f}]"
        columns = [figure(arm.get(key)) for key in COLUMNS]
        body.append([told, *columns, gain, f"{m['compute']:.2f}, {m['control_compute']:.2f}"])
    yield from rows(["arm", *COLUMNS.values(), "gain over chance", "compute"], body)


def hops(runs: Mapping[str, Any]) -> Iterator[str]:
    """Hop, by how many hops are asked for."""
    body = []
    for told, name, key, digits, of in (
        ("System 2", "hop", "accuracy", 3, fmean),
        ("System 2, its worst seed", "hop", "accuracy", 3, min),
        ("System 2 of one step of thought", "hop, one pass", "accuracy", 3, fmean),
        ("System 1", "hop", "reflex", 3, fmean),
        ("compute of System 2", "hop", "compute", 1, fmean),
    ):
        if name in runs:
            columns = zip(*(run["hops"][key] for run in runs[name]), strict=True)
            body.append([told, *(f"{of(column):.{digits}f}" for column in columns)])
    yield from rows(["hops", *map(str, range(1, 9))], body)
    each = [run["hops"] for run in runs["hop"]]
    rising, single, long = (
        ", ".join(f"{run[key]:.2f}" for run in each)
        for key in ("rising", "spearman", "spearman_long")
    )
    yield ""
    yield (
        f"Rank correlation (Spearman) of the hops that are asked for with the compute that they take on average over the seeds: "
        f"{rising_of_means(each):.2f}; on average within each seed: {rising}; with that of single decisions: {single}, and without the quarter "
        f"of the questions that lie on cycles of one or two symbols, which are soon answered: {long}."
    )


def memory(found: Mapping[str, Any]) -> Iterator[str]:
    """Recur: lag on the first visit to a rule over that on later ones."""
    body = []
    for name in ("recur", "recur, no memory"):
        if arm := found.get(name):
            keys = ("ideal_savings", "savings", "S2_savings")
            body.append([name, *(figure(arm.get(key), 2) for key in keys)])
    yield from rows(["arm", "a learner that solves for rules", "gated", "System 2 alone"], body)


def speed(found: Mapping[str, Any]) -> Iterator[str]:
    """Training and one decision."""
    training = found["training"]
    yield (
        f"Training, on one core and in the origin's own experiment: {training['samples_per_s']:,} steps a second, "
        f"{training['times_the_origin']:,} times the origin's. One decision of the small model at batch 1, in microseconds:"
    )
    yield ""
    asked = {"System 1 alone": "System 1 alone, us", "System 2 asked": "System 2 asked, us"}
    parts = ["read", "reflex", "think", "all else", "total"]
    body = [[told, *(f"{found[n].get(p, 0):.0f}" for p in parts)] for told, n in asked.items()]
    yield from rows(["", *parts], body)


def results() -> str:
    """All of them."""
    record, quick = read("council"), read("council_speed")
    found, runs = record.get("arms", {}), record.get("runs", {})
    lines = list(arms({name: name for name in ARMS}, found))
    for title, wanted, table in (
        ("Hop, by how many hops are asked for:", "hop", lambda: hops(runs)),
        ("Recur of rules that were not met in training, savings:", "recur", lambda: memory(found)),
    ):
        if wanted in found:
            lines += ["", title, "", *table()]
    ablated = {f"ablation: {name}": name for name in ABLATIONS}
    if set(ablated) & set(found):
        lines += [
            "",
            "Switch, 600,000 steps (a quarter of what ten minutes on two cores would do), three seeds:",
            "",
            *arms(ablated, found),
        ]
    if quick:
        lines += ["", *speed(quick["results"])]
    missing = [name for name in (*ARMS, *ablated) if name not in found]
    if missing:
        lines += ["", f"Not run to their end yet: {', '.join(missing)}."]
    return "\n".join(lines)


if __name__ == "__main__":
    fill(ROOT / "plugins/council/README.md", results(), "benchmarks/council_table.py")
