"""What any agent must pass, shipped so that plugin authors can call it: :func:`agent_conformance`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tropism.agents.checks import CHECKS, Subject, supports_or_says_why
from tropism.agents.contract import Agent, Budget, Task
from tropism.agents.plugins import PluginHost, default_host
from tropism.errors import AgentContractError

PROBES = (
    "tropism/Sanity-Memory-v0",
    "tropism/Sanity-Continuous-v0",
    "tropism/Sanity-Dict-v0",
    "tropism/Sanity-MultiDiscrete-v0",
)
"""Tasks of different spaces on which :meth:`Agent.supports` must say no, or mean it."""


def agent_conformance(
    agent: str | type[Agent],
    env_id: str | Task = "tropism/Sanity-Memory-v0",
    *,
    host: PluginHost | None = None,
    config: Mapping[str, Any] | None = None,
    env_steps: int = 512,
    probes: Iterable[str] = PROBES,
) -> list[str]:
    """Hold an agent to the contract, in seconds; learning well is not part of it.

    Args:
        agent: a registered name, or a subclass of :class:`Agent`.
        env_id: a quick task the agent supports, or the id of its environment.
        host: where the name is looked up; the installed plugins by default.
        config: options laid over the agent's defaults, to make it small.
        env_steps: training budget of each of the few short trainings.
        probes: ids on which ``supports`` must give a reason, or else training must work.

    Returns:
        The names of the checks passed, in order.

    Raises:
        tropism.errors.AgentContractError: what is broken, and where.
        tropism.errors.TropismError: if the agent cannot be found, imported or configured at all.
    """
    agent_class = (host or default_host()).agent_class(agent) if isinstance(agent, str) else agent
    task = env_id if isinstance(env_id, Task) else Task(env_id)
    name = agent if isinstance(agent, str) else agent.__name__
    with tempfile.TemporaryDirectory() as directory:
        subject = Subject(name, agent_class, dict(config or {}), Budget(env_steps), Path(directory))
        for check in CHECKS:
            try:
                check(subject, task)
            except AgentContractError as error:
                raise AgentContractError(
                    f"agent {name!r} on {task.env_id}, {check.__name__}: {error}"
                ) from error
        for probe in probes:
            supports_or_says_why(subject, Task(probe))
    return [check.__name__ for check in CHECKS] + [f"probe {probe}" for probe in probes]
