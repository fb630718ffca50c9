"""What ``tropism train`` left in a run directory: what it was told, the task, and the policy, or one line about what is wrong."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tropism.agents.artifacts import read_json
from tropism.errors import ArtifactError, TropismError, UnknownNameError

if TYPE_CHECKING:
    from tropism.agents.contract import Task

CONFIG, POLICY = "config.json", "policy"
"""Of a run directory."""
FIELDS = {"agent", "options", "env_id", "env_options", "env_steps", "seed"}
"""Of the configuration."""


def read_training(directory: Path, agent: str | None = None) -> dict[str, Any]:
    """What the training in ``directory`` was told.

    Args:
        directory: of the run.
        agent: whose it must be; None: anybody's.

    Raises:
        ArtifactError: it is no run of ``tropism train``, or one of another agent.
    """
    if not directory.is_dir():
        raise ArtifactError(
            f"{directory} is no run directory; make one with `tropism train {agent or 'AGENT'} ID`"
        )
    config = read_json(directory / CONFIG)
    if missing := ", ".join(sorted(FIELDS - config.keys())):
        raise ArtifactError(
            f"{directory} was not written by `tropism train`: its config.json has no {missing}"
        )
    if agent not in (None, config["agent"]):
        raise ArtifactError(
            f"{directory} is a run of {config['agent']!r}, not of {agent!r}; see `tropism evaluate {directory}`"
        )
    return config


def policy_of(directory: Path, config: dict[str, Any]) -> Path:
    """The directory of the trained policy.

    Raises:
        ArtifactError: training did not finish; the text tells how to go on.
    """
    if not (directory / POLICY).exists():
        raise ArtifactError(
            f"{directory} holds no trained policy: training did not finish; resume it with `{_command(directory, config)}`"
        )
    return directory / POLICY


def task_of(directory: Path, config: dict[str, Any]) -> Task:
    """What was trained on.

    Raises:
        UnknownNameError: nobody registered the environment.
        ArtifactError: the environment refuses its options.
    """
    import gymnasium

    import tropism.envs  # noqa: F401  registers the ids
    from tropism.agents.contract import Task
    from tropism.agents.plugins import default_host

    default_host().register_envs()
    if config["env_id"] not in gymnasium.registry:
        raise UnknownNameError("environment", config["env_id"], gymnasium.registry)
    task = Task(config["env_id"], config["env_options"])
    try:
        task.spaces()
    except (TypeError, ValueError, TropismError) as error:
        raise ArtifactError(
            f"{directory / CONFIG} is damaged: {task.env_id} does not take {task.kwargs}: {error}"
        ) from error
    return task


def _command(directory: Path, config: dict[str, Any]) -> str:
    """What began the run."""
    parts = ["tropism", "train", config["agent"], config["env_id"]]
    parts += ["--steps", str(config["env_steps"]), "--seed", str(config["seed"])]
    parts += ["--out", str(directory)]
    for option, name in (("--set", "options"), ("--env", "env_options")):
        parts += [part for k, v in config[name].items() for part in (option, f"{k}={_text(v)}")]
    return shlex.join(parts)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
