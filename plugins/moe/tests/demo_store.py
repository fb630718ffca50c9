"""A small store of experts, and what its tests need."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tropism_moe import store_serve
from tropism_moe.store_compiled import CompiledReaders
from tropism_moe.store_writer import StoreWriter

if sys.platform == "win32":
    pytest.skip("files are read at offsets (os.preadv)", allow_module_level=True)

MODES = ("mmap", "resident", "ring")
BLOCK, LAYERS, EXPERTS, LENGTH = 4096, 3, 5, 9000
ROOM = 3 * BLOCK
"""What a slab of LENGTH bytes takes."""
KEYS = [(layer, expert) for layer in range(LAYERS) for expert in range(EXPERTS)]


def contents(keys=KEYS, length=LENGTH):
    rng = np.random.default_rng(7)
    return {key: rng.integers(0, 256, length, dtype=np.uint8) for key in keys}


DATA = contents()


def write(path, data=DATA, facts=None):
    with StoreWriter(path, facts or {"model": "demo", "width": 8}) as writer:
        for (layer, expert), slab in data.items():
            writer.add(layer, expert, slab, {"rows": layer, "scale": 0.5})
    return path


def child(code, *args):
    """Standard output of a Python program."""
    command = [sys.executable, "-c", code, *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def widen(data, meta):
    """Four times the bytes, in two parts."""
    return data.astype(np.uint16) + meta["rows"], data.astype(np.uint16)


def brought(store):
    """How many slabs readers have brought that nobody has asked for."""
    readers = store._fetcher._readers
    if isinstance(readers, CompiledReaders):
        return np.count_nonzero(readers.desk.states == store_serve.DONE)
    jobs = [entry.job for entry in store._fetcher.entries.values()]
    return sum(job._finished for job in jobs if job)


def flags_of(path):
    """Flags of every descriptor of this process on ``path``."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        if link.is_symlink() and os.path.realpath(link) == os.path.realpath(path):
            text = Path(f"/proc/self/fdinfo/{link.name}").read_text()
            found.append(int(text.split("flags:")[1].split()[0], 8))
    return found
