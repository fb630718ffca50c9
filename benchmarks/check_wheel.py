"""Install the built wheel into a fresh environment, without the plugins, and use it from another directory.

Catches what an editable checkout hides: a file the wheel forgot, a requirement nobody declared, an import
that only works beside the plugins.  Needs an index that pip can reach, so it is no part of the tests::

    python benchmarks/check_wheel.py
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
USE = """
import gymnasium, tropism.envs
env = gymnasium.make("tropism/PatternWorld-Switch-v0")
observation, info = env.reset(seed=0)
assert env.observation_space.contains(observation)
env.step(env.action_space.sample())
names = [name for name in gymnasium.registry if name.startswith("tropism/")]
assert len(names) >= 10, names
print(len(names), "environments from", tropism.envs.__file__)
"""


def call(*command: str | Path, cwd: Path) -> None:
    """Run one command in ``cwd``, loudly; a failure ends the script."""
    print("+", *command, flush=True)
    subprocess.run([str(word) for word in command], cwd=cwd, check=True)


def main() -> None:
    """Build, install, check, use."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        venv.create(work / "venv", with_pip=True)
        folder = work / "venv" / ("Scripts" if sys.platform == "win32" else "bin")
        python = folder / "python"
        pip = (python, "-m", "pip", "--disable-pip-version-check")
        call(*pip, "wheel", "-q", "--no-deps", "-w", work / "dist", ROOT, cwd=work)
        (wheel,) = (work / "dist").glob("tropism-*.whl")
        call(*pip, "install", "-q", "-c", ROOT / "constraints.txt", wheel, cwd=work)
        call(*pip, "check", cwd=work)
        call(python, "-c", USE, cwd=work)
        for arguments in (("--help",), ("plugins",), ("envs",), ("agents",)):
            call(folder / "tropism", *arguments, cwd=work)


if __name__ == "__main__":
    main()
