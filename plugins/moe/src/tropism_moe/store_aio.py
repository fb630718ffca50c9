"""Reads that the kernel does by itself, so that one thread has many on their way: io_submit(2) of Linux on x86-64.

A thread for each read is woken for each; where there are more of them than cores they queue up behind each other, and behind the one that
computes, while another core has nothing to do.  Where there is no such interface, or a sandbox refuses it, threads read one slab at a time.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from typing import NamedTuple

import numpy as np
from numba import int32, types
from numpy.typing import NDArray

from tropism_moe.compiling import compiled

SETUP, DESTROY, EVENTS, SUBMIT = 206, 207, 208, 209
"""Numbers of the system calls."""
HERE = sys.platform == "linux" and platform.machine() == "x86_64" and hasattr(os, "eventfd")
CELL, EVENT = 8, 4
"""Words of what a read is told by, and of what is told of its end."""
FREE = -1
"""In the place of a slab's number: a slot in which nothing is being read."""
READABLE, AMISS = 1, 8 | 16 | 32
"""Bits of poll(2): there is something to read; error, hang-up, no such descriptor."""
_SIGNAL = 1
"""Flag of a cell: count the end of the read in a descriptor."""
_WORD, _HALF = 1 << 32, (1 << 32) - 1
_syscall = types.ExternalFunction(
    "syscall", types.intp(*[types.intp] * 6)
)  # of which calls with fewer arguments ignore the others
_poll = types.ExternalFunction("poll", types.int32(types.uintp, types.uintp, types.int32))
read = types.ExternalFunction("read", types.intp(types.int32, types.uintp, types.uintp))


class Slots(NamedTuple):
    """What a thread has on its way.

    Attributes:
        context: of the kernel; 0 where reads are not begun ahead, and there is one slot.
        wake: descriptor that counts ends of reads, or -1.
        numbers: of the slabs in the slots, ``int64[depth]``.
        cells: what reads are told by, ``int64[depth, 8]``.
        words: what calls are told by, ``int64[8]``: none of them asks for memory, so that none fails between two steps.
    """

    context: int
    wake: int
    numbers: NDArray[np.int64]
    cells: NDArray[np.int64]
    words: NDArray[np.int64]


def slots(depth: int) -> Slots:
    """For a thread that has so many reads on their way, or one if there cannot be more."""
    context = _setup(depth) if HERE and depth > 1 else 0
    wake = os.eventfd(0, os.EFD_SEMAPHORE | os.EFD_NONBLOCK | os.EFD_CLOEXEC) if context else -1
    count = depth if context else 1
    cells, words = np.zeros((count, CELL), np.int64), np.zeros(CELL, np.int64)
    return Slots(context, wake, np.full(count, FREE), cells, words)


def close(own: Slots) -> list[int]:
    """Wait for what is being read, into memory that nobody else may have before; the numbers of slabs of which that was not expected."""
    if own.context:
        _destroy(own.context)
        os.close(own.wake)
    return [n for n in own.numbers.tolist() if n != FREE]


def _setup(depth: int) -> int:
    """A context, or 0."""
    context = ctypes.c_ulong(0)
    refused = ctypes.CDLL(None).syscall(SETUP, ctypes.c_long(depth), ctypes.byref(context))
    return 0 if refused else context.value


def _destroy(context: int) -> None:
    ctypes.CDLL(None).syscall(DESTROY, ctypes.c_ulong(context))


@compiled
def submit(own, slot, file, target, size, offset):
    """Have so many bytes of a file read to an address; whether the kernel does."""
    if not own.context:
        return False
    cell, where = own.cells[slot], own.words
    cell[:] = 0
    cell[0], cell[2], cell[3], cell[4], cell[5] = slot, file * _WORD, target, size, offset
    cell[7] = own.wake * _WORD + _SIGNAL
    where[0] = cell.ctypes.data
    return _syscall(SUBMIT, own.context, 1, where.ctypes.data, 0, 0) == 1


@compiled
def wait(own, queue, hears):
    """Wait until a read has ended or, if it ``hears``, until there is something in a queue; whether that can be waited for."""
    fds = own.words
    fds[0] = ((queue if hears else -1) & _HALF) + READABLE * _WORD
    fds[1] = (own.wake & _HALF) + READABLE * _WORD
    found = _poll(fds.ctypes.data, 2, int32(-1))
    return found > 0 and not (fds[0] >> 48) & AMISS


@compiled
def ended(own):
    """The slot of the read that ended first, and its bytes or what went wrong, below 0; -1 and 0 if none has."""
    if not own.context:
        return -1, 0
    event, now = own.words[:EVENT], own.words[EVENT:]
    now[:] = 0
    read(int32(own.wake), event.ctypes.data, 8)
    if _syscall(EVENTS, own.context, 0, 1, event.ctypes.data, now.ctypes.data) != 1:
        return -1, 0
    return event[0], event[2]
