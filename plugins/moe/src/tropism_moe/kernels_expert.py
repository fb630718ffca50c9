"""An expert in memory, and what it says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Any

import numpy as np

from tropism.errors import OptionError
from tropism_moe.budget import memory_row
from tropism_moe.kernel_checks import FLOAT32, UINT8, fit, not_finite
from tropism_moe.kernels import FASTEST, number_of
from tropism_moe.kernels_blocks import answer_into, answers_into


@cache
def _bytes(width: int, hidden: int) -> int:
    """Of an expert in memory."""
    return 2 * hidden * memory_row(width) + width * memory_row(hidden)


@dataclass(slots=True)  # not frozen, as it is made for every answer
class Expert:
    """Weights of a SwiGLU network (Shazeer 2020, arXiv:2002.05202) as the kernels read them.

    Attributes:
        slab: of gate, up and down, one after the other, ``uint8[F W(D) + F W(D) + D W(F)]``.
        width: ``D``.
        hidden: ``F``.
        scales: of the three, ``float32[3]``.
    """

    slab: np.ndarray
    width: int
    hidden: int
    scales: np.ndarray

    def __post_init__(self) -> None:
        """Refuse weights that are not as many as the shape needs.

        Raises:
            OptionError: naming what does not fit, its shape and what was expected.
        """
        fit("slab", self.slab, UINT8, (_bytes(self.width, self.hidden),))
        fit("scales", self.scales, FLOAT32, (3,))

    @classmethod
    def of(cls, gate: np.ndarray, up: np.ndarray, down: np.ndarray, scales: np.ndarray) -> Expert:
        """That of matrices ``uint8[F, W(D)]``, the same, and ``uint8[D, W(F)]``.

        Raises:
            OptionError: naming the matrix, its shape and what was expected.
        """
        width, hidden = len(down), len(gate)
        fit("gate", gate, UINT8, (hidden, memory_row(width)))
        fit("up", up, UINT8, (hidden, memory_row(width)))
        fit("down", down, UINT8, (width, memory_row(hidden)))
        slab = np.concatenate([part.reshape(-1) for part in (gate, up, down)])
        return cls(slab, width, hidden, scales)

    @property
    def matrices(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Gate, up and down, views of the slab."""
        size = self.hidden * memory_row(self.width)
        gate, up, down = np.split(self.slab, [size, 2 * size])
        rows = self.hidden
        return gate.reshape(rows, -1), up.reshape(rows, -1), down.reshape(self.width, -1)


class Workspace:
    """Memory for one expert at a time, so that none is asked for while it answers.

    Args:
        width: ``D``.
        hidden: ``F``.
    """

    def __init__(self, width: int, hidden: int) -> None:
        self.shape = width, hidden
        self.inner: tuple[Any, ...] = (
            np.empty(4 * memory_row(width), np.int8),
            np.empty(hidden, np.int32),
            np.empty(hidden, np.int32),
            np.empty(hidden, np.float32),
            np.empty(4 * memory_row(hidden), np.int8),
            np.empty(width, np.int32),
        )


def answer(
    expert: Expert, x: np.ndarray, rows: np.ndarray, said: np.ndarray, work: Workspace, level: str | None = None
) -> None:  # fmt: skip
    """``W_down (silu(W_gate x) · W_up x)``, inputs of all three in int8, for some rows; asks for no memory.

    Args:
        expert: the weights.
        x: ``float32[B, D]``.
        rows: of ``x``, ``int64[R]``; they are in range.
        said: where to, ``float32[B, D]``; other rows stay as they are.
        work: scratch.
        level: of SIMD.

    Raises:
        OptionError: shapes or dtypes do not fit, this CPU has no such level, or ``x`` or what is hidden is not finite.
        UnknownNameError: there is no such level.
    """
    _fit([expert], x, said, work)
    _end(x, work, *answer_into(
        number_of(level), expert.slab, *work.shape, expert.scales, x, rows, *work.inner, said
    ))  # fmt: skip


def answers(
    experts: Sequence[Expert], x: np.ndarray, rows: Sequence[Sequence[int]], said: np.ndarray, work: Workspace
) -> None:  # fmt: skip
    """The same of several experts in one call, each for rows of its own: what Python does between calls takes a tenth of what they do.

    Raises:
        OptionError: as :func:`answer`.
    """
    _fit(experts, x, said, work)
    addresses = np.array([expert.slab.ctypes.data for expert in experts], np.int64)
    scales = np.array([expert.scales for expert in experts], np.float32).reshape(-1, 3)
    ends, every = np.cumsum([len(some) for some in rows]), np.fromiter(chain(*rows), np.int64)
    _end(x, work, *answers_into(
        FASTEST, addresses, _bytes(*work.shape), work.shape, scales, ends, every, x, work.inner, said
    ))  # fmt: skip


def _fit(experts: Sequence[Expert], x: np.ndarray, said: np.ndarray, work: Workspace) -> None:
    """Refuse what does not fit together."""
    for expert in experts:
        if (shape := (expert.width, expert.hidden)) != work.shape:
            raise OptionError(f"the expert has shape {shape}, its workspace {work.shape}")
    fit("x", x, FLOAT32, (len(x), work.shape[0]))
    fit("said", said, FLOAT32, x.shape)


def _end(x: np.ndarray, work: Workspace, end: int, row: int) -> None:
    """Say what a kernel said is not finite."""
    if end:
        raise not_finite(*(("x", x[row]) if end == 1 else ("the hidden layer", work.inner[3])))
