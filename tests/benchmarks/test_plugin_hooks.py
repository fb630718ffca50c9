"""A run calls the hooks of plugins where the hook specifications say so."""

import textwrap
from importlib import import_module
from importlib.metadata import EntryPoint

import pytest

from tropism.agents.contract import Task
from tropism.agents.plugins import PluginHost
from tropism.benchmarks import runner
from tropism.benchmarks.cells import Cell

PLUGIN = """
    import gymnasium
    from tropism.agents import hookimpl

    episodes = []

    @hookimpl
    def tropism_register_envs():
        if "Mine-v0" not in gymnasium.registry:
            gymnasium.register("Mine-v0", "tropism.envs.sanity.memory:MemoryEnv")

    @hookimpl
    def tropism_episode_end(episode):
        episodes.append(episode)
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    (tmp_path / "watching_plugin.py").write_text(textwrap.dedent(PLUGIN))
    monkeypatch.syspath_prepend(tmp_path)
    host = PluginHost([EntryPoint("watching", "watching_plugin", "tropism")], environ={})
    monkeypatch.setattr(runner, "default_host", lambda: host)
    return import_module("watching_plugin")


def test_plugins_bring_environments_and_see_each_episode_once(plugin, tmp_path):
    cell = Cell("random", Task("Mine-v0"), 0, 0, (10_000, 10_001, 10_002))
    runner.run_cell(cell, tmp_path / "out")
    assert [episode.seed for episode in plugin.episodes] == [10_000, 10_001, 10_002]
    runner.run_cell(cell, tmp_path / "out")  # finished: nothing is played again
    assert len(plugin.episodes) == 3


def test_plugins_see_the_episodes_before_a_cell_counts_as_finished(plugin, tmp_path, monkeypatch):
    finished = []

    class Watch:
        def append(self, _):
            finished.extend((tmp_path / "out" / "cells").glob("*.json"))

    monkeypatch.setattr(plugin, "episodes", Watch())
    done = runner.run_cell(Cell("random", Task("Mine-v0"), 0, 0, (10_000,)), tmp_path / "out")
    assert done.exists()
    assert finished == []
