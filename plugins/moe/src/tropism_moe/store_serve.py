"""What compiled readers do: read slabs, check them and bring them into memory, without ever asking for the interpreter.

Threads that hold the interpreter's lock for some microseconds a slab let the one that computes wait as long, several times a slab.
These are told the numbers of slabs through a pipe, leave how it went in an array of states, and tell so through another pipe.  What
goes wrong is not looked into here: whoever asks for the slab reads it again, and meets the error.
"""

from __future__ import annotations

import os
from array import array
from typing import Any, NamedTuple

import numpy as np
from numba import int32, types
from numpy.typing import NDArray

from tropism_moe.checksum import HAS_PRODUCT, TABLE, crc_of
from tropism_moe.compiling import bytes_at, compiled, generated
from tropism_moe.packing_kernels import transcode_matrix
from tropism_moe.store_aio import FREE, ended, read, slots, submit, wait

Integers = NDArray[np.int64]

AVAILABLE = HAS_PRODUCT and hasattr(os, "preadv")
"""Whether CPU and platform have what they need; those that have show what was stored in the order in which it was, so that plain loads do."""
IDLE, QUEUED, READING, DONE, FAILED = range(5)
"""States of a slab: nothing is to be done, a reader may begin, has begun, has ended well, or not."""
OFFSET, PADDED, LENGTH, CRC, SHAPES = range(5)
"""Fields of a place, ``int64``; after the first four rows and columns of every matrix, if slabs are to be transcoded."""
NEVER = -1
"""No checksum: of a slab that cannot be what it is said to be."""
STOP = -1
"""In the place of a number: end."""
MESSAGE = 8
"""Bytes of a number."""
ENOUGH = 3
"""Reads on their way with which a disk has something to do until the next has ended."""
ENDING, STOPS, REFUSED = range(3)
"""What a thread has in hand: the slab that was read and is being checked, or -1; whether it was told to stop; and the slab that the kernel
does not read by itself, or -1."""
HAND = np.array([-1, 0, -1])
"""A thread that has nothing in hand."""
PATIENCE = 1000
"""Waits that may fail one after the other: a signal makes one fail, a queue that is gone all."""
_pread = types.ExternalFunction("pread", types.intp(types.int32, types.uintp, types.uintp, types.int64))  # fmt: skip
_write = types.ExternalFunction("write", types.intp(types.int32, types.uintp, types.uintp))


class Desk(NamedTuple):
    """What the asking thread and the readers share.

    Attributes:
        places: where slabs are, ``int64[S, fields]``.
        states: of slabs, ``int64[S]``.
        targets: addresses of where they go, ``int64[S]``.
        starts: bytes behind that, where they are read to, ``int64[S]``.
        sizes: bytes that they take there in the end, ``int64[S]``.
    """

    places: Integers
    states: Integers
    targets: Integers
    starts: Integers
    sizes: Integers


