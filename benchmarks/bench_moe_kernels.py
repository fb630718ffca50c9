"""Measure products of ternary matrices with a vector, against reading memory, a dense matrix, and onnxruntime in 2 bits.

Prints a table; ``--record`` writes ``benchmarks/results/moe_kernels.json``, too::

    .venv/bin/python benchmarks/bench_moe_kernels.py --record

The matrices are as large as the gate of seed 002's experts, and as many take turns as do not fit into the last cache.  One thread, whose
own CPU time counts, so that other work on the machine does less; medians of the rounds.  onnxruntime is measured where it and onnx are
installed: ``MatMulNBits`` of 2 bits in blocks of 128 at accuracy level 4 (activations in int8), its fastest setting of those tried for the
specification.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from tropism.agents.artifacts import write_atomic
from tropism.agents.manifest import manifest
from tropism_moe import kernels
from tropism_moe.compiling import compiled
from tropism_moe.packing import transcode, unpack_2bit

RESULTS = Path(__file__).parent / "results" / "moe_kernels.json"
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
ROWS, COLUMNS, MATRICES, ROUNDS, BATCH = 11008, 4096, 12, 5, 64
STREAM_BYTES = 2**28
"""Of the array that is read, several times the last cache."""
FEW = 2
"""Dense matrices that take turns; one is larger than the last cache."""
READ, DENSE, OTHER = "read", "dense float32, numpy", "2 bits, onnxruntime"
MANY, DISK = f"2 bits, batch of {BATCH}", "base 3 to 2 bits"
BLOCK = 128
"""Weights that share a scale in onnxruntime."""


@compiled
def add_up(numbers):
    """Read memory: the sum of ``int64``."""
    total = np.int64(0)
    for number in numbers:
        total += number
    return total


def milliseconds(rounds: int, calls: dict[str, list[Callable[[], Any]]]) -> dict[str, float]:
    """Median over rounds of the CPU time of a call, by name; calls of a name take turns, and so do the names."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    for n in range(rounds + 1):  # the first one compiles, and does not count
        for name, some in calls.items():
            began = time.thread_time()
            for call in some:
                call()
            found[name] += [1e3 * (time.thread_time() - began) / len(some)] * (n > 0)
    return {name: statistics.median(times) for name, times in found.items()}


