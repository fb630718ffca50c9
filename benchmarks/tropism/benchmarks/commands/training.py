"""``tropism train``: let an agent learn a task, into a run directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.command()
@click.argument("agent")
@click.argument("env_id", metavar="ID")
@click.option(
    "--steps", default=100_000, show_default=True, help="Environment steps to learn from."
)
@click.option("--seed", default=0, show_default=True, help="Seed of the agent.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Run directory  [runs/AGENT-ENV-SEED]."
)
@click.option("--set", "options", multiple=True, metavar="KEY=VALUE", help="Option of the agent.")
@click.option(
    "--env", "env_options", multiple=True, metavar="KEY=VALUE", help="Of the environment."
)
def train(
    agent: str,
    env_id: str,
    steps: int,
    seed: int,
    out: Path | None,
    options: tuple[str, ...],
    env_options: tuple[str, ...],
) -> None:
    """Train AGENT on the environment ID; the same command resumes a run that was killed."""
    from tropism.benchmarks.commands.options import known_task, pairs

    config = {
        "agent": agent,
        "options": pairs(options, "--set"),
        "env_id": env_id,
        "env_options": pairs(env_options, "--env"),
        "env_steps": steps,
        "seed": seed,
    }
    task = known_task(env_id, config["env_options"])
    folder = out or Path("runs") / f"{agent}-{env_id.rpartition('/')[2]}-{seed}"
    train_run(config, task, folder)
    click.echo(f"{folder}: trained. Next: tropism evaluate {folder}")


def train_run(config: dict[str, Any], task: Any, folder: Path) -> Any:
    """Train what ``config`` says in ``folder`` and return the policy; a finished run is loaded.

    Raises:
        UnsupportedTaskError: If the agent does not play the task.
        OptionError: If the budget is negative.
    """
    from tropism.agents.contract import Budget
    from tropism.agents.plugins import default_host
    from tropism.agents.runs import Run, load_policy, save_policy
    from tropism.agents.trained import POLICY
    from tropism.errors import OptionError, UnsupportedTaskError

    learner = default_host().make_agent(config["agent"], config["options"], config["seed"])
    if config["env_steps"] < 0:
        raise OptionError(f"steps must be >= 0, got {config['env_steps']}")
    if reason := learner.supports(task):
        raise UnsupportedTaskError(f"{config['agent']} does not play {task.env_id}: {reason}")
    with Run(folder, config) as run:
        if (folder / POLICY).exists():
            return load_policy(type(learner), folder / POLICY, task)
        policy = learner.train(task, Budget(env_steps=config["env_steps"]), run)
        save_policy(policy, folder / POLICY)
    return policy
