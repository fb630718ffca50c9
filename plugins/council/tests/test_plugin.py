from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

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


def test_python_of_the_readme_runs(tmp_path, monkeypatch, capsys):
    """With a quarter of its budget, on episodes a tenth as long."""
    text = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    namespace: dict = {"__name__": "readme"}
    for block in re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        if "torchrun" in block:
            continue  # a program of several processes; test_mesh.py has what it does
        code = block.replace("20_000", "5_200")
        code = code.replace('Switch-v0")', 'Switch-v0", {"max_episode_steps": 100})')
        exec(compile(code, "README.md", "exec"), namespace)
    assert "[1 1 1 1] [0 0 0 0]" in capsys.readouterr().out
