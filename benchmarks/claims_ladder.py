"""What is promised of the Chemotaxis ladder and of evolution on it, held against the records.

Part of ``claims.py``, which prints it.  Each check is given ``read``, which returns a recorded result by name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Read = Callable[[str], dict[str, Any]]
Finding = tuple[bool, str]
ORIGIN, PROBE, ORACLE = 164.27, 193.0, 208.7
"""Fitness on L0.2 of koki2's evolution, and what the probe controller and the oracle must reach."""
FIRST = ("L0.0", "L0.1", "L0.2", "L0.2-Informed", "L1.0", "L1.1", "L1.2")
LOOP = "ratio to koki2's loop"


def told(arm: dict[str, float]) -> str:
    """A mean with its interval."""
    return "{mean:.1f} [{low:.1f}, {high:.1f}]".format(**arm)


def published(read: Read) -> Finding:
    """The origin's figures, each within the 99 % interval of the difference."""
    rows = read("chemotaxis_scores")["published"]
    off = [f"{row['player']} on {row['level']}" for row in rows if not row["agrees"]]
    return not off, f"{len(rows) - len(off)} of {len(rows)} figures" + "".join(
        f"; {o}" for o in off
    )


def players(read: Read) -> Finding:
    """Probe and oracle on L0.2."""
    cells = [c for c in read("chemotaxis_scores")["cells"] if c["level"] == "L0.2"]
    found = {c["player"]: c["fitness"]["mean"] for c in cells}
    kept = found["probe"] >= PROBE and abs(found["oracle"] - ORACLE) <= 1
    return kept, f"probe {found['probe']:.1f}, oracle {found['oracle']:.1f}"


def levels(read: Read) -> Finding:
    """The oracle is ahead of the memoryless heuristic on each level, interval above zero."""
    gaps = read("chemotaxis_scores")["gaps"]
    least = min(gaps, key=lambda level: gaps[level]["share"])
    kept = len(gaps) >= 17 and all(gap["interval"][0] > 0 for gap in gaps.values())
    return kept, f"{len(gaps)} levels; least on {least}, {gaps[least]['share']:.0%} of the oracle"


def budget(read: Read) -> Finding:
    """Evolution within the origin's steps, five seeds, beside the origin's figure and the probe controller."""
    arms = read("study_budget")["arms"]
    best = max(arms, key=lambda name: arms[name]["mean"])
    kept = arms["spiking openes"]["low"] > ORIGIN
    return kept, f"preset {told(arms['spiking openes'])}, best ({best}) {told(arms[best])}"


def loop(read: Read) -> Finding:
    """Speed beside koki2's loop on identical work."""
    ratios = read("evolution_speed")[LOOP]
    fixed, plastic = ratios["fixed, two devices"], ratios["plastic, two devices"]
    return fixed >= 10 and plastic >= 5, f"fixed {fixed:.1f} x (10), plastic {plastic:.1f} x (5)"


def sizes(read: Read) -> Finding:
    """A generation takes time in proportion to population and to episodes, at most."""
    powers = read("evolution_speed")["exponent"]
    return max(powers.values()) <= 1.1, ", ".join(f"{k}: ^{v}" for k, v in powers.items())


def large(read: Read) -> Finding:
    """Steps per second of a large population, and 200 generations: recorded, within 2 x of the class."""
    rows = read("evolution_speed")["results"]
    steps = max(row["steps_per_s"] for name, row in rows.items() if name.startswith("mlp"))
    seconds = rows["200 generations, two devices"]["seconds"]
    return steps >= 2e6 and seconds <= 30, f"{steps / 1e6:.1f} M steps/s; {seconds:.1f} s"


def savings(read: Read) -> Finding:
    """A filter and a rung that select save steps while final performance is not shown to be worse."""
    record, kept, numbers = read("study_selection"), True, []
    whole = record["arms"]["full"]["simulated"]
    for name in ("viability, a meal", "rung, three quarters"):
        share = record["arms"][name]["simulated"] / whole
        difference = record["comparisons"][f"{name} - full"]
        kept &= share < 1 and difference["high"] >= 0
        numbers.append(f"{name}: {share:.0%} of the steps, {told(difference)}")
    return kept, "; ".join(numbers)


def plasticity(read: Read) -> Finding:
    """Published, whatever came out."""
    found = read("study_plasticity")["comparisons"]
    rows = [name for name in found if "event - " in name and name.endswith(" fixed")]
    return True, "; ".join(f"{name} {told(found[name])}" for name in rows)


def single(read: Read) -> Finding:
    """``gym.make`` beside CartPole on the first levels."""
    rows = [s for s in read("throughput_chemotaxis")["speeds"] if s["face"] == "single"]
    ratios = {s["name"].split("Chemotaxis-")[1][:-3]: s["ratio"] for s in rows if s["ratio"]}
    kept = all(ratios.get(level, 0) >= 2 for level in FIRST)
    return kept, ", ".join(f"{level} {ratios.get(level, 0):.2f} x" for level in FIRST)


LADDER: dict[str, Callable[[Read], Finding]] = {
    "koki2's figures within the 99 % interval": published,
    "probe controller at least 193 and oracle 208.7 ± 1 on L0.2": players,
    "oracle ahead of the heuristic on every level": levels,
    "evolution above koki2's 164.27 on L0.2": budget,
    "evolution 10 x, plastic 5 x as fast as koki2's loop": loop,
    "a generation's time at most linear in population and episodes": sizes,
    "4 M steps/s with an MLP each, 200 generations in 15 s (class)": large,
    "filter and rungs save steps at equal performance": savings,
    "plastic against fixed published": plasticity,
    "gym.make at least 2 x CartPole on L0 and L1": single,
}
