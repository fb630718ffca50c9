"""What acting with a packed model costs: speed, memory and reads, each residency mode in a process of its own.

The processes have imported everything and compiled all kernels before they open the model, so that what their memory grows by is the
model's.  All modes are shown the same random inputs, and what they answer is compared by its SHA-256.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import inf
from pathlib import Path
from typing import Any, NamedTuple, get_args

from tropism.errors import ArtifactError, OptionError
from tropism.limits import check_fields
from tropism_moe.budget import memory_budget
from tropism_moe.config import ModelConfig
from tropism_moe.store_plan import Mode

ROUNDS = 5
"""Equal parts of the steps; speeds are medians of theirs."""
UNCOUNTED = 10
"""One step of so many, at the beginning, counts for memory and answers but not for speed."""
MEGABYTE = 10**6
MOST_BUDGET = 128 * MEGABYTE
CHILD = "tropism_moe.bench_child"
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Trial:
    """What is measured.

    Attributes:
        directory: of the packed model.
        mode: ``mmap``, ``resident`` or ``ring``.
        budget_bytes: for slabs in memory; None is no limit, as ``resident`` needs it.
        lanes: that act together.
        steps: of each lane.
        seed: of what they are shown.
    """

    directory: str
    mode: Mode
    budget_bytes: int | None
    lanes: int = 1
    steps: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be measured.

        Raises:
            OptionError: naming the field, its value and what was expected.
        """
        if self.mode not in get_args(Mode):
            raise OptionError(f"mode={self.mode!r} must be one of {', '.join(get_args(Mode))}")
        check_fields(self, {"lanes": (1, inf), "steps": (2 * ROUNDS, inf), "seed": (0, inf)})


class Measured(NamedTuple):
    """What a trial came to; speeds do not count the first steps, everything else does.

    Attributes:
        steps_per_s: of all lanes together, by the clock.
        steps_per_core_s: the same by the CPU time of all threads.
        p50_ms: that a step of all lanes took, median.
        p99_ms: the same, 99th percentile.
        open_s: seconds until the model could act.
        grown: bytes by which ``VmRSS`` and ``RssAnon`` of ``/proc/self/status`` grew at most; empty where there is none.
        read_bytes: from the store.
        hit_share: of requests, those for slabs that were in memory from an earlier one.
        stall_share: of the time, that steps waited for slabs.
        visited: different slabs that were asked for.
        direct_io: whether reads went past the page cache.
        sha256: of all outputs, actions and chosen experts.
    """

    steps_per_s: float
    steps_per_core_s: float
    p50_ms: float
    p99_ms: float
    open_s: float
    grown: dict[str, int]
    read_bytes: int
    hit_share: float
    stall_share: float
    visited: int
    direct_io: bool
    sha256: str


class TrialError(ArtifactError):
    """The process that acted met an error; the text is that of the error."""


def measure(trial: Trial) -> Measured:
    """Act in a fresh process.

    Raises:
        TrialError: the model cannot be opened as asked, or a slab is damaged.
    """
    environment = {
        **os.environ,
        **ONE_THREAD,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    command = [sys.executable, "-m", CHILD, json.dumps(asdict(trial))]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    try:
        told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        told = {"error": f"the process ended with status {done.returncode}: {done.stderr.strip()}"}
    if "error" in told:
        raise TrialError(f"mode {trial.mode!r}: {told['error']}")
    return Measured(**told)


def compare(
    directory: Path,
    budget_bytes: int,
    lanes: int,
    steps: int,
    seed: int = 0,
    update: Callable[[int], Any] = lambda _: None,
) -> dict[str, Measured]:
    """All modes, one after the other; ``resident`` without the budget.

    Args:
        directory: of the packed model.
        budget_bytes: of the other two.
        lanes: that act together.
        steps: of each lane.
        seed: of what they are shown.
        update: told how many modes are done.

    Raises:
        OptionError: lanes or steps are out of range.
        TrialError: the model cannot be opened as asked, or a slab is damaged.
    """
    trials = [
        Trial(os.fspath(directory), mode, None if mode == "resident" else budget_bytes, lanes, steps, seed)
        for mode in get_args(Mode)
    ]  # fmt: skip
    found = {}
    for done, trial in enumerate(trials, 1):
        found[trial.mode] = measure(trial)
        update(done)
    return found


def same_bits(found: dict[str, Measured]) -> bool:
    """Whether all modes gave the same outputs, actions and experts."""
    return len({one.sha256 for one in found.values()}) == 1


def default_budget(config: ModelConfig) -> int:
    """A quarter of what all experts take in memory, if that is no more than 128 MB; and enough for two slabs and what reads them."""
    sizes = memory_budget(config)
    quarter = min(MOST_BUDGET, sizes.experts_in_memory // 4)
    return max(quarter, 4 * (sizes.slab + sizes.slab_in_memory))


def memory() -> dict[str, int]:
    """Bytes that this process has in memory: all, and what no file holds; empty where there is no ``/proc``."""
    path = Path("/proc/self/status")
    if not path.exists():
        return {}
    fields = dict(line.split(":", 1) for line in path.read_text().splitlines())
    return {name: int(fields[name].split()[0]) * 1024 for name in ("VmRSS", "RssAnon")}


def chill(path: Path) -> None:
    """Drop the pages of a file from the page cache, where the platform can."""
    if hasattr(os, "posix_fadvise"):
        with path.open("rb") as file:
            os.fsync(file.fileno())  # pages that are not yet on the disk would stay
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
