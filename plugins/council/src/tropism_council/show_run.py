"""Reading a finished run of the council: its rows, its task, its policy, or one line about what is wrong."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tropism.agents.artifacts import read_json
from tropism.agents.contract import Task
from tropism.agents.runs import load_policy, read_metrics
from tropism.errors import ArtifactError, TropismError, UnknownNameError

if TYPE_CHECKING:
    from torch import nn

    from tropism.agents.contract import Policy

AGENT = "council"
FIELDS = {"agent", "options", "env_id", "env_options", "env_steps", "seed"}
"""Of the ``config.json`` that ``tropism train`` writes."""
POLICY = "policy"


@dataclass(frozen=True)
class Trained:
    """A finished run.

    Attributes:
        directory: of the run.
        config: what ``tropism train`` was told.
        rows: of ``metrics.jsonl``.
        task: what it was trained on.
        policy: what came of it.
    """

    directory: Path
    config: dict[str, Any]
    rows: list[dict[str, Any]]
    task: Task
    policy: Policy

    @property
    def network(self) -> nn.Module:
        """The policy's weights: a network, or an actor where it has learned from rewards."""
        return next(vars(self.policy)[n] for n in ("network", "actor") if n in vars(self.policy))


def read_run(directory: Path) -> Trained:
    """The run in ``directory``.

    Raises:
        ArtifactError: if it is no run of the council, unfinished, or damaged.
        UnknownNameError: if its environment is not registered.
    """
    from tropism_council.agent import CouncilAgent

    config = _config(directory)
    if not (directory / POLICY).exists():
        raise ArtifactError(
            f"{directory} holds no trained policy: training did not finish; resume it with `{_command(directory, config)}`"
        )
    task = _task(directory, config)
    policy = load_policy(CouncilAgent, directory / POLICY, task)
    return Trained(directory, config, read_metrics(directory), task, policy)


def _config(directory: Path) -> dict[str, Any]:
    """What the run was told.

    Raises:
        ArtifactError: if this is no run of the council.
    """
    if not directory.is_dir():
        raise ArtifactError(
            f"{directory} is no run directory; make one with `tropism train council ID`"
        )
    config = read_json(directory / "config.json")
    if not config.keys() >= FIELDS:
        missing = ", ".join(sorted(FIELDS - config.keys()))
        raise ArtifactError(
            f"{directory} was not written by `tropism train`: its config.json has no {missing}"
        )
    if config["agent"] != AGENT:
        raise ArtifactError(
            f"{directory} is a run of {config['agent']!r}, not of {AGENT!r}; see `tropism evaluate {directory}`"
        )
    return config


def _task(directory: Path, config: dict[str, Any]) -> Task:
    """Where the run was trained.

    Raises:
        UnknownNameError: if nobody registered the environment.
        ArtifactError: if the environment refuses its options.
    """
    import gymnasium

    import tropism.envs  # noqa: F401  registers the ids
    from tropism.agents.plugins import default_host

    default_host().register_envs()
    if config["env_id"] not in gymnasium.registry:
        raise UnknownNameError("environment", config["env_id"], gymnasium.registry)
    task = Task(config["env_id"], config["env_options"])
    try:
        task.spaces()
    except (TypeError, ValueError, TropismError) as error:
        raise ArtifactError(
            f"{directory / 'config.json'} is damaged: {task.env_id} does not take {task.kwargs}: {error}"
        ) from error
    return task


def _command(directory: Path, config: dict[str, Any]) -> str:
    """What began the run."""
    parts = ["tropism", "train", AGENT, config["env_id"], "--steps", str(config["env_steps"])]
    parts += ["--seed", str(config["seed"]), "--out", str(directory)]
    for option, name in (("--set", "options"), ("--env", "env_options")):
        parts += [part for k, v in config[name].items() for part in (option, f"{k}={_text(v)}")]
    return shlex.join(parts)


def _text(value: Any) -> str:
    import json

    return value if isinstance(value, str) else json.dumps(value)
