"""The recipe in the template's README is followed to the letter, and what comes out is a working plugin."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "plugins" / "example"


def test_the_files_of_the_template_are_these():
    found = {
        path.relative_to(TEMPLATE).as_posix()
        for path in TEMPLATE.rglob("*")
        if path.is_file() and "cache" not in path.as_posix()
    }
    package = "src/tropism_example"
    assert found == {
        "README.md", "pyproject.toml", "tests/test_example.py",
        f"{package}/__init__.py", f"{package}/agent.py", f"{package}/table.py", f"{package}/py.typed",
    }  # fmt: skip


@pytest.mark.skipif(
    not (shutil.which("bash") and shutil.which("perl")), reason="the recipe is for a POSIX shell"
)
def test_copy_and_two_renames_make_a_plugin(tmp_path):
    recipe, _ = re.findall(r"```bash\n(.*?)```", (TEMPLATE / "README.md").read_text(), re.DOTALL)
    ignore = shutil.ignore_patterns("__pycache__", ".*_cache")
    shutil.copytree(TEMPLATE, tmp_path / "tropism" / "plugins" / "example", ignore=ignore)
    subprocess.run(["bash", "-ec", recipe], cwd=tmp_path / "tropism", check=True)
    mine = tmp_path / "mine"
    left = [p for p in mine.rglob("*.py") if "example" in p.read_text().lower()]
    assert left == []
    assert 'mine = "tropism_mine"' in (mine / "pyproject.toml").read_text()
    paths = [str(mine / "src"), *(str(ROOT / part) for part in ("envs", "agents")), *sys.path]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-W",
            "error",
            "-p",
            "no:cacheprovider",
            "tests",
            "-k",
            "listed or Dict",
        ],
        cwd=mine,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
