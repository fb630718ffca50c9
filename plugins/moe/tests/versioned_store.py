"""A store whose slabs tell its version, and ways to spoil it."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from tropism_moe.expert_store import ExpertStore
from tropism_moe.store_format import read_index
from tropism_moe.store_writer import StoreWriter

if sys.platform == "win32":
    pytest.skip("files are read at offsets (os.preadv)", allow_module_level=True)

MODES = ("mmap", "resident", "ring")
BLOCK, LENGTH, BUDGET = 4096, 5000, 20 * 8192
KEYS = [(layer, expert) for layer in range(2) for expert in range(3)]


def slab(key, version=0):
    return np.random.default_rng([*key, version]).integers(0, 256, LENGTH, dtype=np.uint8)


def write(path, version=0, keys=KEYS):
    with StoreWriter(path, {"version": version}) as writer:
        for key in keys:
            writer.add(key[0], key[1], slab(key, version), {"rows": 4})
    return path


def places(path):
    with open(path, "rb", buffering=0) as file:
        return read_index(file, path).slabs


def read_everything(path, mode, budget=BUDGET):
    with ExpertStore.open(path, mode, budget) as store:
        store.prefetch(KEYS)
        return {key: store.get(*key).copy() for key in KEYS}


WRITER = """
import os, resource, signal, sys
import numpy as np
from tropism_moe.store_errors import StoreWriteError
from tropism_moe.store_writer import StoreWriter
path, what, when = sys.argv[1], sys.argv[2], int(sys.argv[3])
if what == "limit":
    resource.setrlimit(resource.RLIMIT_FSIZE, (when, when))
count = 0
def dies(function):
    def call(*args):
        global count
        count += 1
        if count == when:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args)
    return call
if what == "kill":
    StoreWriter._write = dies(StoreWriter._write)
    os.fsync, os.replace = dies(os.fsync), dies(os.replace)
    StoreWriter._give_up = dies(StoreWriter._give_up)
print("go", flush=True)
while True:
    try:
        with StoreWriter(path, {"version": 1}) as writer:
            for layer in range(2):
                for expert in range(3):
                    rng = np.random.default_rng([layer, expert, 1])
                    writer.add(layer, expert, rng.integers(0, 256, 5000, dtype=np.uint8), {"rows": 4})
    except StoreWriteError as error:
        print(error)
    if what != "loop":
        break
"""


def writer(path, what, when):
    command = [sys.executable, "-c", WRITER, str(path), what, str(when)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
