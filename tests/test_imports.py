"""Listing and importing stay light: what is heavy is loaded by those who use it, when they use it."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PLUGINS = sorted(ROOT.glob("plugins/*/pyproject.toml"))
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
HEAVY = set(CONFIG["tool"]["ruff"]["lint"]["flake8-tidy-imports"]["banned-module-level-imports"])
COMMAND = (
    "import sys; from tropism.benchmarks.cli import main; sys.argv = ['tropism', {!r}]; main()"
)


def modules_after(code: str) -> set[str]:
    """Names of the top-level modules that a fresh interpreter holds after ``code``, even if it exits."""
    program = (
        f"import atexit, json, sys; sys.path[:0] = {sys.path!r}\n"
        "atexit.register(lambda: print('\\n' + json.dumps(sorted({name.split('.')[0] for name in sys.modules}))))\n"
        f"{code}"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "module", ["tropism.envs", "tropism.agents", "tropism.bridges", "tropism.benchmarks"]
)
def test_import_of_a_part_is_light(module):
    assert not HEAVY & modules_after(f"import {module}")


@pytest.mark.parametrize("argument", ["--help", "plugins"])
def test_command_lists_without_loading_anything_numerical(argument):
    loaded = modules_after(COMMAND.format(argument))
    assert not (HEAVY | {"numpy", "scipy", "gymnasium", "pettingzoo"}) & loaded


def test_pytest_plugin_is_light():
    assert not (HEAVY | {"gymnasium", "scipy"}) & modules_after(
        "import tropism.agents.pytest_plugin"
    )


@pytest.mark.parametrize("path", PLUGINS, ids=lambda path: path.parent.name)
def test_hook_modules_of_plugins_are_light(path):
    entry_points = tomllib.loads(path.read_text(encoding="utf-8"))["project"]["entry-points"][
        "tropism"
    ]
    for target in entry_points.values():
        code = f"sys.path.insert(0, {str(path.parent / 'src')!r}); import {target.split(':')[0]}"
        assert not HEAVY & modules_after(code), (
            f"{target} loads something heavy; import it where it is used"
        )
