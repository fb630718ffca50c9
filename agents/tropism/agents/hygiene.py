"""Two looks at an agent from outside: what it imports, and whether its files hold pickles."""

from __future__ import annotations

import ast
import inspect
import sys
import zipfile
from importlib.util import resolve_name
from pathlib import Path
from types import ModuleType

SUFFIXES = (".pkl", ".pickle", ".joblib", ".dill")
MARKS = (b":serialized:", b"cloudpickle")
"""What Stable-Baselines3 archives and cloudpickle leave in otherwise innocent files."""


def pickles_in(directory: Path) -> list[str]:
    """Names of files (and members of zip archives) under ``directory`` that hold a pickle."""
    found = []
    for file in sorted(path for path in directory.rglob("*") if path.is_file()):
        name = file.relative_to(directory).as_posix()
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                members = {
                    f"{name}:{member}": archive.read(member) for member in archive.namelist()
                }
        else:
            members = {name: file.read_bytes()}
        found += [member for member, content in members.items() if _is_pickle(member, content)]
    return found


def _is_pickle(name: str, content: bytes) -> bool:
    """By name, by the header of pickle protocols 2 to 5, by an object array, or by a mark inside."""
    if name.endswith(SUFFIXES) or any(mark in content for mark in MARKS):
        return True
    if content[:6] == b"\x93NUMPY":
        return b"'descr': '|O'" in content[:256]
    return content[:1] == b"\x80" and content[1:2] in b"\x02\x03\x04\x05" and content[-1:] == b"."


def imports_of(subject: type) -> list[str]:
    """``"module: imported.name"`` for every import of the subject's module and of what that loads in its package.

    The suite's own packages count as one each (``tropism.agents``); imports inside functions are seen too.
    """
    parts = subject.__module__.split(".")
    package = ".".join(parts[:2] if parts[0] == "tropism" else parts[:1])
    lines, seen, waiting = [], set[str](), [subject.__module__]
    while waiting:
        name = waiting.pop()
        if name in seen or name not in sys.modules or not f"{name}.".startswith(f"{package}."):
            continue
        seen.add(name)
        imported = _imports(sys.modules[name])
        lines += [f"{name}: {other}" for other in imported]
        # ``a.b.c`` may be a module or a name in one, and importing it runs ``a`` and ``a.b`` first.
        waiting += [prefix for other in (name, *imported) for prefix in _prefixes(other)]
    return sorted(lines)


def _prefixes(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts) + 1)]


def _imports(module: ModuleType) -> list[str]:
    try:
        tree = ast.parse(inspect.getsource(module))
    except (OSError, TypeError):
        return []  # a namespace package, or a module without source
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            origin = "." * node.level + (node.module or "")
            home = resolve_name(origin, module.__package__) if node.level else origin
            names += [f"{home}.{alias.name}" for alias in node.names]
    return names
