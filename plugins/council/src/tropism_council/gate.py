"""When to think: a learned estimate of what the council would gain, compared with a calibrated threshold.

The features are what is known before it is decided: how unsure System 1 is, how surprised it was by the last two answers, how
far its belief has moved from what is usual, and how far System 2 differed when it was last asked.  The gate learns, from questions that were put
to both systems at random, by how much likelier System 2 found the right answer.  In nats the gains at a switch, which neither
system can foresee, would drown all others.  The threshold is the quantile of its estimates on held-out episodes that spends the
budget.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tropism_council.config import SIGNALS

FEATURES = SIGNALS["all"]
MOST_SURPRISE = 10.0
"""Surprises are cut at this many nats, and divided by it."""
LEAST_SPREAD = 1e-3
SQUARES = 10.0
"""Weight of a squared error beside a log-likelihood."""
FORGET = 0.9
"""How much of a remembered disagreement a step leaves."""
USUAL = 0.5
"""How much of what is usual a step leaves."""
FINELY = 30.0
"""How much finer small features are told apart than great ones: it reads ``log(1 + 30 x)``."""
LEVELS, PATIENCE = 8, (0.2, 0.9)
"""Levels of scores above the threshold, and the chance of having halted at which the council stops: below them all, above them all."""
SLOWLY = 0.99
"""How much of the typical disagreement an update leaves."""


class Signals(NamedTuple):
    """What a lane remembers for its gate, each ``float[B]`` but ``usual``, ``float[B, D]``, a slow mean of beliefs."""

    surprise: Tensor
    surprise_before: Tensor
    usual: Tensor
    disagreement: Tensor

    @classmethod
    def begin(cls, lanes: int, width: int, typical: Tensor) -> Signals:
        """Nothing known: as surprised as can be, and a ``typical`` disagreement, a scalar."""
        most = torch.full((lanes,), MOST_SURPRISE)
        return cls(most, most, torch.zeros(lanes, width), typical.repeat(lanes))


def features(log_probs: Tensor, belief: Tensor, signals: Signals) -> Tensor:
    """``float[..., 5]`` in [0, 1] or about it, in the order of :data:`FEATURES`.

    Args:
        log_probs: of System 1, ``float[..., V]``.
        belief: what the agent knows of itself or its world, ``float[..., D]``; the self-latent where there is telemetry.
        signals: what was remembered.
    """
    answers = log_probs.shape[-1]
    entropy = -(log_probs.exp() * log_probs).sum(-1) / torch.log(torch.tensor(float(answers)))
    moved = (belief - signals.usual).square().mean(-1).sqrt()
    cut = [s.clamp(0, MOST_SURPRISE) / MOST_SURPRISE for s in signals[:2]]
    return torch.stack([entropy, *cut, moved, signals.disagreement], -1)


def disagreement(one: Tensor, other: Tensor) -> Tensor:
    """Total variation of two answers' log-probabilities, ``float[...]`` in [0, 1]."""
    return (one.exp() - other.exp()).abs().sum(-1) / 2


def fade(apart: Tensor, typical: Tensor, steps: Tensor | int = 1) -> Tensor:
    """What is left of a remembered disagreement after some steps: it becomes the typical one, not none.

    A gate that forgot towards none would take not having asked for agreement, and never ask again.
    """
    return typical + (apart - typical) * FORGET**steps


def known(
    reflex: Tensor, belief: Tensor, nll: Tensor, asked: tuple[Tensor, Tensor], typical: Tensor
) -> Tensor:
    """What the gate would have seen at every step of a stretch, ``float[B, T, 5]``.

    Args:
        reflex: System 1's log-probabilities, ``float[B, T, V]``.
        belief: at each step, ``float[B, T, D]``.
        nll: surprises by the answers, ``float[B, T]``.
        asked: steps at which both systems were asked, ascending, ``int64[B, Q]``, and their disagreement there, ``float[B, Q]``.
        typical: disagreement, a scalar.
    """
    surprise = _later(nll, MOST_SURPRISE)
    signals = Signals(
        surprise,
        _later(surprise, MOST_SURPRISE),
        _usual(belief),
        _remembered(asked, nll, typical),
    )
    return features(reflex, belief, signals)


def follow(usual: Tensor, belief: Tensor) -> Tensor:
    """What is usual after another belief, both ``float[..., D]``."""
    return torch.lerp(belief, usual, USUAL)


def _usual(belief: Tensor) -> Tensor:
    """What was usual before each step of a stretch, ``float[B, T, D]``; at first what is."""
    usual, found = belief[:, 0], []
    for now in belief.unbind(1):
        found.append(usual)
        usual = follow(usual, now)
    return torch.stack(found, 1)


