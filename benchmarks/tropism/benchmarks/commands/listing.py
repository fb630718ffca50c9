"""``tropism envs``, ``agents`` and ``plugins``: what there is."""

from __future__ import annotations

import json
from typing import Any

import click

AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")


@click.command()
@AS_JSON
def envs(as_json: bool) -> None:
    """List the environments, those for several agents last."""
    import gymnasium

    from tropism.agents.plugins import default_host
    from tropism.envs.registration import PARALLEL, environment_ids

    known = set(gymnasium.registry)
    default_host().register_envs()
    ids = [*environment_ids(), *(name for name in gymnasium.registry if name not in known)]
    _show([*map(_describe, ids), *map(_describe_parallel, PARALLEL)], as_json)


@click.command()
@AS_JSON
def agents(as_json: bool) -> None:
    """List the agents, the suite's own and those of plugins."""
    from tropism.agents.plugins import default_host

    found = default_host().agents().values()
    _show([{"name": a.name, "plugin": a.plugin, "summary": a.summary} for a in found], as_json)


@click.command()
@AS_JSON
def plugins(as_json: bool) -> None:
    """List the plugins and say why one is not usable."""
    from tropism.agents.plugins import default_host

    rows = [
        {
            "name": status.name,
            "distribution": status.distribution or "tropism",
            "version": status.version,
            "state": status.state,
            "reason": status.reason,
        }
        for status in default_host().plugins()
    ]
    _show(rows, as_json)


def _describe(env_id: str) -> dict[str, Any]:
    """One row about an environment."""
    import gymnasium

    env = gymnasium.make(env_id)
    spec = gymnasium.spec(env_id)
    env.close()
    return {
        "id": env_id,
        "agents": 1,
        "observation": _space(env.observation_space),
        "action": _space(env.action_space),
        "steps": spec.max_episode_steps,
        "threshold": spec.reward_threshold,
        "vector": spec.vector_entry_point is not None,
        "baselines": " ".join(getattr(env.unwrapped, "baselines", ("random",))),
    }


def _describe_parallel(env_id: str) -> dict[str, Any]:
    """One row about an environment for several agents: what one of them has."""
    from tropism.envs import make_parallel

    env = make_parallel(env_id)
    first, *_ = names = env.possible_agents
    return {
        "id": env_id,
        "agents": len(names),
        "observation": _space(env.observation_space(first)),
        "action": _space(env.action_space(first)),
        "steps": env.params.steps,
        "threshold": None,
        "vector": False,
        "baselines": " ".join(env.baselines),
    }


def _space(space: Any) -> str:
    """A space in a few characters: kind and shape."""
    kind = type(space).__name__
    if kind == "Dict":
        return f"Dict({len(space.spaces)})"
    if kind == "Discrete":
        return f"Discrete({space.n})"
    return f"{kind}{list(space.shape or ())}"


def _show(rows: list[dict[str, Any]], as_json: bool) -> None:
    """Print rows as JSON or as aligned columns (without rich, which takes longer to load than to list)."""
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    texts = [["" if v is None else str(v) for v in row.values()] for row in rows]
    lines = [list(rows[0]), *texts] if rows else []
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        padded = (text.ljust(width) for text, width in zip(line, widths, strict=True))
        click.echo("  ".join(padded).rstrip())
