"""The compliance kit against the example games of the client libraries."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.bridges.c_games import CLIENT, build, needs_cc
from tests.bridges.side_by_side import every_check
from tests.bridges.test_client_js import NODE

from tropism.bridges.compliance import Launched

CLIENTS = Path(CLIENT).parent


def check(command, transport="tcp"):
    """Every check passes or does not apply, and most do."""
    words = [str(part) for part in command]
    results = every_check(lambda: Launched(words, transport)).values()
    failed = {r.name: (r.expected, r.got) for r in results if r.outcome == "fail"}
    assert failed == {}
    assert sum(r.outcome == "pass" for r in results) >= 90


@needs_cc
@pytest.mark.parametrize("transport", ["tcp", pytest.param("unix", marks=pytest.mark.slow)])
def test_c(transport):
    check([build(CLIENT / "example_grid.c")], transport)


@pytest.mark.slow  # a minute each: it starts anew for every session
@pytest.mark.skipif(NODE is None, reason="there is no `node` of version 20 or later here")
@pytest.mark.parametrize("transport", ["tcp", "ws"])
def test_javascript(transport):
    check([*(NODE or ()), CLIENTS / "js/example_grid.mjs"], transport)


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("godot3-server") is None, reason="there is no `godot3-server` here"
)
def test_godot(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))  # where the engine writes
    check(["godot3-server", "--path", CLIENTS / "godot", "--fixed-fps", "60"])