def _later(x: Tensor, first: float) -> Tensor:
    """``x`` (``[B, T, ...]``) one step later."""
    return torch.cat([torch.full_like(x[:, :1], first), x[:, :-1]], 1)


def _remembered(asked: tuple[Tensor, Tensor], like: Tensor, typical: Tensor) -> Tensor:
    """The last disagreement before each step, faded by its age, ``float[B, T]``."""
    chosen, apart = asked
    steps = torch.arange(like.shape[1]).expand_as(like)
    when = torch.full(like.shape, -1).scatter(1, chosen, chosen)
    last = _later(when.cummax(1).values, -1)
    value = torch.zeros_like(like).scatter(1, chosen, apart).gather(1, last.clamp(min=0))
    age = (steps - 1 - last).clamp(min=0)
    return torch.where(last < 0, typical, fade(value, typical, age))


class Gate(nn.Module):
    """Estimates the gain of thinking, in probability of the right answer, and how far it may be off, from :func:`features`.

    From rewards it learns a gain of its own kind (:mod:`tropism_council.reinforcement`).

    Its score is an optimist's estimate, the gain and ``optimism`` spreads: where the systems may differ by much, it is worth asking
    even if neither is better on average.  It thinks where the score exceeds ``threshold``.

    Args:
        signals: which features it looks at, a key of :data:`SIGNALS`.
        optimism: how many spreads are added to a gain.
    """

    threshold: Tensor
    levels: Tensor
    typical: Tensor
    used: Tensor

    def __init__(self, signals: str = "all", optimism: float = 0.0) -> None:
        super().__init__()
        self.optimism = optimism
        used = [float(name in SIGNALS[signals]) for name in FEATURES]
        self.register_buffer("used", torch.tensor(used), persistent=False)
        self.net = nn.Sequential(nn.Linear(len(FEATURES), 32), nn.GELU(), nn.Linear(32, 2))
        self.register_buffer("threshold", torch.tensor(torch.inf))  # never, until it is calibrated
        self.register_buffer("levels", torch.full((LEVELS,), torch.inf))
        self.register_buffer("typical", torch.tensor(0.0))
        self.together: Callable[[Tensor], Tensor] = lambda mine: (
            mine
        )  # the mean over processes, where there are several

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The gain that is expected and how far it may be off, ``float[...]`` of ``float[..., 5]``."""
        fine = torch.log1p(FINELY * x * self.used) / math.log1p(FINELY)
        gain, spread = self.net(fine).unbind(-1)
        return gain, LEAST_SPREAD + F.softplus(spread)

    def score(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The optimist's estimate and the gain that is expected, each ``float[...]`` of ``float[..., 5]``."""
        gain, spread = self(x)
        return gain + self.optimism * spread, gain

    def loss(self, x: Tensor, gain: Tensor) -> Tensor:
        """Squared error of the gain that was expected, and negative log-likelihood of its size by a Laplace distribution.

        The first alone moves the estimate of the gain, which is thus a mean; of skewed gains the second would make a median.

        Args:
            x: features, ``float[..., 5]``.
            gain: as it was measured, ``float[...]``.
        """
        expected, spread = self(x)
        off = gain.clamp(-MOST_SURPRISE, MOST_SURPRISE) - expected
        return (SQUARES * off.square() + off.detach().abs() / spread + spread.log()).mean()

    @torch.no_grad()
    def heed(self, apart: Tensor) -> None:
        """Follow the mean disagreement of an update, a scalar: it is what is remembered where nothing is known."""
        self.typical.lerp_(self.together(apart), 1 - SLOWLY)

    def patience(self, score: Tensor) -> Tensor:
        """How sure the council must be that it has thought enough, ``float[...]``: the surer, the more is at stake."""
        above = (score[..., None] > self.levels).double().mean(-1)
        least, most = PATIENCE
        return (least + (most - least) * above).to(score.dtype)

    def calibrate(self, scores: Tensor, share: float) -> None:
        """Set the threshold that thinks in ``share`` of these estimates, ``float[N]``, and the levels of patience above it."""
        parts = 1 - share * torch.arange(LEVELS, 0, -1, dtype=torch.float64) / LEVELS
        self.ask_above(torch.quantile(scores.double(), parts))

    def ask_above(self, levels: Tensor) -> None:
        """Set the levels, ascending, ``float[8]``; the first is the threshold."""
        self.levels.copy_(levels)
        self.threshold.copy_(self.levels[0])
