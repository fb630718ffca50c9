"""Write speed and memory in the README of ``plugins/moe`` from the records; ``--check`` writes nothing, and fails if they differ.

::

    .venv/bin/python benchmarks/moe_speed_table.py
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from readme_rows import ROOT, fill, read, rows

Table = Mapping[str, Mapping[str, Any]]


def products(found: Table) -> Iterator[str]:
    """A matrix times a vector."""
    body = [
        [name, f"{row['ms']:.2f}", f"{row['gb_per_s']:.1f}", f"{row['of_read']:.0%}", f"{row['times_dense']:.1f}"]
        for name, row in found.items()
        if "times_dense" in row
    ]  # fmt: skip
    yield from rows(["", "ms", "GB/s", "of reading memory", "times dense float32"], body)


def modes(found: Table) -> Iterator[str]:
    """A whole model in each form and mode."""
    body = [
        [
            name, f"{row['steps_per_s']:,.0f}", f"{row['steps_per_core_s']:,.0f}", f"{row['p50_ms']:.1f}", f"{row['p99_ms']:.1f}",
            f"{row['grown_VmRSS_mb']:.0f}", f"{row['grown_RssAnon_mb']:.0f}", f"{row['hit_share']:.0%}", f"{row['read_mb']:,.0f}",
        ]
        for name, row in found.items()
        if "steps_per_s" in row
    ]  # fmt: skip
    head = ["", "steps/s", "of a core", "p50 ms", "p99 ms", "memory, MB", "anonymous", "hits", "read, MB"]  # fmt: skip
    yield from rows(head, body)


def streaming(found: Table) -> Iterator[str]:
    """What streaming takes beside what it cannot do without."""
    keys = ("wall_s", "compute_s", "raw_read_s", "raw_by_block_s")
    body = [
        [name, *(f"{row[key]:.2f}" for key in keys), f"{row['wall_of_longer']:.2f}", f"{row['wall_of_longer_by_block']:.2f}"]
        for name, row in found.items()
    ]  # fmt: skip
    head = ["", "wall, s", "computing", "raw read", "by block", "wall of the longer", "by block"]
    yield from rows(head, body)


def scaling(found: Table) -> Iterator[str]:
    """How it goes with experts, width, lanes and budget."""
    body = [
        [
            name, f"{row['steps_per_s']:,.0f}", f"{row['steps_per_core_s']:,.0f}",
            f"{row['parameters'] / 1e6:,.0f}" if "parameters" in row else "", f"{row['grown_mb'].get('VmRSS', 0):.0f}",
            f"{row['hit_share']:.0%}", f"{row['read_mb_a_step']:.2f}",
        ]
        for name, row in found.items()
    ]  # fmt: skip
    head = ["", "steps/s", "of a core", "M parameters", "memory, MB", "hits", "read a step, MB"]
    yield from rows(head, body)


def results() -> str:
    """All of it."""
    model, lines = read("moe_model"), list[str]()
    kernels = read("moe_kernels").get("results", {})
    found, work = model.get("results", {}), model.get("work", {})
    for title, table, part in (
        ("A matrix of 11,008 x 4,096 times a vector, one thread, CPU time:", products, kernels),
        (f"`demo-2.4b` (2.7 G parameters), budget {work.get('budget_mb')} MB, one lane, cold:", modes, found.get("modes")),
        ("The same in `ring` mode, the longer of computing and raw reading being what no overlap can beat:", streaming, found.get("streaming")),
        ("Experts and width around `demo-0.8b` (ring: 64 MB), lanes and budgets of `demo-2.4b`; steps of all lanes:", scaling, found.get("scaling")),
    ):  # fmt: skip
        if part:
            lines += [title, "", *table(part), ""]
    if work:
        before, after = (load[0] for load in work["load_before_and_after"])
        lines.append(f"Load of the machine (two cores) before and after: {before:.1f} and {after:.1f}.")  # fmt: skip
    return "\n".join(lines).rstrip()


if __name__ == "__main__":
    fill(ROOT / "plugins/moe/README.md", results(), "benchmarks/moe_speed_table.py", "speed")
