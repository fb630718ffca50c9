"""Python interpreters from 3.11 on that can run the bridge: they have NumPy and Gymnasium."""

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import tropism.bridges
import tropism.errors

NAMES = [f"python3.{minor}" for minor in range(11, 20)]
SOURCES = [
    str(Path(tropism.errors.__file__).parents[1]),
    str(Path(tropism.bridges.__file__).parents[2]),
]


@cache
def found():
    """Their paths by version, this one first; `TROPISM_PYTHONS` lists more, separated as in PATH."""
    versions = {_version(sys.executable): sys.executable}
    for path in _candidates():
        version = _version(path)
        if version is not None and version >= (3, 11):
            versions.setdefault(version, path)
    return {".".join(map(str, version)): path for version, path in versions.items()}


def environment():
    """What lets any of them find this package."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(SOURCES)}


def _candidates():
    yield from filter(None, os.environ.get("TROPISM_PYTHONS", "").split(os.pathsep))
    yield from filter(None, map(shutil.which, NAMES))
    for place in (".pyenv/versions/*/bin", ".local/share/uv/python/*/bin"):
        for name in NAMES:
            yield from map(str, sorted(Path.home().glob(f"{place}/{name}")))


def _version(path):
    """Major and minor, or None if it cannot run the bridge."""
    code = "import sys, numpy, gymnasium, tropism.bridges; print(*sys.version_info[:2])"
    run = subprocess.run(
        [path, "-c", code], env=environment(), capture_output=True, text=True, check=False
    )
    return tuple(map(int, run.stdout.split())) if run.returncode == 0 else None
