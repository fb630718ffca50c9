"""Throw-away distributions, made of a module and a dist-info directory on a temporary path."""

from __future__ import annotations

import importlib.metadata
import sys
import textwrap
from pathlib import Path

import pytest

from tropism.agents.plugins import PluginHost


class Site:
    """A directory that plays site-packages."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.modules: list[str] = []

    def install(
        self,
        name: str,
        source: str,
        *,
        distribution: str = "",
        requires: tuple[str, ...] = ("tropism>=0.1,<1",),
    ) -> None:
        """One distribution, with one module of hook implementations registered as the plugin ``name``."""
        distribution = distribution or f"tropism-{name}"
        module = distribution.replace("-", "_")
        (self.path / f"{module}.py").write_text(textwrap.dedent(source))
        info = self.path / f"{module}-1.2.dist-info"
        info.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {distribution}", "Version: 1.2"]
        (info / "METADATA").write_text(
            "\n".join([*lines, *(f"Requires-Dist: {r}" for r in requires)]) + "\n"
        )
        (info / "entry_points.txt").write_text(f"[tropism]\n{name} = {module}\n")
        self.modules.append(module)

    def host(self, **environ: str) -> PluginHost:
        """A host over what is installed here, in the order of the names."""
        found = importlib.metadata.distributions(path=[str(self.path)])
        points = [point for distribution in found for point in distribution.entry_points]
        return PluginHost(sorted(points, key=lambda point: (point.name, point.value)), environ)


@pytest.fixture
def site(tmp_path, monkeypatch):
    path = tmp_path / "site"
    path.mkdir()
    monkeypatch.syspath_prepend(path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    site = Site(path)
    yield site
    for module in site.modules:
        sys.modules.pop(module, None)
