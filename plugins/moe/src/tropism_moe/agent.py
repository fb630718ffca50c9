"""The agent: imitates a stronger one, stage by stage, and acts by a packed model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import torch

from tropism.agents.artifacts import write_atomic
from tropism.agents.contract import Agent, Budget, Policy, Task
from tropism.agents.options import build_config
from tropism.agents.plugins import default_host
from tropism.agents.records import read_record, spaces_record
from tropism.errors import UnsupportedTaskError
from tropism_moe.agent_config import MoEConfig
from tropism_moe.choices import Choices
from tropism_moe.confidence import calibrate
from tropism_moe.course import HELD_OUT, Course
from tropism_moe.encoders import make_encoder
from tropism_moe.lessons import Lessons
from tropism_moe.pack import SETTINGS, pack
from tropism_moe.policy import MoEPolicy

if TYPE_CHECKING:
    from tropism.agents.runs import Run

CALIBRATION = 0.02
"""Part of the budget that is played to calibrate the confidence."""


class MoEAgent(Agent):
    """Registered as ``moe``."""

    Config = MoEConfig
    config: MoEConfig

    def supports(self, task: Task) -> str | None:
        """``None``, or why not: several agents, spaces it cannot read or answer, or a teacher who cannot."""
        if task.agents:
            return "moe acts for one agent"
        observation, action = task.spaces()
        try:
            make_encoder(task.env_id, observation)
            Choices(action)
        except UnsupportedTaskError as error:
            return str(error)
        name = teacher_of(self.config, task)
        reason = default_host().make_agent(name).supports(task)
        return f"its teacher {name!r} cannot run it: {reason}" if reason else None

    def train(self, task: Task, budget: Budget, run: Run) -> Policy:
        """Learn ``task`` within ``budget``, from the latest checkpoint of ``run`` on.

        Raises:
            UnsupportedTaskError: if :meth:`supports` has a reason against ``task``.
            DivergedError: a loss is not a number.
        """
        if reason := self.supports(task):
            raise UnsupportedTaskError(f"moe cannot run {task.env_id}: {reason}")
        torch.set_num_threads(self.config.threads)
        held = round(CALIBRATION * budget.env_steps)
        learning = Budget(budget.env_steps - held, budget.wall_s)
        with torch.random.fork_rng(), self._lessons(task) as lessons:
            torch.manual_seed(self.seed)
            course = Course(lessons, self.config, learning, run, self.seed)
            with run.progress(learning.env_steps, f"moe {task.env_id}") as update:
                model = course.run_all(update)
            packed = run.directory / "packed"
            pack(model, packed)
            write_settings(packed, self.config, task)
            return calibrate(self.load(packed, task), lessons, task, held, self.seed)

    @classmethod
    def load(cls, directory: Path, task: Task) -> MoEPolicy:
        """The policy saved in ``directory``.

        Raises:
            ArtifactError: a part is missing, damaged, or of another task.
        """
        record = spaces_record(task)
        facts = read_record(Path(directory) / SETTINGS, record)
        config = build_config(MoEConfig, facts.get("config"), owner=str(directory))
        observation, action = task.spaces()
        encoder = make_encoder(task.env_id, observation)
        return MoEPolicy(Path(directory), config, encoder, Choices(action), record)

    @contextmanager
    def _lessons(self, task: Task) -> Iterator[Lessons]:
        observation, action = task.spaces()
        first, stop = task.train_seeds
        held = HELD_OUT if stop - first > 2 * HELD_OUT else 0
        encoder, choices = make_encoder(task.env_id, observation), Choices(action)
        teacher = teach(teacher_of(self.config, task), task)
        lessons = Lessons(task, teacher, encoder, choices, self.config.lanes, held)
        try:
            yield lessons
        finally:
            lessons.env.close()


def teacher_of(config: MoEConfig, task: Task) -> str:
    """The name of the agent that is imitated."""
    if config.teacher != "auto":
        return config.teacher
    return "ideal" if "tropism/PatternWorld-" in task.env_id else "heuristic"


def teach(name: str, task: Task) -> Policy:
    """The policy of an agent that needs no training."""
    from tropism.agents.runs import Run

    with TemporaryDirectory() as place, Run(Path(place) / "teacher", {"agent": name}) as run:
        return default_host().make_agent(name).train(task, Budget(0), run)


def write_settings(directory: Path, config: MoEConfig, task: Task) -> None:
    """Write what :meth:`MoEAgent.load` reads beside the packed model."""
    facts: dict[str, Any] = {"config": asdict(config), **spaces_record(task)}
    facts["config"]["lattice"] = list(config.lattice)
    write_atomic(directory / SETTINGS, json.dumps(facts, indent=1))
