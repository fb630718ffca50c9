"""The pytest plugin for authors of agents: fixtures that call the conformance suite.

It is loaded in every pytest run beside an installed Tropism, so it imports nothing at load time::

    def test_contract(agent_conformance):
        agent_conformance("my-agent", "tropism/Sanity-Memory-v0")
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tropism.agents.plugins import PluginHost


@pytest.fixture
def plugin_host() -> Callable[..., PluginHost]:
    """``plugin_host(**{name: "package.module"})``: a host over these plugins alone, installed or not."""

    def build(**modules: str) -> PluginHost:
        from importlib.metadata import EntryPoint

        from tropism.agents.plugins import PluginHost

        points = [
            EntryPoint(name.replace("_", "-"), module, "tropism")
            for name, module in modules.items()
        ]
        return PluginHost(points, environ={})

    return build


@pytest.fixture
def agent_conformance() -> Callable[..., list[str]]:
    """:func:`tropism.agents.conformance.agent_conformance`, imported when it is called."""

    def check(*args: Any, **kwargs: Any) -> list[str]:
        from tropism.agents.conformance import agent_conformance

        return agent_conformance(*args, **kwargs)

    return check
