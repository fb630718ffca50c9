"""The policy at play: a packed model over a store of experts, for any number of lanes."""

from __future__ import annotations

import os
import secrets
import shutil
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax

from tropism.agents.artifacts import TEMPORARY, sync_directory, write_atomic
from tropism.agents.contract import BoolArray, Decision, Policy
from tropism_moe.agent_config import MoEConfig
from tropism_moe.calibration import Calibration
from tropism_moe.choices import Choices
from tropism_moe.encoders import Encoder
from tropism_moe.ensemble import decide
from tropism_moe.pack import PART, SETTINGS, STORE
from tropism_moe.serving import Served, forget
from tropism_moe.voices import Voices

CALIBRATION = "calibration.json"


class MoEPolicy(Policy):
    """Acts by the nearest experts; in the costly mode, which ``gate`` imposes, by all perspectives of the routing.

    ``compute`` counts passes: one, or one for each perspective.  The diagnostic ``confidence`` is that of the answer, calibrated if
    held-out episodes were played.

    Args:
        directory: of the packed model.
        config: of the agent.
        encoder: of observations.
        choices: of actions.
        record: of the task's spaces.
    """

    def __init__(
        self,
        directory: Path,
        config: MoEConfig,
        encoder: Encoder,
        choices: Choices,
        record: Mapping[str, str],
    ) -> None:
        self.directory, self.config, self.record = Path(directory), config, dict(record)
        self.encoder, self.choices = encoder, choices
        mode, budget = ("ring", config.budget_mb << 20) if config.budget_mb else ("mmap", None)
        self.served = Served.open(self.directory, mode, budget, config.tolerance)  # pyright: ignore[reportArgumentType]
        weakref.finalize(self, self.served.close)  # nobody tells a policy when it is over
        self.calibration = _calibration(self.directory)
        self._state: Any = None
        self._voices: Voices | None = None

    def reset(self, mask: BoolArray, seeds: npt.NDArray[np.uint64]) -> None:
        """Begin an episode in the lanes of ``mask``."""
        if self._voices is None or len(self._voices.lanes) != len(mask):
            self._state = self.served.begin(len(mask))
            self._voices = Voices(len(mask))
            mask = np.ones(len(mask), np.bool_)
        self._state = forget(self._state, mask)
        self._voices.reset(mask, seeds)

    def act(
        self,
        observation: Any,
        info: Mapping[str, Any],  # noqa: ARG002  all it needs is shown
        gate: BoolArray | None = None,
    ) -> Decision:
        """What the nearest experts say; where ``gate`` says so, what all perspectives come to."""
        if self._voices is None:
            raise RuntimeError(
                "MoEPolicy.act() before reset(); call policy.reset(mask, seeds) first"
            )
        seen, before = self.encoder(observation), self._state
        outputs, self._state = self.served.step(seen, before)
        asked = np.zeros(len(seen), np.bool_) if gate is None else np.asarray(gate)
        action = self.choices.best(outputs)
        facts = {"mode": asked.astype(np.int64)}
        log_probs = None
        if len(self.choices.counts) == 1:
            log_probs = log_softmax(outputs, -1).astype(np.float32)
            confidence, apart = np.exp(log_probs.max(-1)), np.zeros(len(seen))
            rows = np.flatnonzero(asked)
            if len(rows):
                said = self._voices.ask(self.served, seen, before, rows)
                found = decide(log_softmax(np.concatenate([outputs[None, rows], said]), -1))
                action[rows] = found.action + self.choices.first
                confidence[rows], apart[rows] = found.confidence, found.disagreement
            facts |= {"confidence": self._calibrated(confidence), "disagreement": apart}
        compute = np.where(asked & (log_probs is not None), Voices.PASSES + 1, 1)
        return Decision(action, compute.astype(np.int64), log_probs, facts)

    def save(self, directory: Path) -> None:
        """Write model, store, settings and spaces."""
        directory = Path(directory)
        for name in (f"{PART}.safetensors", f"{PART}.json", STORE, SETTINGS):
            _copy(self.directory / name, directory / name)
        if self.calibration:
            write_atomic(directory / CALIBRATION, self.calibration.to_json())

    def _calibrated(self, confidence: npt.NDArray[Any]) -> npt.NDArray[Any]:
        confidence = np.clip(confidence, 0, 1)
        return self.calibration.apply(confidence) if self.calibration else confidence


def _calibration(directory: Path) -> Calibration | None:
    path = directory / CALIBRATION
    return Calibration.from_json(path.read_text()) if path.exists() else None


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
