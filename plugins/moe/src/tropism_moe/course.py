"""A course of training through all stages, that resumes where it was killed and then ends with the same weights.

Every checkpoint begins afresh: lessons and generators are seeded from the agent's seed and the steps so far, whether the run was
interrupted there or not.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from tropism.agents.contract import Budget
from tropism.agents.torch_state import optimiser_tensors, restore_optimiser, restore_weights
from tropism.errors import DivergedError
from tropism_moe.agent_config import MoEConfig
from tropism_moe.lessons import Lesson, Lessons
from tropism_moe.model import Model, State, detach, forget
from tropism_moe.stage_policy import save_network
from tropism_moe.stages import (
    STAGES,
    Losses,
    build,
    losses,
    routing_at,
    set_progress,
    total,
    upcycle,
)
from tropism_moe.store import read_part, write_part

if TYPE_CHECKING:
    from tropism.agents.runs import Run

LOG_EVERY = 20
"""Updates between two rows of metrics."""
HELD_OUT = 64
"""Seeds at the end of the training range that are kept for the calibration."""


class Course:
    """All stages.

    Args:
        lessons: to learn from.
        config: of the agent.
        budget: environment steps.
        run: gets scalars and checkpoints.
        seed: of the agent.
    """

    def __init__(
        self, lessons: Lessons, config: MoEConfig, budget: Budget, run: Run, seed: int
    ) -> None:
        self.lessons, self.config, self.run, self.seed = lessons, config, run, seed
        self.total = budget.env_steps
        self._deadline = np.inf if budget.wall_s is None else time.monotonic() + budget.wall_s
        self.steps, self.stage = 0, 0
        self.dense: Model | None = None
        self._enter(0)

    def run_all(self, update: Callable[[float], None] = lambda _: None) -> Model:
        """Learn to the end of the budget; the ternary network.

        Raises:
            DivergedError: a loss or a gradient is not a number.
        """
        self._restore()
        while self.stage < len(STAGES):
            update(self.steps)
            while self._goes_on():
                self._to_checkpoint(update)
            self._next_stage()
        return self.model

    # -- stages -----------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """Of the stage."""
        return STAGES[min(self.stage, len(STAGES) - 1)].name

    @property
    def progress(self) -> float:
        """Through the stage, in [0, 1]."""
        begin, end = self._span()
        return min(1.0, (self.steps - begin) / max(1, end - begin))

    def _span(self) -> tuple[int, int]:
        """First and last step of the stage."""
        ends = np.cumsum([0.0, *(stage.share for stage in STAGES)]) / sum(s.share for s in STAGES)
        return round(ends[self.stage] * self.total), round(ends[self.stage + 1] * self.total)

    def _enter(self, stage: int) -> None:
        """Build what a stage trains."""
        self.stage = stage
        self.model = build(self.name, self.config, *self.lessons.sizes)
        self.adam = torch.optim.AdamW(self.model.parameters(), self.config.learning_rate)

    def _next_stage(self) -> None:
        """Hand over to the next stage what this one has learned."""
        learned = self.model
        save_network(learned, self.run.directory, self.name)
        if self.stage + 1 == len(STAGES):
            self.stage += 1
            return
        self._enter(self.stage + 1)
        if self.name == "sparse":
            torch.manual_seed(self.seed)
            self.dense = learned.requires_grad_(False)
            upcycle(learned, self.model, self.config.noise)
        else:
            self.model.load_state_dict(learned.state_dict(), strict=False)  # shares are new

    # -- learning ---------------------------------------------------------------------------------------------

    def _goes_on(self) -> bool:
        return self.steps < self._span()[1] and time.monotonic() < self._deadline

    def _to_checkpoint(self, update: Callable[[float], None]) -> None:
        """Learn from fresh episodes up to the next checkpoint."""
        rng = np.random.default_rng([self.seed, self.stage, self.steps])
        torch.manual_seed(int(rng.integers(2**63)))
        self.lessons.begin(rng)
        self._begin()
        end, updates = min(self.steps + self.config.checkpoint_every, self._span()[1]), 0
        while self.steps < end and self._goes_on():
            lesson = self.lessons.next(self.config.stretch, self._play)
            found = self._learn(lesson)
            self.steps += lesson.wanted[..., 0].numel()
            if updates % LOG_EVERY == 0:
                told = {key: x.item() for key, x in found._asdict().items()}
                self.run.log(self.steps, stage=self.stage, **told)
            updates += 1
            update(min(self.steps, self.total))
        self._checkpoint()

    def _begin(self) -> None:
        lanes = self.lessons.lanes
        self._state, self._playing = self.model.begin(lanes), self.model.begin(lanes)
        self._dense_state = self.dense.begin(lanes) if self.dense else ()

    def _learn(self, lesson: Lesson) -> Losses:
        set_progress(self.name, self.model, self.progress)
        routing = routing_at(self.name, self.progress, self.config.slack)
        taught = None
        if self.name == "ternary" and self.dense:
            with torch.no_grad():
                taught, self._dense_state = self.dense(
                    lesson.seen, self._dense_state, lesson.resets
                )
        choices = self.lessons.choices
        found, state = losses(self.model, lesson, self._state, choices, routing, taught)
        self._state = detach(state)
        self._descend(found)
        return found

    def _descend(self, found: Losses) -> None:
        for name, value in found._asdict().items():
            if not torch.isfinite(value):
                raise DivergedError(name, value.item())
        for group in self.adam.param_groups:
            group["lr"] = self.config.learning_rate * self._pace()
        self.adam.zero_grad()
        total(found, self.config).backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0).item()
        if not np.isfinite(norm):
            raise DivergedError(self.name, norm, "gradient")
        self.adam.step()

    def _pace(self) -> float:
        """Part of the learning rate: a warm-up over a fiftieth of the stage, and a fall in its second half."""
        return min(1.0, 0.02 + 50 * self.progress, max(1 / 30, 2 * (1 - self.progress)))

    @torch.no_grad()
    def _play(self, seen: npt.NDArray[np.float32], began: npt.NDArray[np.bool_]) -> Any:
        """The learner's own actions, in all lanes."""
        state: State = forget(self._playing, torch.from_numpy(began))
        output, self._playing = self.model(
            torch.from_numpy(seen)[:, None], state, None, routing_at(self.name, self.progress)
        )
        return self.lessons.choices.best(output.outputs[:, 0].numpy())

    # -- checkpoints ------------------------------------------------------------------------------------------

    def _checkpoint(self) -> None:
        facts = {"stage": self.stage, "steps": self.steps}
        with self.run.checkpoint_dir(self.steps) as directory:
            write_part(directory, "network", dict(self.model.state_dict()), facts)
            write_part(directory, "optimiser", optimiser_tensors(self.adam), facts)
            if self.dense:
                write_part(directory, "dense", dict(self.dense.state_dict()), facts)

    def _restore(self) -> None:
        """Go on from the latest checkpoint, if there is one."""
        where = self.run.latest_checkpoint()
        if where is None:
            return
        weights, facts = read_part(where, "network")
        self._enter(int(facts["stage"]))
        self.steps = int(facts["steps"])
        restore_weights(self.model, weights, where)
        restore_optimiser(self.adam, read_part(where, "optimiser")[0])
        if self.stage:
            self.dense = build("dense", self.config, *self.lessons.sizes).requires_grad_(False)
            restore_weights(self.dense, read_part(where, "dense")[0], where)
