"""The council at play: one pass a step, and a thought where the gate asks for it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tropism.agents.contract import BoolArray, Decision, Policy
from tropism.envs.patternworld.observation import read
from tropism_council.adapting import Adapting
from tropism_council.config import CouncilConfig
from tropism_council.council import coherence
from tropism_council.gate import (
    MOST_SURPRISE,
    Signals,
    disagreement,
    fade,
    features,
    follow,
)
from tropism_council.network import Network, Read, Sizes, State
from tropism_council.store import save_policy
from tropism_council.telemetry import LEAST_NORM, LEAST_SCALE, encode
from tropism_council.tokens import Reader, Tokens


@dataclass
class Lanes:
    """What ``B`` lanes remember.

    Attributes:
        reader: finds what is new.
        state: of the network.
        itself: of the telemetry's reader, ``float[B, D]``.
        signals: for the gate.
        adapting: what System 1 has learned within the episodes; ``None`` without an editor.
        expected: the network's own last log-probabilities, ``float[B, V]``; ``None`` before the first answer.
        said: those of System 1 as it has adapted.
        fresh: lanes that have not answered yet, ``bool[B]``.
    """

    reader: Reader
    state: State
    itself: Tensor
    signals: Signals
    adapting: Adapting | None
    expected: Tensor | None
    said: Tensor | None
    fresh: BoolArray

    def reset(self, mask: BoolArray, begun: Signals) -> None:
        """Forget all in the lanes of ``mask``, whose signals are those of ``begun``."""
        where = torch.from_numpy(mask)
        self.reader.reset(mask)
        self.state = self.state.forget(where)
        self.itself = self.itself.masked_fill(where[:, None], 0)
        mixed = (_choose(where, new, old) for new, old in zip(begun, self.signals, strict=True))
        self.signals = Signals(*mixed)
        if self.adapting:
            self.adapting.reset(where)
        self.fresh = self.fresh | mask


class CouncilPolicy(Policy):
    """Acts for any number of lanes, which do not touch one another.

    ``compute`` counts passes: 1 for System 1's, and one for every step of every voice.
    """

    def __init__(
        self, network: Network, config: CouncilConfig, sizes: Sizes, spaces: Mapping[str, str]
    ) -> None:
        self.network, self.config, self.sizes, self.spaces = network, config, sizes, dict(spaces)
        self._lanes: Lanes | None = None

    def reset(self, mask: BoolArray, seeds: npt.NDArray[np.uint64]) -> None:  # noqa: ARG002  nothing is drawn
        """Begin an episode in the lanes of ``mask``."""
        if self._lanes is None or len(self._lanes.fresh) != len(mask):
            self._lanes = self._begin(len(mask))
        else:
            self._lanes.reset(mask, self._signals(len(mask)))

    def forget(self) -> None:
        """Give up the lanes, as if none had begun."""
        self._lanes = None

    @torch.no_grad()
    def act(
        self,
        observation: Any,
        info: Mapping[str, Any],  # noqa: ARG002  all it needs is shown
        gate: BoolArray | None = None,
    ) -> Decision:
        """System 1's answer, or System 2's where ``gate`` (by default the network's own) says so."""
        lanes = self.lanes
        shown = read(observation)
        tokens = lanes.reader.read(shown)
        self._be_surprised(tokens)
        plastic = self.network.telemetry.plasticity(lanes.itself)[:, None]
        seen, lanes.state = self.network.read(tokens, last_columns(tokens), lanes.state, plastic)
        reflex = self.network.reflex(seen.latents[:, 0])
        known = features(reflex, lanes.itself, lanes.signals)
        score, gain = self.network.gate.score(known)
        thinks = score > self.network.gate.threshold if gate is None else torch.from_numpy(gate)
        lanes.said = lanes.adapting.say(seen, reflex) if lanes.adapting else reflex
        answer, facts = self._answer(seen, lanes.said, thinks, score if gate is None else None)
        self._remember(reflex, answer, thinks)
        if lanes.adapting:
            lanes.adapting.remember(seen, answer, thinks)
            facts["edit"] = lanes.adapting.verdict
        return Decision(
            action=answer.argmax(-1).numpy(),
            compute=(1 + facts["steps"] * self.config.voices).numpy(),
            log_probs=answer.numpy(),
            diagnostics={
                "mode": thinks.numpy().astype(np.int64),
                "score": score.numpy(),
                "expected_gain": gain.numpy(),
                "entropy": known[:, 0].numpy(),
                "surprise": lanes.signals.surprise.numpy(),
                **{key: value.numpy() for key, value in facts.items()},
            },
        )

    def save(self, directory: Path) -> None:
        """Write weights, settings and spaces."""
        save_policy(directory, self)

    @property
    def lanes(self) -> Lanes:
        """What the current lanes remember.

        Raises:
            RuntimeError: before the first :meth:`reset`.
        """
        if self._lanes is None:
            raise RuntimeError(
                "CouncilPolicy.act() before reset(); call policy.reset(mask, seeds) first"
            )
        return self._lanes

    # -- details --------------------------------------------------------------------------------------------

    def _answer(
        self, seen: Read, reflex: Tensor, thinks: Tensor, score: Tensor | None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The answers of all lanes, and by lane how many steps the council took and how far its voices agreed.

        The gate's score says how long it thinks; None if it was told to.
        """
        steps = torch.zeros(len(reflex), dtype=torch.int64)
        agreed, recalled = torch.ones(len(reflex)), torch.zeros(len(reflex))
        rows = thinks.nonzero()[:, 0]
        if len(rows):
            thought = self.network.think(
                seen.rows(rows), torch.zeros(len(rows), 1, dtype=torch.int64)
            )
            patience = None if score is None else self.network.gate.patience(score[rows])[:, None]
            taken = thought.steps(patience)[:, 0]
            here = torch.arange(len(rows))
            reflex = reflex.index_copy(0, rows, thought.log_probs[taken - 1, here, 0])
            steps[rows] = taken
            agreed[rows] = coherence(thought.voices[taken - 1, here, 0])
            recalled[rows] = thought.recalled[taken - 1, here, 0]
        return reflex, {"steps": steps, "coherence": agreed, "memory": recalled}

    def _begin(self, lanes: int) -> Lanes:
        """Lanes that have seen nothing."""
        network = self.network
        return Lanes(
            Reader(lanes, self.sizes.tokens - 1, False),
            network.begin(lanes),
            network.telemetry.begin(lanes),
            self._signals(lanes),
            self._adapting(lanes),
            None,
            None,
            np.ones(lanes, np.bool_),
        )

    def _signals(self, lanes: int) -> Signals:
        return Signals.begin(lanes, self.config.width, self.network.gate.typical)

    def _adapting(self, lanes: int) -> Adapting | None:
        """Lanes that have learned nothing yet, if there is an editor."""
        network = self.network
        if network.editor is None:
            return None
        return Adapting(network, network.editor, lanes, self.config.edit_rate)

    def _be_surprised(self, tokens: Tokens) -> None:
        """How surprising the answer to the last question was: to the network, for the gate, and to System 1 as it has adapted."""
        lanes = self.lanes
        if lanes.expected is None or lanes.said is None:
            return
        fresh = torch.from_numpy(lanes.fresh)
        came = torch.from_numpy(tokens.value[np.arange(len(fresh)), tokens.new.argmax(1)])
        surprise = own = _surprise(lanes.expected, came)
        if lanes.said is not lanes.expected:
            own = _surprise(lanes.said, came)
        newest = _choose(fresh, torch.full_like(surprise, MOST_SURPRISE), surprise)
        before = _choose(fresh, newest, lanes.signals.surprise)
        lanes.signals = lanes.signals._replace(surprise=newest, surprise_before=before)
        told = (came < lanes.said.shape[1]) & ~fresh
        self._measure(lanes.said, own, self._judge(came, told), fresh)
        if lanes.adapting:
            lanes.adapting.propose(lanes.itself)

    def _judge(self, came: Tensor, told: Tensor) -> Tensor:
        """The last edit as telemetry, ``float[B, 2]``."""
        if self.lanes.adapting:
            return self.lanes.adapting.judge(came, told)
        return torch.tensor([LEAST_NORM, math.log10(LEAST_SCALE)]).expand(len(came), 2)

    def _measure(self, p: Tensor, surprise: Tensor, edit: Tensor, fresh: Tensor) -> None:
        """Read the telemetry of the last step, whose answer had the log-probabilities ``p``; lanes that begin have none."""
        lanes = self.lanes
        entropy = -(p.exp() * p).sum(-1) / math.log(p.shape[-1])
        values = torch.cat([torch.stack([surprise, entropy], -1), edit], -1)
        _, after = self.network.telemetry(encode(values)[:, None], lanes.itself)
        lanes.itself = _choose(fresh, lanes.itself, after)

    def _remember(self, reflex: Tensor, answer: Tensor, thinks: Tensor) -> None:
        lanes = self.lanes
        lanes.expected, lanes.fresh = reflex, np.zeros(len(reflex), np.bool_)
        apart = torch.where(
            thinks,
            disagreement(reflex, answer),
            fade(lanes.signals.disagreement, self.network.gate.typical),
        )
        usual = follow(lanes.signals.usual, lanes.itself)
        lanes.signals = lanes.signals._replace(usual=usual, disagreement=apart)


def last_columns(tokens: Tokens) -> Tensor:
    """The column of the last token of a single step, ``int64[B, 1]``."""
    lanes, width = tokens.value.shape
    return torch.full((lanes, 1), width - 1)


def _surprise(log_probs: Tensor, came: Tensor) -> Tensor:
    """Nats, ``float[B]``, by which the answers that came (``int64[B]``) were unlikely, by log-probabilities ``float[B, V]``."""
    known = came.clamp(max=log_probs.shape[1] - 1)  # a lane that begins may show the masked token
    return (-log_probs.gather(1, known[:, None])[:, 0]).clamp(max=MOST_SURPRISE)


def _choose(mask: Tensor, new: Tensor, old: Tensor) -> Tensor:
    """``new`` in the lanes of ``mask``, ``old`` in the others."""
    return torch.where(mask.view(-1, *[1] * (new.dim() - 1)), new, old)
