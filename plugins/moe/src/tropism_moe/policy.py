"""The policy at play: a packed model over a store of experts, for any number of lanes."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import weakref
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax

from tropism.agents.artifacts import TEMPORARY, sync_directory, write_atomic
from tropism.agents.contract import BoolArray, Decision, Policy, Task
from tropism.agents.records import spaces_record
from tropism.errors import ArtifactError
from tropism_moe.adapting import Step
from tropism_moe.agent_config import MoEConfig
from tropism_moe.at_play import AtPlay
from tropism_moe.calibration import Calibration
from tropism_moe.choices import Choices
from tropism_moe.constraints import Constraints, Sides, masked
from tropism_moe.encoders import encoder_of
from tropism_moe.ensemble import decide
from tropism_moe.pack import PART, SETTINGS, STORE
from tropism_moe.proofs import tokens_shown
from tropism_moe.serving import Indices, Served
from tropism_moe.serving_layers import Floats
from tropism_moe.serving_state import forget
from tropism_moe.voices import Voices

CALIBRATION = "calibration.json"


class MoEPolicy(Policy):
    """Acts by the nearest experts; in the costly mode, which ``gate`` imposes, by all perspectives of the routing.

    ``compute`` counts passes: one, or one for each perspective, and those that learning at play took since the last decision.  The
    diagnostic ``confidence`` is that of the answer, calibrated if held-out episodes were played.  What ``info["action_mask"]`` or
    constraints forbid is never done.

    Args:
        directory: of the packed model.
        config: of the agent.
        task: whose observations are read and whose actions are taken.
        sides: of constraints on actions, if there are any.

    Raises:
        ArtifactError: the model is missing, damaged, or reads something else than the task shows.
        UnsupportedTaskError: the task's spaces, or options that do not go with its actions.
        OptionError: an option does not fit the model or the task.
    """

    def __init__(
        self, directory: Path, config: MoEConfig, task: Task, sides: Sides | None = None
    ) -> None:
        self.directory, self.config, self.sides = Path(directory), config, sides
        _, action = task.spaces()
        self.record, self.encoder = spaces_record(task), encoder_of(task, config.tokens)
        self.choices = Choices(action)
        self.constraints = Constraints(action, sides) if sides else None
        self._tokens, self._lifelong = tokens_shown(task), task.lifelong
        mode, budget = ("ring", config.budget_mb << 20) if config.budget_mb else ("mmap", None)
        self.served = Served.open(self.directory, mode, budget, config.tolerance)  # pyright: ignore[reportArgumentType]
        weakref.finalize(self, self.served.close)  # nobody tells a policy when it is over
        if self.served.config.inputs != self.encoder.size:
            raise ArtifactError(
                f"{directory}: its network reads {self.served.config.inputs} numbers, an observation now gives {self.encoder.size}; "
                "train it again, or play it with the version that it was trained with"
            )
        self.calibration = _calibration(self.directory)
        self.learned = self._learner(1)
        self._state: Any = None
        self._voices: Voices | None = None

    def reset(self, mask: BoolArray, seeds: npt.NDArray[np.uint64]) -> None:
        """Begin an episode in the lanes of ``mask``; in a lifelong task what was learned at play stays."""
        begins = mask & (not self._lifelong)
        if self._voices is None or len(self._voices.lanes) != len(mask):
            self._state = self.served.begin(len(mask))
            self._voices, self.learned = Voices(len(mask)), self._learner(len(mask))
            begins = mask = np.ones(len(mask), np.bool_)
        self._state = forget(self._state, mask)
        self._voices.reset(mask, seeds)
        self.learned.reset(begins, seeds)

    def act(
        self, observation: Any, info: Mapping[str, Any], gate: BoolArray | None = None
    ) -> Decision:
        """What the nearest experts say; where ``gate`` says so, what all perspectives come to."""
        if self._voices is None:
            raise RuntimeError(
                "MoEPolicy.act() before reset(); call policy.reset(mask, seeds) first"
            )
        seen, before = self.encoder(observation), self._state
        compute = 1 + self.learned.take_passes(len(seen))
        outputs, self._state = self.served.step(seen, before, self.learned.choose)
        step = Step(seen, before, self.served.features, outputs)
        outputs = masked(self.learned.say(step), info, self.choices)
        action = self.choices.best(outputs)
        if self.constraints:
            action = self.constraints.allow(action)
        asked = self._asked(gate, len(seen))
        facts = {"mode": asked.astype(np.int64)}
        if len(self.choices.counts) != 1:
            return Decision(action, compute, None, facts)
        log_probs = log_softmax(outputs, -1).astype(np.float32)
        facts |= self._settle(step, outputs, info, action, log_probs, np.flatnonzero(asked))
        return Decision(action, compute + asked * Voices.PASSES, log_probs, facts)

    def observe(
        self,
        action: Any,
        observation: Any,
        reward: npt.NDArray[np.float64],
        terminated: BoolArray,  # noqa: ARG002  a new episode announces itself by reset
        truncated: BoolArray,  # noqa: ARG002  the same
        info: Mapping[str, Any],  # noqa: ARG002  all that teaches is shown or paid
    ) -> None:
        """Learn at play, if options ask for it."""
        self.learned.learn(action, observation, reward)

    def save(self, directory: Path) -> None:
        """Write model, store, settings and spaces."""
        directory = Path(directory)
        for name in (f"{PART}.safetensors", f"{PART}.json", STORE):
            _copy(self.directory / name, directory / name)
        write_settings(directory, self.config, self.record, self.sides)
        if self.calibration:
            write_atomic(directory / CALIBRATION, self.calibration.to_json())

    def _learner(self, lanes: int) -> AtPlay:
        return AtPlay(self.served, self.config, self.choices, self._tokens, lanes)

    def _asked(self, gate: BoolArray | None, lanes: int) -> BoolArray:
        """Where all perspectives are asked; nowhere if a layer has one expert, whose only perspective has been heard."""
        if gate is None or self.served.config.experts == 1:
            return np.zeros(lanes, np.bool_)
        return np.asarray(gate)

    def _settle(
        self,
        step: Step,
        outputs: Floats,
        info: Mapping[str, Any],
        action: npt.NDArray[Any],
        log_probs: Floats,
        rows: Indices,
    ) -> dict[str, npt.NDArray[Any]]:
        """Confidence and disagreement; in some lanes the answer of all perspectives, written into ``action``."""
        assert self._voices
        confidence, apart = np.exp(log_probs.max(-1)), np.zeros(len(log_probs))
        if len(rows):

            def hear(outputs: Floats, features: Floats, rows: Indices) -> Floats:
                return masked(self.learned.echo(outputs, features, rows), info, self.choices, rows)

            said = self._voices.ask(self.served, step.seen, step.before, rows, hear)
            found = decide(log_softmax(np.concatenate([outputs[None, rows], said]), -1))
            action[rows] = found.action + self.choices.first
            confidence[rows], apart[rows] = found.confidence, found.disagreement
        return {"confidence": self._calibrated(confidence), "disagreement": apart}

    def _calibrated(self, confidence: npt.NDArray[Any]) -> npt.NDArray[Any]:
        confidence = np.clip(confidence, 0, 1)
        return self.calibration.apply(confidence) if self.calibration else confidence


def _calibration(directory: Path) -> Calibration | None:
    path = directory / CALIBRATION
    return Calibration.from_json(path.read_text()) if path.exists() else None


def write_settings(
    directory: Path, config: MoEConfig, record: Mapping[str, str], sides: Sides | None
) -> None:
    """Write what a policy is loaded by, beside its model: settings, spaces of the task, sides of constraints."""
    facts: dict[str, Any] = {"config": asdict(config), "constraints": sides, **record}
    facts["config"]["lattice"] = list(config.lattice)
    write_atomic(directory / SETTINGS, json.dumps(facts, indent=1))


def _copy(source: Path, target: Path) -> None:
    """Copy a file so that the target is whole or not there."""
    if source.resolve() == target.resolve():
        return
    work = target.parent / f"{TEMPORARY}{secrets.token_hex(8)}"
    try:
        shutil.copyfile(source, work)
        with work.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(work, target)
    finally:
        work.unlink(missing_ok=True)
    sync_directory(target.parent)
