"""Heads and positions of experts that adapt at play, of each lane its own, so that no lane touches another.

A head learns by gradients from the latest steps.  Positions learn by trial: now and then a step whose outcome is known is asked
again by candidates of an evolution strategy, from the state it began with.  What moves is an offset of each expert that is added
to its position in every layer: a table a layer would be more parameters than can adapt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import log_softmax

from tropism.agents.contract import BoolArray
from tropism.errors import OptionError
from tropism_moe.adaptation import LIMIT, Adapter
from tropism_moe.adaptation_config import AdaptationConfig
from tropism_moe.adaptation_head import cross_entropy, policy_gradient
from tropism_moe.agent_config import MoEConfig
from tropism_moe.lattice import Indices
from tropism_moe.proofs import Proof
from tropism_moe.serving import Chooser, Served, State
from tropism_moe.serving_layers import Floats
from tropism_moe.serving_state import take

TRIALS = 4
"""Steps that the candidates of a generation are tried on."""


class Step(NamedTuple):
    """A step of ``B`` lanes as the network took it.

    Attributes:
        seen: what it was shown, ``float32[B, inputs]``.
        before: its state before.
        features: latents that the head read, ``float32[B, D]``.
        outputs: of the head, ``float32[B, V]``.
    """

    seen: Floats
    before: State
    features: Floats
    outputs: Floats


class Adapting:
    """What ``B`` lanes have made of the head, of the positions of experts, or of both.

    Args:
        served: the model.
        config: of the agent; ``adapt`` says what adapts.
        told: whether the right answer is shown; else rewards teach.
        lanes: ``B``.

    Attributes:
        passes: of the network that trials have taken, ``int64[B]``.

    Raises:
        OptionError: more than 2,048 parameters of a lane would adapt.
    """

    def __init__(self, served: Served, config: MoEConfig, told: bool, lanes: int) -> None:
        self._served, self._told, self._every = served, told, config.adapt_every
        self._head = torch.from_numpy(served.heads) if config.adapt in ("head", "both") else None
        moves = config.adapt in ("positions", "both")
        self._start = np.zeros((served.config.experts, 3)) if moves else None
        outputs, width = served.heads.shape
        self._settings = settings(config, outputs, width, served.config.experts)
        self._loss = cross_entropy if told else policy_gradient
        self._adapters = [self._adapter(0) for _ in range(lanes)]
        self._tried: list[list[Floats]] = [[] for _ in range(lanes)]
        self._steps, self.passes = np.zeros((2, lanes), np.int64)

    @property
    def size(self) -> int:
        """Parameters of a lane that adapt."""
        return self._adapters[0].size

    def reset(self, mask: BoolArray, seeds: npt.NDArray[np.uint64]) -> None:
        """Episodes begin in the lanes of ``mask``, from what was trained."""
        for lane in np.flatnonzero(mask):
            self._adapters[lane], self._tried[lane] = self._adapter(int(seeds[lane])), []
            self._steps[lane] = self.passes[lane] = 0

    @property
    def choose(self) -> Chooser | None:
        """Chooses experts by the positions of each lane; None where those stay."""
        if self._start is None:
            return None
        return self._by(np.stack([a.positions.positions for a in self._adapters if a.positions]))

    def say(self, outputs: Floats, features: Floats, rows: Indices) -> Floats:
        """Outputs ``float32[R, V]`` of some lanes, as their heads have changed."""
        if self._head is None:
            return outputs
        pairs = zip(rows, torch.from_numpy(features).split(1), strict=True)
        change = [self._adapters[lane].head.change(x).numpy() for lane, x in pairs]
        return outputs + np.concatenate(change)

    def learn(self, step: Step, proof: Proof) -> None:
        """Learn from a step what came of it, in every lane where something did."""
        known = proof.right >= 0 if self._told else proof.beyond != 0
        for lane in np.flatnonzero(known).tolist():
            targets = self._targets(step, proof, lane)
            adapter, due = self._adapters[lane], self._steps[lane] % self._every == 0
            self._steps[lane] += 1
            if self._head is not None:
                adapter.observe(torch.from_numpy(step.features[lane : lane + 1]), targets)
                if due:
                    adapter.step()
            if adapter.positions and due:
                self._try(step, lane, targets)

    def _targets(self, step: Step, proof: Proof, lane: int) -> torch.Tensor:
        """Of one lane for the loss, ``[1, ...]``."""
        if self._told:
            return torch.tensor([[proof.right[lane]]])
        before = log_softmax(step.outputs[lane])[proof.taken[lane]]
        return torch.tensor([[proof.taken[lane], before, proof.beyond[lane]]], dtype=torch.float32)

    def _try(self, step: Step, lane: int, targets: torch.Tensor) -> None:
        """Ask the step again by every candidate; after a few trials the positions move."""
        adapter = self._adapters[lane]
        assert adapter.positions
        candidates = adapter.positions.candidates()
        rows = np.full(len(candidates), lane)
        outputs, _ = self._served.step(step.seen[rows], take(step.before, rows), self._by(candidates))  # fmt: skip
        outputs = torch.from_numpy(self.say(outputs, self._served.features, rows))
        self._tried[lane].append(self._loss(outputs, targets.expand(len(rows), -1)).numpy())
        self.passes[lane] += len(rows)
        if len(self._tried[lane]) == TRIALS:
            adapter.positions.select(np.mean(self._tried[lane], 0))
            self._tried[lane] = []

    def _by(self, offsets: npt.NDArray[np.float64]) -> Chooser:
        """Chooses experts by offsets ``float64[R, E, 3]`` of their positions."""

        def choose(z: Floats, positions: Floats, layers: Sequence[int]) -> Indices:
            return self._served.nearest(z, positions + offsets[:, None], layers)

        return choose

    def _adapter(self, seed: int) -> Adapter:
        return Adapter(self._head, replace(self._settings, seed=seed), self._start, self._loss)


def settings(config: MoEConfig, outputs: int, width: int, experts: int) -> AdaptationConfig:
    """Of a lane's adaptation, for a head of ``outputs`` by ``width``; a rank of 0 is the highest that fits.

    Raises:
        OptionError: the rank does not, or not even 1.
    """
    coordinates = 3 * experts if config.adapt in ("positions", "both") else 0
    most = min(outputs, width, (LIMIT - coordinates) // (outputs + width))
    rank = config.adapt_rank or most
    if not 1 <= rank <= most:
        raise OptionError(
            f"adapt={config.adapt!r}, adapt_rank={config.adapt_rank}: for {outputs} outputs, width {width} and {coordinates} "
            f"coordinates of experts the rank is at most {most}, as no more than {LIMIT} parameters may adapt; lower it, or the width"
        )
    return AdaptationConfig(
        rank=rank,
        directions=config.adapt_directions,
        learning_rate=config.adapt_rate,
        sigma=config.position_sigma,
        position_rate=config.position_rate,
    )
