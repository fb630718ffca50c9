"""The persistent compilation cache, so that a second run starts at once."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def cache_directory() -> Path:
    """Where compiled programs are kept: ``TROPISM_CACHE`` if set, else ``tropism/jax`` in the user's cache folder.

    That folder is ``%LOCALAPPDATA%`` on Windows, ``~/Library/Caches`` on macOS, elsewhere ``$XDG_CACHE_HOME`` or
    ``~/.cache``.
    """
    if chosen := os.environ.get("TROPISM_CACHE"):
        return Path(chosen) / "jax"
    home = Path.home()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return base / "tropism" / "jax"


def use_cache() -> None:
    """Turn the cache on, unless the user has set one or ``TROPISM_CACHE`` is ``off``."""
    import jax

    chosen = getattr(jax.config, "jax_compilation_cache_dir", None)
    if os.environ.get("TROPISM_CACHE") == "off" or chosen:
        return
    directory = cache_directory()
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError:  # a read-only home: compile every time
        return
    jax.config.update("jax_compilation_cache_dir", str(directory))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
