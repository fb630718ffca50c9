"""The house itself: layout, versions, requirements, and the targets everybody types."""

import re
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PARTS = ("envs", "agents", "bridges", "benchmarks")
PLUGINS = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))


def project(directory: Path) -> dict:
    return tomllib.loads((directory / "pyproject.toml").read_text(encoding="utf-8"))


def requirements(directory: Path) -> list[Requirement]:
    """Everything a distribution may ask for: dependencies, extras, build back end."""
    text = project(directory)
    extras = text["project"].get("optional-dependencies", {}).values()
    lines = [*text["project"].get("dependencies", ()), *text["build-system"]["requires"]]
    return [Requirement(line) for line in [*lines, *(line for extra in extras for line in extra)]]


def pins() -> dict[str, Requirement]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    found = (Requirement(line) for line in lines if line and not line.startswith("#"))
    return {canonicalize_name(pin.name): pin for pin in found}


@pytest.mark.parametrize("part", PARTS)
def test_namespace_has_no_init(part):
    stray = ROOT / part / "tropism" / "__init__.py"
    assert not stray.exists(), f"{stray} hides the other three roots of the namespace; delete it"


@pytest.mark.parametrize("part", PARTS)
def test_part_is_typed_and_carries_the_version(part):
    package = import_module(f"tropism.{part}")
    assert package.__version__ == project(ROOT)["project"]["version"]
    assert (ROOT / part / "tropism" / part / "py.typed").is_file()


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda path: path.name)
def test_plugin_has_what_the_others_have(plugin):
    module = f"tropism_{plugin.name}"
    text = project(plugin)["project"]
    assert text["name"] == f"tropism-{plugin.name}"
    assert import_module(module).__version__ == text["version"]
    assert (plugin / "src" / module / "py.typed").is_file()
    assert (plugin / "README.md").is_file()
    assert list(plugin.glob("tests/test_*.py"))
    assert Requirement("tropism>=0.1,<1") in requirements(plugin)
    assert "tropism" in text["entry-points"]


def test_top_level_layout():
    expected = {*PARTS, "plugins", "tests", "docs", "examples", ".ci", ".github"}
    assert {name for name in expected if not (ROOT / name).is_dir()} == set()
    parts = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir()}
    assert {"envs", "agents", "benchmarks", "conformance"} <= parts


@pytest.mark.parametrize("directory", [ROOT, *PLUGINS], ids=lambda path: path.name)
def test_requirements_are_lower_bounds_that_the_constraints_meet(directory):
    pinned = pins()
    for requirement in requirements(directory):
        if requirement.name == "tropism":  # the host's contract, bounded above on purpose
            continue
        operators = {spec.operator for spec in requirement.specifier}
        assert operators == {">="}, f"{directory.name}: {requirement} is not a lower bound"
        pin = pinned[canonicalize_name(requirement.name)]
        (version,) = pin.specifier
        assert requirement.specifier.contains(version.version), f"{pin} does not meet {requirement}"


def test_constraints_are_exact_and_hold_torch():
    assert all([spec.operator for spec in pin.specifier] == ["=="] for pin in pins().values())
    assert str(pins()["torch"]) == "torch==2.13.0"


def test_make_has_the_promised_targets_and_explains_them():
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    explained = set(re.findall(r"^([a-z]+):.*## \S", text, re.MULTILINE))
    assert {"help", "demo", "test", "check", "bench", "docs"} <= explained
    assert ".DEFAULT_GOAL := help" in text


def test_ci_runs_what_the_readme_says():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    for command in ("make test", "make check"):
        assert command in readme
        assert re.search(rf"^{command}\b", script, re.MULTILINE)


def test_pre_commit_downloads_nothing():
    text = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    assert set(re.findall(r"repo: (\S+)", text)) == {"local"}
    assert set(re.findall(r"language: (\S+)", text)) == {"system"}