def _place(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    """Pointer to element ``args[1]`` of an array."""
    data = context.make_array(signature.args[0])(context, builder, args[0]).data
    return builder.gep(data, [args[1]])


@generated
def _exchange(_typing: Any, array: Any, at: Any, old: Any, new: Any) -> Any:  # noqa: ARG001  types by name
    """Put ``new`` where ``old`` was, unless something else was there; whether it was done."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = _place(context, builder, signature, args)
        return builder.extract_value(builder.cmpxchg(place, args[2], args[3], "seq_cst"), 1)

    return types.boolean(array, types.intp, types.int64, types.int64), emit


@generated
def _leave(_typing: Any, array: Any, at: Any, value: Any) -> Any:  # noqa: ARG001
    """Store an element, after everything that was stored before."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store_atomic(args[2], _place(context, builder, signature, args), "release", 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.int64), emit


@compiled
def take_back(states, number):
    """Whether no reader has begun with a slab, which then none will."""
    return _exchange(states, number, QUEUED, IDLE) or states[number] == IDLE


@compiled
def _fill(file, place, table, target, done):
    """Read what is still missing of a slab; whether all of it came and is what was written."""
    while done < place[PADDED]:
        left, at = place[PADDED] - done, place[OFFSET] + done
        got = _pread(int32(file), target.ctypes.data + done, left, at)
        if got <= 0:
            return False
        done += got
    return crc_of(target[: place[LENGTH]], table) == place[CRC]


@compiled
def transcode_all(shapes, base3, out):
    """Matrices in base 3, one after the other, into 2 bits; whether all bytes were digits.

    Args:
        shapes: rows and columns of each, ``int64[2 n]``.
        base3: ``uint8``, as many as they take.
        out: ``uint8``, as many as they take in memory.
    """
    good, start, first = True, 0, 0
    for n in range(0, shapes.size, 2):
        rows, columns = shapes[n], shapes[n + 1]
        wide = (columns + 255) // 256 * 64
        end, last = start + ((rows * columns + 3) // 4 * 4 + 4) // 5, first + rows * wide
        target = out[first:last].reshape((rows, wide))
        good &= not transcode_matrix(base3[start:end], columns, target)
        start, first = end, last
    return good


@compiled
def _end(file, told, desk, table, number, done):
    """Bring a slab into memory of which so much was read, and tell so."""
    place, target = desk.places[number], desk.targets[number]
    source = bytes_at(target + desk.starts[number], place[PADDED])
    good = _fill(file, place, table, source, done)
    if good and place.size > SHAPES:
        memory = bytes_at(target, desk.sizes[number])
        good = transcode_all(place[SHAPES:], source[: place[LENGTH]], memory)
    _leave(desk.states, number, DONE if good else FAILED)
    _write(int32(told), desk.states.ctypes.data, 1)  # any byte


@compiled
def _free(numbers):
    """A slot in which nothing is being read, or -1, and how many others there are."""
    found, others = -1, 0
    for slot in range(numbers.size):
        if numbers[slot] == FREE:
            found = slot
        else:
            others += 1
    return found, others


@compiled
def _begin(file, queue, desk, own, hand):
    """Have read what is asked for, as far as there are slots, until the kernel refuses; returns how many reads are on their way."""
    slot, busy = _free(own.numbers)
    while slot >= 0 and hand[REFUSED] < 0 and not hand[STOPS]:
        if read(int32(queue), own.words.ctypes.data, MESSAGE) != MESSAGE:
            break
        n = own.words[0]
        if n == STOP:
            hand[STOPS] = 1
        elif _exchange(desk.states, n, QUEUED, READING):
            own.numbers[slot], place = n, desk.places[n]
            source = desk.targets[n] + desk.starts[n]
            if not submit(own, slot, file, source, place[PADDED], place[OFFSET]):
                own.numbers[slot], hand[REFUSED] = FREE, n
        slot, busy = _free(own.numbers)
    return busy


@compiled
def serve(file, queue, told, desk, table, own, hand):
    """Read what is asked for, until told to stop.

    A thread that has enough on its way looks for more of it whenever a read has ended, and is not woken before: that would cost the one that
    asks as long as to ask for some slabs.

    Args:
        file: descriptor of the store.
        queue: descriptor that numbers of slabs are read from; it does not wait.
        told: descriptor that a byte is written to for every slab; it does not wait, as there is no need if it is full.
        desk: what is shared with the thread that asks, :class:`Desk`.
        table: of the checksum.
        own: what is on its way, :class:`~tropism_moe.store_aio.Slots`.
        hand: what a thread has in hand, ``int64[3]``, see :data:`HAND`.
    """
    failed = 0
    while failed < PATIENCE:
        slot, done = ended(own)
        if slot >= 0:
            hand[ENDING] = own.numbers[slot]
            own.numbers[slot] = FREE
        busy = _begin(file, queue, desk, own, hand)
        if slot < 0 and hand[REFUSED] >= 0:
            hand[ENDING], hand[REFUSED], slot = hand[REFUSED], -1, 0
        if slot >= 0:
            _end(file, told, desk, table, hand[ENDING], max(done, 0))
            hand[ENDING] = -1
        elif hand[STOPS] and not busy:
            return
        else:
            hears = busy < min(ENOUGH, own.numbers.size) and not hand[STOPS]
            failed = 0 if wait(own, queue, hears) else failed + 1


def message(*numbers: int) -> bytes:
    """Numbers of slabs, as readers are told them."""
    return array("q", numbers).tobytes()


def compile_all() -> None:
    """Compile what there is, by reading nothing."""
    none, (out, into) = np.zeros(1, np.int64), os.pipe()
    try:
        os.write(into, message(STOP))
        desk = Desk(np.zeros((1, SHAPES), np.int64), none, none, none, none)
        serve(out, out, into, desk, TABLE, slots(1), HAND.copy())
        take_back(none, 0)
    finally:
        os.close(out)
        os.close(into)


if AVAILABLE:
    compile_all()  # now: later a thread may be interrupted or the process forked, which compilers bear badly
