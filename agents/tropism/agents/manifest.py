"""What a result depends on besides its configuration: versions, sources, machine, command."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

PACKAGES = (
    "numpy", "scipy", "gymnasium", "pettingzoo", "pluggy", "safetensors",
    "torch", "stable-baselines3", "sb3-contrib", "jax", "jaxlib", "flax", "evosax",
)  # fmt: skip
"""Packages whose version can change a number; plugins are added by their prefix ``tropism``."""


def manifest(seed: int | None = None) -> dict[str, Any]:
    """Everything about this process that a number may depend on, as JSON values.

    Returns:
        ``utc`` (ISO 8601), ``command`` (list), ``seed``, ``python``, ``platform``, ``cpu`` (model), ``cores``,
        ``versions`` (by distribution) and ``source`` (:func:`source_hash`).
    """
    return {
        "utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "seed": seed,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "versions": versions(),
        "source": source_hash(),
    }


@functools.cache
def versions() -> dict[str, str]:
    """Installed versions of :data:`PACKAGES` and of every distribution of the suite and its plugins."""
    from tropism.agents import __version__

    found = {"tropism": __version__}
    for distribution in importlib.metadata.distributions():
        name = canonicalize_name(distribution.name or "")
        if name in PACKAGES or name.startswith("tropism-"):
            found[name] = distribution.version
    return dict(sorted(found.items()))


@functools.cache
def source_hash() -> str:
    """SHA-256 (hex) over the names and contents of the suite's Python files, all parts together."""
    import tropism

    digest = hashlib.sha256()
    files = {
        f.relative_to(root).as_posix(): f
        for root in map(Path, tropism.__path__)
        for f in root.rglob("*.py")
    }
    for name in sorted(files):
        content = files[name].read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


@functools.cache
def cpu_model() -> str:
    """The processor's own name for itself, as far as the platform tells."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
