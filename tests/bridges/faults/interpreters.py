"""Python interpreters from 3.11 on that can run the bridge: they have NumPy and Gymnasium."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import tropism.bridges
import tropism.errors

MINORS = range(11, 16)
SOURCES = [
    str(Path(tropism.errors.__file__).parents[1]),
    str(Path(tropism.bridges.__file__).parents[2]),
]


def find(minor):
    """Path of Python 3.`minor`, or None; `TROPISM_PYTHONS` lists more places, separated as in PATH."""
    return next((path for path in _candidates(minor) if _can_run(path, minor)), None)


def environment():
    """What lets any of them find this package."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(SOURCES)}


def _candidates(minor):
    yield sys.executable
    yield from filter(None, os.environ.get("TROPISM_PYTHONS", "").split(os.pathsep))
    name = f"python3.{minor}"
    yield from filter(None, [shutil.which(name)])
    for place in (".pyenv/versions/*/bin", ".local/share/uv/python/*/bin"):
        yield from map(str, sorted(Path.home().glob(f"{place}/{name}")))


def _can_run(path, minor):
    code = f"import sys; assert sys.version_info[1] == {minor}; import numpy, gymnasium"
    run = subprocess.run([path, "-c", code], env=environment(), capture_output=True, check=False)
    return run.returncode == 0
