"""Write the results in the README of ``plugins/moe`` from the records; ``--check`` writes nothing, and fails if they differ.

::

    .venv/bin/python benchmarks/moe_table.py
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

from moe_arms import ABLATIONS, ARMS
from readme_rows import ROOT, figure, fill, read, rows

TASKS = {
    "switch": "Switch",
    "affine": "Affine",
    "chemotaxis": "Chemotaxis-L3.0",
    "steady": "Chemotaxis-L0.2-Informed",
}
"""Arms of the tasks."""
SLACK = {"affine, slack": "Affine, slack of 0.3 in training"}
STAGES = ("teacher", "dense", "sparse", "ternary", "packed")
BOARD = {"switch": "PatternWorld-Switch", "affine": "PatternWorld-Affine"}
"""Where the full leaderboard has scores of PPO."""
Arms = Mapping[str, Mapping[str, Any]]


def number(found: Mapping[str, Any], key: str, digits: int = 3) -> str:
    """A mean alone."""
    return f"{found[key]['mean']:,.{digits}f}" if key in found else "–"


def stages(names: Mapping[str, str], found: Arms) -> Iterator[str]:
    """Normalised scores by stage."""
    body = [
        [told, *(figure(found[name].get(f"{stage}.normalised")) for stage in STAGES)]
        for name, told in names.items()
        if name in found
    ]
    yield from rows(["", *STAGES], body)


def ablations(found: Arms) -> Iterator[str]:
    """What parts of the training are worth to the packed network, and to the load of its experts."""
    body = [
        [name, figure(arm.get("packed.normalised")), number(arm, "ternary.unevenness")]
        for name in ABLATIONS
        if (arm := found.get(f"ablation: {name}"))
    ]
    yield from rows(["", "packed", "Gini"], body)


def weights(found: Arms) -> Iterator[str]:
    """Bytes of weights, and how evenly experts are asked."""
    body = []
    for name, told in TASKS.items():
        if arm := found.get(name):
            dense, sparse, packed = (arm[f"{s}.weight_bytes"]["mean"] for s in ("dense", "sparse", "packed"))  # fmt: skip
            one = found.get(f"{name}, one expert", {}).get("packed.weight_bytes", {"mean": 0})
            body.append([
                told, f"{dense:,.0f}", f"{sparse:,.0f}", f"{packed:,.0f}", f"1/{sparse / packed:.1f}",
                f"1/{dense / one['mean']:.1f}" if one["mean"] else "–",
                number(arm, "sparse.unevenness"), number(arm, "ternary.unevenness"), number(arm, "ternary.unused", 0),
            ])  # fmt: skip
    head = ["", "dense", "sparse", "packed", "of sparse", "one expert, packed, of dense", "Gini, sparse", "ternary", "idle"]  # fmt: skip
    yield from rows(head, body)


def beside(found: Arms, board: Mapping[str, Any]) -> Iterator[str]:
    """Teachers that reinforcement learning would give."""
    body = []
    for name, told in TASKS.items():
        tasks = {
            row["player"]: row["estimates"]["nis"]["estimate"]
            for row in board.get("tasks", {}).get(BOARD.get(name, ""), ())
            if row["player"] in ("ppo", "recurrent-ppo")
        }
        scores = {k: f"{v:.3f}" for k, v in tasks.items()}
        if arm := found.get(f"{name}, ppo"):
            scores["ppo"] = number(arm, "ppo.normalised")
        body.append([told, scores.get("ppo", "–"), scores.get("recurrent-ppo", "–")])
    yield from rows(["", "PPO", "recurrent PPO"], body)


def confidence(found: Arms) -> Iterator[str]:
    """Calibration on test episodes, and what tells of errors."""
    keys = {
        "right": "right", "ece_before": "ECE before", "ece_after": "ECE after", "auroc_doubt": "AUROC of doubt",
        "auroc_disagreement": "AUROC of disagreement", "right_by_all_perspectives": "right, all perspectives",
    }  # fmt: skip
    body = [
        [told, *(number(found[name], f"confidence.{key}", 3) for key in keys)]
        for name, told in TASKS.items()
        if name in found
    ]
    yield from rows(["", *keys.values()], body)


def caching(found: Arms) -> Iterator[str]:
    """Misses and return by tolerance, an eighth of the slabs in memory."""
    body = []
    for name, told in (TASKS | SLACK).items():
        arm = found.get(name, {})
        tolerances = [k.split(".misses")[0].removeprefix("caching.") for k in arm if k.endswith(".misses")]  # fmt: skip
        base_misses, base_score = (arm[f"caching.0.{k}"]["mean"] for k in ("misses", "score")) if tolerances else (1, 1)  # fmt: skip
        for t in tolerances:
            at = {k: arm[f"caching.{t}.{k}"]["mean"] for k in ("misses", "score", "substituted", "unannounced")}  # fmt: skip
            change = 100 * (at["score"] / base_score - 1)
            body.append([
                told, t, f"{at['misses']:,.0f}", f"{100 * (at['misses'] / base_misses - 1):+.0f} %",
                f"{100 * at['substituted']:.0f} %", f"{at['score']:.1f}", f"{change:+.1f} %", f"{at['unannounced']:.0f}",
            ])  # fmt: skip
    head = ["", "tolerance", "misses", "", "substituted", "score", "", "not announced"]
    yield from rows(head, body)


def shifted(found: Mapping[str, Any]) -> Iterator[str]:
    """Ways to adapt at play, after shifts that were not trained on."""
    body = []
    for name, ways in found.items():
        for way, row in ways.items():
            right = [f"{100 * fmean(row[k]):.1f} %" for k in ("before", "after", "last")]
            told = name.removeprefix("tropism/PatternWorld-").replace("-v0", "") if way == "off" else ""  # fmt: skip
            body.append([told, way, *right, f"{100 * row['recovered']:.0f} %", f"{row['parameters']:,}", f"{row['ms']:.2f}"])  # fmt: skip
    head = [
        "",
        "way",
        "right before",
        "just after",
        "last quarter",
        "recovered",
        "parameters",
        "ms",
    ]
    yield from rows(head, body)


def parts(found: Arms) -> Iterator[tuple[str, Iterator[str]]]:
    """Titles and tables."""
    yield "Normalised scores, 0 random and 1 ideal, by stage:", stages(TASKS | SLACK, found)
    yield "Weights, in bytes, and how evenly experts are asked:", weights(found)
    yield "What reinforcement learning comes to on the same tasks:", beside(found, read("full"))
    ones = {f"{name}, one expert": f"{told}, one expert" for name, told in TASKS.items()}
    yield "One expert a layer, that is as many weights at work:", stages(ones, found)
    alone = {"switch": "observations, from a teacher", "switch, tokens alone": "tokens, from those that follow"}  # fmt: skip
    yield "Switch, what is read and learned from:", stages(alone, found)
    gated = {
        "switch": "Switch, at a block's entry",
        "switch, gated ahead": "Switch, there, two steps before",
        "switch, gated at each layer": "Switch, at each layer",
        "affine": "Affine, at a block's entry",
        "affine, gated ahead": "Affine, there, two steps before",
    }
    yield "Experts chosen:", stages(gated, found)
    yield "Confidence on test episodes, right being what the teacher would have done:", confidence(found)  # fmt: skip
    yield "One lane, an eighth of the slabs in memory, experts at hand taken if hardly farther:", caching(found)  # fmt: skip
    shifts = shifted(read("moe_shift").get("results", {}))
    yield "A world that shifts within the episode (`python benchmarks/moe_shift.py`, three seeds), and what of the loss is recovered at play:", shifts  # fmt: skip
    yield "Switch, half of the steps:", ablations(found)


def results(found: Arms) -> str:
    """All of them."""
    lines: list[str] = []
    for title, table in parts(found):
        told: Sequence[str] = list(table)
        if len(told) > 2:
            lines += [title, "", *told, ""]
    missing = [n for n in (*ARMS, *(f"ablation: {n}" for n in ABLATIONS)) if n not in found]
    if missing:
        lines += [f"Not run to their end yet: {', '.join(missing)}.", ""]
    return "\n".join(lines[:-1])


if __name__ == "__main__":
    fill(ROOT / "plugins/moe/README.md", results(read("moe").get("arms", {})), "benchmarks/moe_table.py")  # fmt: skip
