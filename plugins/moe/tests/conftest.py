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


@pytest.fixture(scope="session")
def host():
    """A host that knows this plugin, whether it is installed or not."""
    return PluginHost([EntryPoint("moe", "tropism_moe.plugin", "tropism")], environ={})
