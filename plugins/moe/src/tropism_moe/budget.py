"""How many parameters a model has, and how many bytes they take on disk and in memory: exact integers from its shapes.

The figures of seed 002 (6.83 B shared, 1.05 T in all, 14.95 B active) come out of ``paper-1t`` exactly; they count weight matrices only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tropism_moe.config import Matrix, ModelConfig, matrices

FLOAT, HALF = 4, 2
"""Bytes of a float32 and of a float16."""
PAGE = 4096
"""Slabs begin at multiples of it, in bytes."""


class ParameterBudget(NamedTuple):
    """Numbers of parameters.

    Attributes:
        shared: weights that every input meets, the table of inputs and the heads included.
        expert: weights of one expert over all layers.
        total: of all experts and what is shared.
        active: of one expert and what is shared.
        small: norms, biases of the decay, and routers; in none of the others.
    """

    shared: int
    expert: int
    total: int
    active: int
    small: int


class MemoryBudget(NamedTuple):
    """Bytes.

    Attributes:
        slab: one layer of one expert on disk, in base 3 (0.2 bytes a weight), from page to page.
        store: all slabs on disk.
        shared_on_disk: weights that every input meets, in base 3; table of inputs and heads in float16.
        slab_in_memory: the same in 2 bits (0.25 bytes a weight).
        experts_in_memory: all of them.
        shared_in_memory: weights that every input meets, in 2 bits; table of inputs and heads in float32.
        state: of one lane, float32: the recurrent state and the keys and values of the windows.
        step: slabs in memory that one step of one lane reads.
    """

    slab: int
    store: int
    shared_on_disk: int
    slab_in_memory: int
    experts_in_memory: int
    shared_in_memory: int
    state: int
    step: int


def parameter_budget(config: ModelConfig) -> ParameterBudget:
    """Count the parameters of a model."""
    found = list(matrices(config))
    expert = sum(m.weights for m in found if m.owner == "expert")
    shared = sum(m.weights for m in found if m.owner != "expert")
    return ParameterBudget(
        shared, expert, shared + config.experts * expert, shared + expert, _small(config)
    )


def memory_budget(config: ModelConfig) -> MemoryBudget:
    """Count its bytes."""
    found = list(matrices(config))
    experts = [m for m in found if m.owner == "expert"]
    slab = _pages(sum(disk_bytes(m.rows, m.columns) for m in experts))
    held = sum(memory_bytes(m.rows, m.columns) for m in experts)
    slabs = config.experts * len(config.expert_layers)
    return MemoryBudget(
        slab,
        slabs * slab,
        sum(_shared_bytes(m, disk_bytes, HALF) for m in found),
        held,
        slabs * held,
        sum(_shared_bytes(m, memory_bytes, FLOAT) for m in found),
        FLOAT * _state(config),
        held * len(config.expert_layers),
    )


def disk_bytes(rows: int, columns: int) -> int:
    """Bytes of a matrix in base 3, five weights a byte, of which four are coded at a time."""
    return -(-4 * -(-rows * columns // 4) // 5)


def memory_bytes(rows: int, columns: int) -> int:
    """Bytes of a matrix in 2 bits."""
    return rows * memory_row(columns)


def memory_row(columns: int) -> int:
    """Bytes of a row in 2 bits, whole blocks of 256 weights."""
    return -(-columns // 256) * 64


def _shared_bytes(matrix: Matrix, size: Callable[[int, int], int], number: int) -> int:
    """Bytes of a matrix that is no expert's, by rows and columns, or of a table of such numbers."""
    if matrix.owner == "expert":
        return 0
    if matrix.owner == "end":
        return number * matrix.weights
    return size(matrix.rows, matrix.columns) * matrix.layers


def _state(config: ModelConfig) -> int:
    """Numbers that a lane carries on."""
    recurrent = len(config.expert_layers) * config.width * config.rank
    keys = len(config.attention_layers) * config.window * config.kv_heads * config.head_width
    return recurrent + 2 * keys


def _small(config: ModelConfig) -> int:
    """Two norms a layer and one at the end, the biases of the decay, and a router of three coordinates where there are experts."""
    d, recurring = config.width, len(config.expert_layers)
    return (2 * config.layers + 1) * d + recurring * (d + 3 * d + 3)


def _pages(count: int) -> int:
    return -(-count // PAGE) * PAGE
