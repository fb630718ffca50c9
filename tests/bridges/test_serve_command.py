import subprocess
import sys

import pytest
from tests.bridges.raw_agent import RawAgent
from tests.bridges.toys import LOCAL, Toy

import tropism.envs  # noqa: F401 - registers
from tropism.bridges.serve import Server
from tropism.bridges.serve.__main__ import main
from tropism.errors import OptionError


@pytest.mark.parametrize(
    "name", ["CartPole-v1", "tests.bridges.toys:Toy", "tropism.envs:tropism/Sanity-Dict-v0"]
)
def test_the_command_serves_by_name(name, tmp_path):
    path = f"import sys; sys.path[:0] = {sys.path!r}; sys.argv[0] = 'serve'; "
    program = path + "from tropism.bridges.serve.__main__ import main; sys.exit(main())"
    arguments = [name, "--listen", LOCAL, "--on-agent-lost", "exit"]
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE, text=True
    )
    with process:
        address = process.stdout.readline().split()[-1]
        with RawAgent(address) as agent:
            assert agent.reset(seed=1).agents[0].alive
    assert process.returncode == 0


@pytest.mark.parametrize("fps", [0.0, -1.0, float("inf"), float("nan")])
def test_a_rate_that_is_none_is_refused(fps):
    with pytest.raises(OptionError, match="fps"):
        Server(Toy, listen=LOCAL, fps=fps)


@pytest.mark.parametrize("kwargs", ["{", "[]"])
def test_the_command_refuses_arguments_that_are_none(kwargs, capsys):
    assert main(["CartPole-v1", "--listen", LOCAL, "--kwargs", kwargs]) == 1
    assert "error: --kwargs" in capsys.readouterr().err
