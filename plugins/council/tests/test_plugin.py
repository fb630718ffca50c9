from __future__ import annotations

import subprocess
import sys

HEAVY = ("torch", "gymnasium", "numpy", "safetensors")


def test_the_host_lists_the_agent(host):
    assert "council" in host.agents()
    assert host.make_agent("council", {"width": 32}, seed=3).config.width == 32


def test_the_hook_module_imports_nothing_heavy():
    program = f"import tropism_council.plugin, sys; print([m for m in {HEAVY} if m in sys.modules])"
    output = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert output.stdout.strip() == "[]"