class Work:
    """Random matrices, and the vectors that they meet.

    Args:
        rows: of each.
        columns: of each.
        matrices: how many.
    """

    def __init__(self, rows: int, columns: int, matrices: int) -> None:
        self.shape, rng = (rows, columns), np.random.default_rng(0)
        size = rows, -(-columns // 5)
        self.base3 = [rng.integers(0, 243, size, np.uint8) for _ in range(matrices)]
        self.packed = [transcode(b, self.shape) for b in self.base3]
        self.x = rng.normal(size=columns).astype(np.float32)
        self.q, _ = kernels.quantise_activation(self.x)
        self.out = np.empty(rows, np.int32)
        self.batch = np.repeat(self.q[None], BATCH, 0)

    @property
    def matrices(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """On disk and in memory."""
        return list(zip(self.base3, self.packed, strict=True))

    @property
    def megabytes(self) -> float:
        """Of one matrix in memory."""
        return self.packed[0].nbytes / 1e6

    def dense(self) -> list[np.ndarray]:
        """Some of the matrices in float32."""
        return [unpack_2bit(p, self.shape[1]).astype(np.float32) for p in self.packed[:FEW]]

    def check(self) -> None:
        """See that all levels find the integers that a dense matrix finds; float32 holds them exactly."""
        exact = self.dense()[0] @ self.q[: self.shape[1]].astype(np.float32)
        for level in kernels.levels():
            found = kernels.matvec(self.packed[0], self.q, self.out, level)
            if (found != exact).any():
                raise SystemExit(f"level {level!r} differs from a dense product")


def of_level(work: Work, level: str) -> list[Callable[[], Any]]:
    """The product with each matrix."""
    return [lambda p=p: kernels.matvec(p, work.q, work.out, level) for p in work.packed]


def of_onnxruntime(work: Work) -> list[Callable[[], Any]] | str:
    """The product with each matrix, or why there is none."""
    missing = [m for m in ("onnx", "onnxruntime") if importlib.util.find_spec(m) is None]
    if missing:
        return f"not measured: {' and '.join(missing)} not installed"
    if work.shape[1] % BLOCK:
        return f"not measured: its blocks have {BLOCK} columns"
    calls = [onnx_call(work, packed) for packed in work.packed]
    expected = kernels.linear(work.packed[0], 1.0, work.x)
    error = np.linalg.norm(calls[0]() - expected) / np.linalg.norm(expected)
    if error > 0.05:
        raise SystemExit(f"onnxruntime computes something else: relative error {error:.3f}")
    return calls


def onnx_call(work: Work, packed: np.ndarray) -> Callable[[], np.ndarray]:
    """One matrix as a model of onnxruntime, whose codes are weight + 2, four consecutive ones a byte."""
    onnx, onnxruntime, numpy_helper = map(
        importlib.import_module, ("onnx", "onnxruntime", "onnx.numpy_helper")
    )
    helper, real = onnx.helper, onnx.TensorProto.FLOAT
    rows, columns = work.shape
    codes = (unpack_2bit(packed, columns) + 2).astype(np.uint8).reshape(rows, -1, BLOCK // 4, 4)
    weights = (codes << np.array([0, 2, 4, 6], np.uint8)).sum(-1, dtype=np.uint8)
    constants = {"b": weights, "scales": np.ones((rows, columns // BLOCK), np.float32)}
    node = helper.make_node(
        "MatMulNBits", ["x", *constants], ["y"], domain="com.microsoft",
        K=columns, N=rows, bits=2, block_size=BLOCK, accuracy_level=4,
    )  # fmt: skip
    ends = [
        [helper.make_tensor_value_info(name, real, [1, size])]
        for name, size in (("x", columns), ("y", rows))
    ]
    held = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    graph = helper.make_graph([node], "matvec", *ends, held)
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return lambda: session.run(None, {"x": work.x[None]})[0][0]


def measure(work: Work, rounds: int) -> dict[str, dict[str, Any]]:
    """Everything, in milliseconds and GB/s, with the ratios that follow."""
    numbers, shape = np.ones(STREAM_BYTES // 8, np.int64), work.shape
    calls: dict[str, list[Callable[[], Any]]] = {
        READ: [lambda: add_up(numbers)],
        DENSE: [lambda m=m: m @ work.x for m in work.dense()],
        **{f"2 bits, {level}": of_level(work, level) for level in kernels.levels()},
        MANY: [lambda: kernels.matmul(work.packed[0], work.batch)],
        DISK: [lambda b=b, p=p: transcode(b, shape, p) for b, p in work.matrices],
    }
    other = of_onnxruntime(work)
    if not isinstance(other, str):
        calls[OTHER] = other
    ms = milliseconds(rounds, calls)
    found = {name: {"ms": value, **ratios(work, name, ms)} for name, value in ms.items()}
    note = other if isinstance(other, str) else f"version {version('onnxruntime')}"
    return {**found, OTHER: {**found.get(OTHER, {}), "note": note}}


def ratios(work: Work, name: str, ms: dict[str, float]) -> dict[str, float]:
    """What follows from a median."""
    if name == DENSE:
        return {}
    if name == MANY:
        return {"ms_a_row": ms[name] / BATCH, "gop_per_s": 2e-6 * BATCH * np.prod(work.shape) / ms[name]}  # fmt: skip
    sizes = {READ: STREAM_BYTES / 1e6, DISK: work.base3[0].nbytes / 1e6}
    speed = sizes.get(name, work.megabytes) / ms[name]
    if name in sizes:
        return {"gb_per_s": speed}
    read = STREAM_BYTES / 1e6 / ms[READ]
    return {"gb_per_s": speed, "of_read": speed / read, "times_dense": ms[DENSE] / ms[name]}


def main() -> None:
    """Measure, print, and record if asked to."""
    import torch

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name, default in (("rows", ROWS), ("columns", COLUMNS), ("matrices", MATRICES), ("rounds", ROUNDS)):  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--record", action="store_true")
    chosen = parser.parse_args()
    if any(os.environ.get(name) != count for name, count in ONE_THREAD.items()):
        # libraries read these when they are imported
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **ONE_THREAD})
    torch.set_num_threads(1)
    work = Work(chosen.rows, chosen.columns, chosen.matrices)
    work.check()
    found = measure(work, chosen.rounds)
    for name, row in found.items():
        values = [f"{k} {v}" if isinstance(v, str) else f"{k} {v:.3g}" for k, v in row.items()]
        print(f"{name:24}" + ", ".join(values))
    if chosen.record:
        sizes = {k: v for k, v in vars(chosen).items() if k != "record"}
        results = {
            "command": "python benchmarks/bench_moe_kernels.py --record",
            "work": {**sizes, "batch": BATCH, "megabytes": work.megabytes},
            "results": found,
            "manifest": {k: v for k, v in manifest(seed=0).items() if k != "command"},
        }
        write_atomic(RESULTS, json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
