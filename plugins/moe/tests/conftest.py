from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest
import torch

from tropism.agents.plugins import PluginHost


@pytest.fixture(autouse=True)
def one_thread():
    """Threads of networks this small wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def interpreted(monkeypatch):
    """Stores are read by threads that run Python, as on a CPU without what compiled readers need; ``os.preadv`` can be replaced then."""
    monkeypatch.setattr("tropism_moe.store_serve.AVAILABLE", False)


@pytest.fixture(params=["ahead", "compiled", "interpreted"])
def readers(request, monkeypatch):
    """All kinds of readers: compiled ones for which the kernel reads ahead or not, and those in Python."""
    if request.param == "interpreted":
        request.getfixturevalue("interpreted")
    elif request.param == "compiled":
        monkeypatch.setattr("tropism_moe.store_aio.HERE", False)
    return request.param


@pytest.fixture(scope="session")
def host():
    """A host that knows this plugin, whether it is installed or not."""
    return PluginHost([EntryPoint("moe", "tropism_moe.plugin", "tropism")], environ={})


@pytest.fixture(scope="session")
def untrained(tmp_path_factory):
    """Directories of policies of random weights, by task: what is asked of them is not what they know."""
    from tropism.agents.records import spaces_record
    from tropism_moe.agent_config import MoEConfig
    from tropism_moe.choices import Choices
    from tropism_moe.encoders import encoder_of
    from tropism_moe.pack import pack
    from tropism_moe.policy import write_settings
    from tropism_moe.stages import build

    made = {}

    def directory(task):
        key = repr(task)
        if key not in made:
            config = MoEConfig(
                width=32, hidden=16, head_width=8, window=8, rank=4, lattice=(2, 2, 2)
            )
            _, action = task.spaces()
            inputs = encoder_of(task).size
            with torch.random.fork_rng():
                torch.manual_seed(0)
                model = build("ternary", config, inputs, Choices(action).size)
            made[key] = tmp_path_factory.mktemp("untrained")
            pack(model, made[key])
            write_settings(made[key], config, spaces_record(task), None)
        return made[key]

    return directory
