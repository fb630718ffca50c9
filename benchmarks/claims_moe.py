"""What is promised of the mixture of experts, held against the records of ``bench_moe_kernels.py``, ``_store.py`` and ``_model.py``.

Part of ``claims.py``, which prints it.  Each check is given ``read``, which returns a recorded result by name.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

Read = Callable[[str], dict[str, Any]]
Finding = tuple[bool, str]
LARGE, SMALL = "demo-2.4b", "demo-0.8b"
PARAMETERS, STEPS = 2.4e9, 800
SLACK = 64
"""MB that memory may grow by beyond the budget."""
AT_ENTRY = ", chosen at the block"
"""Of rows with the same weights whose experts are not chosen ahead, as are those of the preset: they stand beside it."""
STREAMED = 1.1
"""Longest wall of a stream beside the longer one of reading and computing."""
READ_OF_PROBE, OF_READ, TIMES_DENSE = 0.85, 0.6, 8
PEER = "2 bits, onnxruntime"


def model(part: str, read: Read) -> dict[str, Any]:
    """A part of the record of whole models."""
    return read("moe_model")["results"][part]


def size(read: Read) -> Finding:
    """The model is as large as is said."""
    found = model("models", read)[LARGE]
    told = f"{found['parameters'] / 1e9:.2f} G parameters, {found['disk_mb']:.0f} MB on disk, {found['memory_mb']:.0f} in memory"  # fmt: skip
    return found["parameters"] >= PARAMETERS, told


def memory(read: Read) -> Finding:
    """Growth of memory over what imports and compiled kernels take, in both forms of experts on disk."""
    rows, limit = model("modes", read), read("moe_model")["work"]["budget_mb"] + SLACK
    kinds = {"ring": "grown_VmRSS_mb", "mmap": "grown_RssAnon_mb"}
    found = {n: row[kinds[n[-4:]]] for n, row in rows.items() if n[-4:] in kinds}
    whole = rows["base3, resident"]["grown_VmRSS_mb"]
    told = ", ".join(f"{name} {grown} MB" for name, grown in found.items())
    return max(found.values()) <= limit < whole, f"{told} ({limit}); resident {whole}; mmap anonymous"  # fmt: skip


def same_bits(read: Read) -> Finding:
    """Outputs, actions and experts of all modes, in both forms."""
    rows = model("modes", read)
    visited = rows["base3, ring"]["visited"]
    return rows["all"]["same_bits"], f"SHA-256 {rows['all']['sha256'][:12]}, {visited} slabs met"


def core(read: Read) -> Finding:
    """Steps per second of one core, all experts in memory."""
    found = model("resident", read)[SMALL]
    steps = found["steps_per_core_s"]
    return steps >= STEPS, f"{steps:,.0f} steps/s by CPU time ({STEPS}), {found['steps_per_s']:,.0f} by the clock"  # fmt: skip


def streamed(read: Read) -> Finding:
    """A whole model as it is packed, in both forms, with every number of lanes: its wall beside the longer one of raw reading and computing."""
    rows = {n: r for n, r in model("streaming", read).items() if not n.endswith(AT_ENTRY)}
    found = {n: r["wall_of_longer"] for n, r in rows.items()}
    return max(found.values()) <= STREAMED, ", ".join(f"{n} {x:.2f}" for n, x in found.items())


def stored(read: Read) -> Finding:
    """The ring by itself, under computing: its wall beside the longer one."""
    rows = read("moe_store")["results"]
    found = {n: r["wall_of_longer"] for n, r in rows.items() if n.startswith("ring") and "wall_of_longer" in r}  # fmt: skip
    return max(found.values()) <= STREAMED, ", ".join(f"{n} {x:.2f}" for n, x in found.items())


def raw(read: Read) -> Finding:
    """How fast the ring reads, beside a probe of the same run."""
    found = read("moe_store")["results"]["ring, 0 ms of computing a slab"]["read_of_probe"]
    return found >= READ_OF_PROBE, f"{found:.2f} of the probe ({READ_OF_PROBE})"


def products(key: str, least: float, read: Read) -> Finding:
    """Products at the levels of SIMD, the last of which is used."""
    rows = read("moe_kernels")["results"]
    found = {n: row[key] for n, row in rows.items() if n in ("2 bits, avx2", "2 bits, vnni")}
    told = ", ".join(f"{n.removeprefix('2 bits, ')} {x:.2f}" for n, x in found.items())
    return bool(found) and min(found.values()) >= least, f"{told} ({least:g})"


def peer(read: Read) -> Finding:
    """onnxruntime, where it was installed."""
    rows = read("moe_kernels")["results"]
    ours = max(rows[name]["ms"] for name in rows if name in ("2 bits, avx2", "2 bits, vnni"))
    return ours < rows[PEER]["ms"], f"{ours:.2f} ms against {rows[PEER]['ms']:.2f}"


def scales(read: Read) -> Finding:
    """Published, whatever it is."""
    rows = model("scaling", read)
    found = {name: row["steps_per_s"] for name, row in rows.items()}
    kept = all(any(part in name for name in found) for part in ("experts", "width", "lanes", "MB"))
    return kept, f"{len(rows)} rows; steps/s " + ", ".join(f"{n} {x:.0f}" for n, x in found.items())


SPEED: dict[str, Callable[[Read], Finding]] = {
    "moe: demo-2.4b has 2.4 G parameters": size,
    "moe: memory grows by the budget and 64 MB at most": memory,
    "moe: the same bits in all modes": same_bits,
    "moe: demo-0.8b, 800 steps/s of a core": core,
    "moe: streaming a model, wall at most 1.1 of the longer": streamed,
    "moe: streaming a store, wall at most 1.1 of the longer": stored,
    "moe: raw reading, .85 of a direct probe": raw,
    "moe: products, .6 of reading memory": partial(products, "of_read", OF_READ),
    "moe: products, 8 x dense float32": partial(products, "times_dense", TIMES_DENSE),
    "moe: products, faster than onnxruntime in 2 bits": peer,
    "moe: scaling table": scales,
}
MOE = SPEED
"""All of it."""
