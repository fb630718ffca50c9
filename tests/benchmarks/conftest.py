"""Hand-made episodes for the tests of metrics and boards."""

from __future__ import annotations

import sys

import numpy as np
import pytest


def make_episode(right, switches=(), *, seed=10_000, rule=None, stale=None, compute=None, **more):
    """An episode whose target is 7, answered rightly where ``right`` is 1 and with 3 where it is 0."""
    from tropism.agents.evaluate import Episode

    right = np.array(right)
    n = len(right)
    switched = np.zeros(n, bool)
    switched[list(switches)] = True
    labels = {
        "target": np.full(n, 7),
        "switched": switched,
        "rule": np.cumsum(switched) if rule is None else np.array(rule),
        "stale_target": np.full(n, -1) if stale is None else np.array(stale),
        **more.pop("labels", {}),
    }
    fields = {
        "reward": right.astype(np.float64),
        "action": np.where(right, 7, 3),
        "compute": np.ones(n, np.int64) if compute is None else np.array(compute),
        "gated": None,
        "target_log_prob": None,
        "action_log_prob": None,
        "terminated": False,
        "lanes": 1,
        "wall_us": 1.0,
        "action_hash": "",
    }
    return Episode(seed=seed, labels=labels, **{**fields, **more})


@pytest.fixture(scope="session")
def episode():
    return make_episode


THIRD_PARTY = """
import os
import signal
import time

from tropism.agents.baselines import RandomAgent
from tropism.agents.hookspecs import hookimpl


@hookimpl
def tropism_register_agents(register):
    for name in ("dies", "raises", "waits"):
        register(f"odd-{name}", f"tropism_odd:{name.title()}")


@hookimpl
def tropism_register_commands(cli):
    import click

    cli.add_command(click.Command("odd-hello", callback=lambda: click.echo("hello from a plugin")))


class Dies(RandomAgent):
    def train(self, task, budget, run):
        print("last words", flush=True)
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))


class Raises(RandomAgent):
    def train(self, task, budget, run):
        raise ZeroDivisionError(f"by the plugin, threads: {os.environ['OMP_NUM_THREADS']}")


class Waits(RandomAgent):
    def train(self, task, budget, run):
        time.sleep(60)
"""


@pytest.fixture
def third_party(tmp_path, monkeypatch):
    """A plugin as pip would install it, in a directory of its own on the path of this process and its children."""
    from tropism.agents.plugins import default_host

    site = tmp_path / "site"
    info = site / "tropism_odd-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "tropism_odd.py").write_text(THIRD_PARTY)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tropism-odd\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[tropism]\nodd = tropism_odd\n")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delitem(sys.modules, "tropism_odd", raising=False)
    default_host.cache_clear()
    yield site
    default_host.cache_clear()


@pytest.fixture(scope="session")
def memory():
    """A cell that takes milliseconds."""
    from tropism.agents.contract import Task
    from tropism.benchmarks.cells import Cell

    def make(agent="random", train_seed=0, **changes):
        task = Task("tropism/Sanity-Memory-v0")
        return Cell(agent, task, 0, train_seed, tuple(range(10_000, 10_004)), **changes)

    return make


@pytest.fixture
def small_suite(monkeypatch):
    """A suite that takes seconds, called ``small``."""
    from tropism.agents.contract import Task
    from tropism.benchmarks.suites import SUITES, Entry, Player, Suite

    task = Task("tropism/Sanity-Memory-v0")
    entry = Entry(task, (Player("random"), Player("oracle")), ("sanity",), block=2)
    monkeypatch.setitem(SUITES, "small", Suite("small", "one task", (entry,), 1, 2))


@pytest.fixture(scope="session")
def board(tmp_path_factory):
    """A small board: two tasks that switch and one that does not."""
    from tropism.agents.contract import Task
    from tropism.benchmarks.board import read_board, write_suite
    from tropism.benchmarks.cells import Cell
    from tropism.benchmarks.runner import run_cell

    out = tmp_path_factory.mktemp("board")
    short = {"max_episode_steps": 400}
    switching = [Task(f"tropism/PatternWorld-{tier}-v0", short) for tier in ("Switch", "Fast")]
    seeds = (10_000, 10_001)
    cells = [
        Cell(name, task, 0, 0, seeds, label=name)
        for task in switching
        for name in ("random", "table", "two-mode", "ideal")
    ]
    memory = Task("tropism/Sanity-Memory-v0")
    cells += [
        Cell(name, memory, 0, 0, seeds * 2, label=name, block=2) for name in ("random", "oracle")
    ]
    write_suite(out, "small", "two tiers & memory", cells)
    for cell in cells:
        run_cell(cell, out)
    return read_board(out)


@pytest.fixture(scope="session")
def ledger(board):
    """Its ledger."""
    from tropism.benchmarks.entries import record_board

    assert record_board(board) == len(board.results)
    assert record_board(board) == 0
    return board.ledger
