from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from tropism.agents.conformance import agent_conformance
from tropism.agents.plugins import PluginHost

HEAVY = ("torch", "stable_baselines3", "sb3_contrib", "gymnasium", "numpy")


@pytest.fixture
def host():
    return PluginHost([EntryPoint("ppo", "tropism_ppo.plugin", "tropism")], environ={})


@pytest.mark.parametrize("name", ["ppo", "recurrent-ppo"])
def test_agents_pass_the_conformance_suite(name, host):
    assert "training_is_deterministic" in agent_conformance(name, host=host, config={"n_epochs": 1})


def test_the_host_lists_both_agents(host):
    assert {"ppo", "recurrent-ppo"} <= host.agents().keys()
    assert host.make_agent("ppo", {"net_arch": [8]}, seed=3).config.net_arch == (8,)


def test_the_hook_module_imports_nothing_heavy():
    program = f"import tropism_ppo.plugin, sys; print([m for m in {HEAVY} if m in sys.modules])"
    output = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert output.stdout.strip() == "[]"
