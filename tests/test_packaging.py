"""What is shipped: the source distribution and the wheel hold the four parts, and nothing else."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PARTS = ("envs", "agents", "bridges", "benchmarks")


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """Source distribution, and the wheel that is built from it, without network."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def sources() -> set[str]:
    """The files of the four roots as the wheel should name them."""
    found = (
        path for part in PARTS for path in (ROOT / part / "tropism").rglob("*") if path.is_file()
    )
    kept = (path for path in found if "__pycache__" not in path.parts)
    return {path.relative_to(ROOT).as_posix().split("/", 1)[1] for path in kept}


def test_wheel_holds_exactly_the_four_parts(built):
    (wheel,) = built.glob("tropism-*.whl")
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == sources()
    assert {name.split("/")[1] for name in names} == {*PARTS, "errors.py", "limits.py"}


def test_wheel_metadata_says_licence_command_and_pytest_plugin(built):
    (wheel,) = built.glob("tropism-*.whl")
    archive = zipfile.ZipFile(wheel)
    (entry_points,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
    text = archive.read(entry_points).decode()
    assert "tropism = tropism.benchmarks.cli:main" in text
    assert "tropism = tropism.agents.pytest_plugin" in text
    assert any(name.endswith("licenses/LICENSE") for name in archive.namelist())


def test_source_distribution_carries_only_what_the_build_needs(built):
    (sdist,) = built.glob("tropism-*.tar.gz")
    with tarfile.open(sdist) as archive:
        top = {name.split("/")[1] for name in archive.getnames() if "/" in name}
    allowed = {
        *PARTS,
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "pyproject.toml",
        "PKG-INFO",
        ".gitignore",
    }
    assert {*PARTS, "README.md", "LICENSE", "pyproject.toml"} <= top <= allowed
