from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import Any

import numpy as np
import pytest
import torch

from tropism.agents.contract import Budget, Task
from tropism.agents.plugins import PluginHost
from tropism.agents.records import spaces_record
from tropism.agents.runs import Run
from tropism_council.config import CouncilConfig
from tropism_council.episodes import Episodes
from tropism_council.learning import Learner
from tropism_council.network import Network, Sizes
from tropism_council.policy import CouncilPolicy

TINY: dict[str, Any] = {
    "width": 16,
    "layers": 2,
    "heads": 2,
    "window": 8,
    "slots": 5,
    "voices": 3,
    "ponder_steps": 3,
    "lanes": 8,
    "stretch": 16,
    "questions": 4,
    "online": True,
    "threads": 1,
}
"""Settings under which everything happens within a few steps."""

SWITCH = Sizes(101, 100, 9)


@pytest.fixture(autouse=True)
def one_thread():
    """Threads of networks this small wait for each other; numbers start from the same seed."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def tiny():
    """Small settings: ``tiny(field=value, ...) -> CouncilConfig``."""
    return lambda **more: CouncilConfig(**{**TINY, **more})


@pytest.fixture
def stir():
    """Move every weight, so that none is a zero behind which a mistake could hide: ``stir(module, by) -> module``."""

    def go(module, by=0.3):
        with torch.no_grad():
            for parameter in module.parameters():
                parameter += by * torch.randn_like(parameter)
        return module.eval()

    return go


@pytest.fixture
def network(tiny, stir):
    """A stirred network for a tier's sizes: ``network(sizes=..., field=value, ...)``."""
    return lambda sizes=SWITCH, **more: stir(Network(sizes, tiny(**more)))


@pytest.fixture
def tier():
    """``tier("Hop", argument=value, ...) -> Task``."""
    return lambda name, **kwargs: Task(f"tropism/PatternWorld-{name}-v0", kwargs)


@pytest.fixture
def stretches(tier):
    """Real stretches of a tier, one after the other: ``stretches("Hop", lanes, [5, 3], seed) -> list[Stretch]``."""

    def go(name, lanes, lengths, seed=0, **kwargs):
        task = tier(name, **kwargs)
        masked = int(task.spaces()[0]["history"].nvec[0]) - 1
        episodes = Episodes(task, lanes, masked, 0)
        episodes.begin(np.random.default_rng(seed))
        try:
            return [episodes.next(length)[0] for length in lengths]
        finally:
            episodes.env.close()

    return go


@pytest.fixture
def sizes(tier):
    """``sizes("Hop") -> Sizes``."""

    def go(name, **kwargs):
        seen, action = tier(name, **kwargs).spaces()
        return Sizes(int(seen["history"].nvec[0]), int(action.n), int(seen["query_k"].n))

    return go


@pytest.fixture
def train(tmp_path):
    """Train in a new run directory: ``train(agent, task, env_steps) -> (policy, directory)``."""
    count = iter(range(1000))

    def go(agent, task, env_steps, directory=None, wall_s=None):
        directory = directory or tmp_path / f"run{next(count)}"
        with Run(directory, {"seed": agent.seed}) as run:
            return agent.train(task, Budget(env_steps, wall_s), run), directory

    return go


@pytest.fixture
def host():
    """A host that knows this plugin and no other."""
    return PluginHost([EntryPoint("council", "tropism_council.plugin", "tropism")], environ={})


@pytest.fixture
def learner(tiny, sizes):
    """A learner of a fresh network: ``learner("Switch", field=value, ...)``."""

    def go(name="Switch", updates=100, **more):
        config = tiny(**more)
        return Learner(Network(sizes(name), config), config, updates)

    return go


@pytest.fixture
def policy(tier, tiny, network, sizes):
    """A policy whose network is stirred: ``policy("Hop", field=value, ...)``."""

    def go(name="Switch", **more):
        return CouncilPolicy(
            network(sizes(name), **more), tiny(**more), sizes(name), spaces_record(tier(name))
        )

    return go
