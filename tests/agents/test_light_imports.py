from __future__ import annotations

import os
import subprocess
import sys

import pytest

HEALTHY = """
    from tropism.agents import hookimpl

    @hookimpl
    def tropism_register_agents(register):
        register("walker", "tropism.agents.baselines:RandomAgent", summary="walks")
"""


def test_installed_plugins_are_found_in_a_fresh_interpreter(site):
    site.install("good", HEALTHY)
    site.install("bad", "def broken(:\n    pass\n")
    code = (
        "from tropism.agents import default_host\n"
        "host = default_host()\n"
        "assert host is default_host()\n"
        "states = {s.name: s.state for s in host.plugins()}\n"
        "assert states.items() >= {'builtin': 'loaded', 'good': 'loaded', 'bad': 'failed'}.items(), states\n"
        "import sys; heavy = {'numpy', 'gymnasium', 'torch', 'jax'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    run_python(code, site.path)


@pytest.mark.parametrize(
    "module", ["", ".plugins", ".hookspecs", ".builtin", ".options", ".pytest_plugin"]
)
def test_light_modules_import_neither_numpy_nor_gymnasium(module):
    run_python(
        f"import tropism.agents{module}, sys\n"
        "heavy = {'numpy', 'gymnasium', 'torch', 'jax', 'rich'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )


def run_python(code, *paths):
    """Run ``code`` in a fresh interpreter that finds what this one finds, and ``paths`` first."""
    path = os.pathsep.join(map(str, [*paths, *sys.path]))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={"PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
