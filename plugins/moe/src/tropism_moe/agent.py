"""The agent: imitates a stronger one, stage by stage, and acts by a packed model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from tropism.agents.contract import Agent, Budget, Policy, Task
from tropism.agents.options import build_config
from tropism.agents.records import read_record, spaces_record
from tropism.errors import UnsupportedTaskError
from tropism_moe.agent_config import MoEConfig
from tropism_moe.at_play import require
from tropism_moe.choices import Choices
from tropism_moe.confidence import calibrate
from tropism_moe.constraints import Constraints, Sides, read_sides
from tropism_moe.course import HELD_OUT, Course
from tropism_moe.encoders import encoder_of
from tropism_moe.lessons import Lessons
from tropism_moe.pack import SETTINGS, pack
from tropism_moe.policy import MoEPolicy, write_settings
from tropism_moe.teachers import privileged, refusal, teach, teacher_of
from tropism_moe.token_lessons import TokenLessons, why_not

if TYPE_CHECKING:
    from tropism.agents.runs import Run

CALIBRATION = 0.02
"""Part of the budget that is played to calibrate the confidence."""


class MoEAgent(Agent):
    """Registered as ``moe``."""

    Config = MoEConfig
    config: MoEConfig

    def supports(self, task: Task) -> str | None:
        """``None``, or why not: several agents, spaces it cannot read or answer, options that do not go with them, or a teacher who cannot.

        Raises:
            OptionError: an option does not fit the task, or its file of constraints cannot be read.
        """
        if task.agents:
            return "moe acts for one agent"
        _, action = task.spaces()
        try:
            if self.config.tokens and (reason := why_not(task)):
                return reason
            encoder_of(task, self.config.tokens)
            require(self.config, Choices(action))
            sides = self._sides()
            _ = sides and Constraints(action, sides)
        except UnsupportedTaskError as error:
            return str(error)
        return refusal(teacher_of(self.config.teacher, task), task)

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
            write_settings(packed, self.config, spaces_record(task), self._sides())
            return calibrate(self.load(packed, task), lessons, task, held, self.seed)

    @classmethod
    def load(cls, directory: Path, task: Task, **options: Any) -> MoEPolicy:
        """The policy saved in ``directory``.

        Args:
            directory: where it was saved.
            task: that it was trained for.
            options: of play, to be laid over those it was saved with: the same model with and without a memory, say.

        Raises:
            ArtifactError: a part is missing, damaged, or of another task.
            tropism.errors.TropismError: an option does not exist, is out of range, or does not go with the task.
        """
        facts = read_record(Path(directory) / SETTINGS, spaces_record(task))
        saved = facts.get("config") or {}
        config = build_config(MoEConfig, {**saved, **options}, owner=str(directory))
        sides = facts.get("constraints")
        if "constraints" in options:
            sides = read_sides(config.constraints) if config.constraints else None
        return MoEPolicy(Path(directory), config, task, sides)

    def _sides(self) -> Sides | None:
        """Of the constraints in the file that an option names."""
        return read_sides(self.config.constraints) if self.config.constraints else None

    @contextmanager
    def _lessons(self, task: Task) -> Iterator[Lessons]:
        _, action = task.spaces()
        first, stop = task.train_seeds
        held = HELD_OUT if stop - first > 2 * HELD_OUT else 0
        encoder, choices = encoder_of(task, self.config.tokens), Choices(action)
        name, lanes = teacher_of(self.config.teacher, task), self.config.lanes
        teacher = teach(name, task)
        kind = TokenLessons if self.config.tokens else Lessons
        lessons = kind(task, teacher, encoder, choices, lanes, held, privileged(name))
        try:
            yield lessons
        finally:
            lessons.env.close()
