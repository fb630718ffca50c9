"""What is promised of the council, held against the records of ``study_council.py`` and ``bench_council.py``.

Part of ``claims.py``, which prints it.  Each check is given ``read``, which returns a recorded result by name.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from statistics import fmean
from typing import Any

from council_hops import rising_of_means
from tropism.benchmarks.statistics import interval, mean

Read = Callable[[str], dict[str, Any]]
Finding = tuple[bool, str]
ABLATIONS = 7
"""Arms of three seeds that are compared."""


def arm(name: str, read: Read) -> dict[str, Any]:
    """Means of an arm, with intervals."""
    return read("council")["arms"][name]


def least(name: str, marks: dict[str, float], read: Read) -> Finding:
    """Means of an arm that must reach a mark; a negative mark is one not to exceed."""
    found = {key: arm(name, read)[key]["mean"] for key in marks}
    kept = all(
        found[key] >= mark if mark > 0 else found[key] <= -mark for key, mark in marks.items()
    )
    told = ", ".join(f"{key} {found[key]:.3f} ({abs(mark):g})" for key, mark in marks.items())
    return kept, f"{told}; {arm(name, read)['seeds']} seeds"


def lag(read: Read) -> Finding:
    """Published, whatever it is: steps behind the ideal observer after a switch."""
    found = {name: arm(name, read)["excess_lag"]["mean"] for name in ("switch", "affine")}
    return True, ", ".join(f"{name} {steps:.2f} steps" for name, steps in found.items())


def reliable(read: Read) -> Finding:
    """Published, whatever it is: how far the gate's estimates are off, on average over tenths of the steps."""
    runs = read("council")["runs"]
    names = ("switch", "affine", "hop", "recur")
    off = {name: fmean([row["reliability"]["error"] for row in runs[name]]) for name in names}
    return True, ", ".join(f"{name} {error:.4f}" for name, error in off.items())


def by_hops(name: str, read: Read, who: str = "accuracy") -> list[list[float]]:
    """Accuracy of System 2, or of System 1 (``reflex``), by the number of hops, a seed."""
    return [row["hops"][who] for row in read("council")["runs"][name]]


def hops(read: Read) -> Finding:
    """Every number of hops is answered, and more of them take longer, on average over the seeds; each seed is told beside that."""
    runs = [row["hops"] for row in read("council")["runs"]["hop"]]
    worst = min(fmean(column) for column in zip(*by_hops("hop", read), strict=True))
    rising = rising_of_means(runs)
    each = ", ".join(f"{run['rising']:.2f}" for run in runs)
    told = f"worst k {worst:.3f} (0.9), Spearman of mean steps {rising:.2f} (0.8)"
    return worst >= 0.9 and rising >= 0.8, f"{told}; by seed {each}"


def pondering(read: Read) -> Finding:
    """What System 2, which ponders, gains over System 1, which answers in one pass, where three hops or more are asked for."""
    worst, low = gained(read, by_hops("hop", read, "reflex"))
    return worst >= 0.2 and low > 0, f"least gain {worst:.3f} (0.2), lowest end {low:.3f}"


def one_thought(read: Read) -> Finding:
    """Published, whatever it is: what it gains over a System 2 that was trained to think for one step alone."""
    worst, low = gained(read, by_hops("hop, one pass", read))
    return True, f"least gain {worst:.3f}, lowest end {low:.3f}"


def gained(read: Read, others: list[list[float]]) -> tuple[float, float]:
    """The least gain of System 2 over the accuracies of others, by seed and hops, at three hops or more; and the lowest end of an interval."""
    both = zip(by_hops("hop", read), others, strict=True)
    gains = [[x - y for x, y in zip(*pair, strict=True)][2:] for pair in both]
    columns = [list(column) for column in zip(*gains, strict=True)]
    lows = [interval(column, mean).low for column in columns]
    return min(fmean(column) for column in columns), min(lows)


def gain(read: Read) -> Finding:
    """The gate beats chance at equal compute on some tier."""
    found = {name: arm(name, read)["matched"] for name in ("switch", "affine", "hop", "recur")}
    told = [f"{n} {m['gain']:.1f} [{m['low']:.1f}, {m['high']:.1f}]" for n, m in found.items()]
    fair = [m for m in found.values() if m["control_compute"] >= 0.99 * m["compute"]]
    return any(m["low"] > 0 for m in fair), ", ".join(told) + " points of 1,000"


def memory(read: Read) -> Finding:
    """Old rules are learned anew faster than new ones, with memory, and no faster without."""
    ideal, own, without = (
        arm(name, read)[key]["mean"] - 1
        for name, key in (
            ("recur", "ideal_savings"),
            ("recur", "savings"),
            ("recur, no memory", "savings"),
        )
    )
    told = f"savings - 1: ideal {ideal:.2f}, with memory {own:.2f}, without {without:.2f}"
    return own >= ideal / 2 and abs(without) <= 0.1, told


def ablations(read: Read) -> Finding:
    """All of them are in the table, with three seeds."""
    found = [a["seeds"] for n, a in read("council")["arms"].items() if n.startswith("ablation")]
    return len(found) >= ABLATIONS and min(found) >= 3, f"{len(found)} arms"


def speed(read: Read) -> Finding:
    """Training, a sample at a time, beside the origin."""
    row = read("council_speed")["results"]["training"]
    times = row["times_the_origin"]
    return times >= 100, f"{row['samples_per_s']:,} samples/s, {times:,} x the origin (100)"


def decision(read: Read) -> Finding:
    """One decision of the small model, at batch 1."""
    rows = read("council_speed")["results"]
    alone, asked = (rows[name]["total"] for name in ("System 1 alone, us", "System 2 asked, us"))
    return alone <= 2000, f"{alone:.0f} us (class of 1,000), {asked:.0f} where System 2 is asked"


SWITCH = {"accuracy": 0.95, "normalised": 0.98, "seconds": -600}
ASKED = {"asked_stable": -0.2, "asked_near": 0.6, "auroc": 0.85}
COUNCIL: dict[str, Callable[[Read], Finding]] = {
    "council: Switch": partial(least, "switch", SWITCH),
    "council: Affine": partial(least, "affine", {"accuracy": 0.95}),
    "council: excess lag": lag,
    "council: when it is asked": partial(least, "switch", ASKED),
    "council: reliability": reliable,
    "council: hops": hops,
    "council: pondering": pondering,
    "council: pondering beside one step of thought": one_thought,
    "council: gain of thought": gain,
    "council: memory": memory,
    "council: ablations": ablations,
    "council: training": speed,
    "council: a decision": decision,
}
