"""Who is imitated: an agent that needs no training, or what a run of another agent left."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from tropism.agents import plugins
from tropism.agents.contract import Agent, Budget, Policy, Task
from tropism.agents.runs import Run, load_policy
from tropism.agents.trained import CONFIG, policy_of, read_training


def teacher_of(name: str, task: Task) -> str:
    """The teacher that ``auto`` stands for, or ``name`` itself."""
    if name != "auto":
        return name
    return "ideal" if "tropism/PatternWorld-" in task.env_id else "heuristic"


def refusal(name: str, task: Task) -> str | None:
    """Why the teacher cannot run ``task``, or ``None``.

    Raises:
        UnknownNameError: there is no such agent, and ``name`` is no run directory.
        ArtifactError: it is a run directory that is damaged.
    """
    reason = _agent(name).supports(task)
    return f"its teacher {name!r} cannot run it: {reason}" if reason else None


def privileged(name: str) -> bool:
    """Whether the teacher is told what its pupil is not (learning by cheating, Chen et al. 2019, arXiv:1912.12294)."""
    return _agent(name).privileged


def teach(name: str, task: Task) -> Policy:
    """The policy of an agent that needs no training, by its name, or of a run, by its directory.

    Raises:
        ArtifactError: the run has no policy, or one of another task.
    """
    agent = _agent(name)
    if _is_run(name):
        place = Path(name)
        return load_policy(type(agent), policy_of(place, read_training(place)), task)
    with TemporaryDirectory() as place, Run(Path(place) / "teacher", {"agent": name}) as run:
        return agent.train(task, Budget(0), run)


def _is_run(name: str) -> bool:
    return (Path(name) / CONFIG).is_file()


def _agent(name: str) -> Agent:
    if not _is_run(name):
        return plugins.default_host().make_agent(name)
    told = read_training(Path(name))
    return plugins.default_host().make_agent(told["agent"], told["options"])
