"""What is promised of the streamed mixture of experts as a learner, held against its records.

They are those of ``study_moe.py``, ``moe_memory.py`` and ``moe_shift.py``.  Part of ``claims.py``, which prints it.  Each check is given ``read``, which returns a recorded result by name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Read = Callable[[str], dict[str, Any]]
Finding = tuple[bool, str]
TASKS = ("switch", "affine", "chemotaxis")
LIMIT = 2048
"""Parameters that may adapt."""


def mean(read: Read, arm: str, key: str) -> float:
    """Over the seeds of an arm."""
    return read("moe")["arms"][arm][key]["mean"]


def told(read: Read, key: str, digits: int = 3) -> str:
    """A figure of each task."""
    return ", ".join(f"{task} {mean(read, task, key):.{digits}f}" for task in TASKS)


def teacher(read: Read) -> Finding:
    """The dense network, that all else is made of, on the scale from random to ideal."""
    kept = all(mean(read, task, "dense.normalised") >= 0.9 for task in TASKS)
    return kept, told(read, "dense.normalised")


def student(read: Read) -> Finding:
    """The packed network beside the dense one, and its bytes beside those that its weights had in training: of many experts, and of one, which has as many weights as the dense network."""
    arms = [*TASKS, *(f"{task}, one expert" for task in TASKS[:2])]
    found = [
        (arm, _share(read, arm, "normalised"), 1 / _share(read, arm, "weight_bytes", "sparse"))
        for arm in arms
    ]
    kept = all(score >= 0.95 and smaller >= 8 for _, score, smaller in found)
    told = (f"{arm} {score:.3f} of the dense network at 1/{smaller:.1f} of the bytes in training" for arm, score, smaller in found)  # fmt: skip
    return kept, "; ".join(told)


def _share(read: Read, arm: str, key: str, stage: str = "dense") -> float:
    """Of the packed network beside another stage."""
    return mean(read, arm, f"packed.{key}") / mean(read, arm, f"{stage}.{key}")


def routing(read: Read) -> Finding:
    """Load of the experts: Gini coefficient, and those that nobody asks."""
    kept = all(
        mean(read, task, "ternary.unevenness") < 0.15 and not mean(read, task, "ternary.unused")
        for task in TASKS
    )
    return kept, f"Gini {told(read, 'ternary.unevenness')}; idle {told(read, 'ternary.unused', 1)}"


def many(read: Read) -> Finding:
    """Published, whatever it is: many experts beside one, as many weights at work; not measured on Chemotaxis."""
    found = [
        f"{task} {mean(read, task, 'packed.normalised'):.3f} ({mean(read, f'{task}, one expert', 'packed.normalised'):.3f})"
        for task in TASKS[:2]
    ]
    return True, f"{', '.join(found)}, in brackets one expert"


def calibrated(read: Read) -> Finding:
    """Expected calibration error on test episodes, before and after; and what disagreement tells of errors."""
    kept = all(mean(read, task, "confidence.ece_after") <= 0.08 for task in TASKS)
    before, after = (told(read, f"confidence.ece_{when}") for when in ("before", "after"))
    return kept, f"{after}; before {before}; AUROC {told(read, 'confidence.auroc_disagreement')}"


def ahead(read: Read) -> Finding:
    """Experts chosen at a block's entry beside those chosen at their layers."""
    missed = sum(mean(read, task, "caching.0.unannounced") for task in TASKS)
    ours, theirs = (mean(read, arm, "packed.score") for arm in ("switch", "switch, gated at each layer"))  # fmt: skip
    return missed == 0 and ours >= 0.98 * theirs, f"{missed:.0f} not announced; score {ours:.1f} beside {theirs:.1f}"  # fmt: skip


def cache(read: Read) -> Finding:
    """Fewer misses for hardly lower a return, an eighth of the slabs in memory: the best tolerance of each task, in Affine with slack in training."""
    found = {task: _best(read("moe")["arms"][task]) for task in ("switch", "affine, slack", "chemotaxis")}  # fmt: skip
    kept = all(misses <= 0.7 for misses, _, _ in found.values())
    return kept, "; ".join(
        f"{task} {100 * (misses - 1):+.0f} % misses at {100 * (score - 1):+.1f} % score (tolerance {t})"
        for task, (misses, score, t) in found.items()
    )


def _best(arm: dict[str, Any]) -> tuple[float, float, str]:
    """Fewest misses and score, as shares of those without tolerance, where the score is at least .99 of it; and the tolerance."""
    at = {k.removeprefix("caching.").removesuffix(".misses"): v["mean"] for k, v in arm.items() if k.endswith(".misses")}  # fmt: skip
    score = {t: arm[f"caching.{t}.score"]["mean"] / arm["caching.0.score"]["mean"] for t in at}
    return min((misses / at["0"], score[t], t) for t, misses in at.items() if score[t] >= 0.99)


def memory(read: Read) -> Finding:
    """Pairs that are recalled."""
    found = read("moe_memory")
    bundle, noisy = found["bundle"]["1000 candidates"], found["noise"]["0.1"]
    kept = bundle["100"] >= 0.99 and bundle["200"] >= 0.95 and noisy >= 0.95
    return kept, f"{bundle['100']:.3f} of 100, {bundle['200']:.3f} of 200, {noisy:.3f} of {found['pairs']:,} by noisy keys"  # fmt: skip


def online(read: Read) -> Finding:
    """The head as it adapts by default, after every shift that was recorded."""
    record = read("moe_shift")
    heads = {name: rows["head"] for name, rows in record["results"].items()}
    kept = all(r["recovered"] >= record["promised"] and r["parameters"] <= LIMIT for r in heads.values())  # fmt: skip
    told = ", ".join(f"{name.removeprefix('tropism/PatternWorld-')} {r['recovered']:.2f}" for name, r in heads.items())  # fmt: skip
    return kept, f"{told} by {max(r['parameters'] for r in heads.values())} parameters"


MOE_LEARNING: dict[str, Callable[[Read], Finding]] = {
    "moe: teacher": teacher,
    "moe: ternary student": student,
    "moe: routing": routing,
    "moe: many experts": many,
    "moe: confidence": calibrated,
    "moe: pre-gating": ahead,
    "moe: cache-aware routing": cache,
    "moe: associative memory": memory,
    "moe: half of the loss after a shift recovered online": online,
}
