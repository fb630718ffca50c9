from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint

from tropism.agents.plugins import PluginHost

HEAVY = ("jax", "evosax", "optax", "matplotlib", "gymnasium", "numpy")


def test_the_host_lists_the_agent():
    host = PluginHost([EntryPoint("evosax", "tropism_evosax.plugin", "tropism")], environ={})
    assert "evosax" in host.agents()


def test_the_hook_module_imports_nothing_heavy():
    program = f"import tropism_evosax.plugin, sys; print([m for m in {HEAVY} if m in sys.modules])"
    output = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert output.stdout.strip() == "[]"
