"""How sure a sparse policy is: other experts are asked the same, and their answers compared.  Pure NumPy.

Idea: seed 002, whose perspectives were three different things in three places and in its code changed no answer; here they are
overrides of the routing.  A far expert is used at the gate of the nearest one: at its own, of almost 0, it would say nothing.
``K`` perspectives, ``V`` actions or tokens.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.typing import ArrayLike
from scipy.special import rel_entr

from tropism.errors import OptionError
from tropism_moe.lattice import Floats, Indices, squared_distance

PERSPECTIVES = ("nearest", "second", "antipode", "random")
"""The nearest expert, the second nearest, the nearest to ``z + 1/2``, and any of them."""

THRESHOLD = 0.15
"""Disagreement from which on answers are counted (seed 002; set it by held-out rollouts)."""


def perspectives(position: ArrayLike, positions: ArrayLike, rng: np.random.Generator) -> Indices:
    """The expert of each query in each of :data:`PERSPECTIVES`, ``int64[4, ...]``; of equally near ones the first.

    Args:
        position: of the queries, ``float[..., 3]``.
        positions: of the experts, ``float[..., E, 3]``, at least two.
        rng: of the random perspective.

    Raises:
        tropism.errors.OptionError: if there is only one expert.
    """
    query, positions = np.asarray(position, np.float64)[..., None, :], np.asarray(positions)
    experts = positions.shape[-2]
    if experts < 2:
        raise OptionError(f"perspectives of routing: expected at least 2 experts, got {experts}")
    order = squared_distance(query, positions).argsort(-1, kind="stable")
    nearest, second = order[..., 0], order[..., 1]
    antipode = squared_distance(query + 0.5, positions).argmin(-1)
    return np.stack([nearest, second, antipode, rng.integers(experts, size=nearest.shape)])


def disagreement(log_probabilities: ArrayLike) -> Floats:
    """Jensen-Shannon divergence (Lin 1991) of ``K`` answers over the most it can be, ``ln min(K, V)``: ``float64[...]``.

    From 0, where all are the same, to 1, where none shares an action with another.

    Args:
        log_probabilities: ``float[K, ..., V]``, ``K`` and ``V`` at least 2; -inf is allowed.

    Raises:
        tropism.errors.OptionError: for fewer answers, or if they are no log-probabilities.
    """
    p = _probabilities(log_probabilities)
    divergence = rel_entr(p, p.mean(0)).sum(-1).mean(0)
    return np.clip(divergence / np.log(min(p.shape[0], p.shape[-1])), 0, 1)


class Decision(NamedTuple):
    """What several answers come to.

    Attributes:
        action: ``int64[...]``.
        confidence: mean probability of the action over the perspectives, ``float64[...]`` in [0, 1]; to be calibrated.
        disagreement: ``float64[...]`` in [0, 1].
        settled: by agreement or by a majority, ``bool[...]``.
    """

    action: Indices
    confidence: Floats
    disagreement: Floats
    settled: npt.NDArray[np.bool_]


def decide(log_probabilities: ArrayLike, threshold: float = THRESHOLD) -> Decision:
    """Below the threshold the first perspective decides; from it on more than half of them, and if they cannot, the first.

    The confidence is that of a deep ensemble (Lakshminarayanan et al. 2016, arXiv:1612.01474).

    Args:
        log_probabilities: ``float[K, ..., V]``, the nearest experts' first.
        threshold: of the disagreement, in [0, 1].

    Raises:
        tropism.errors.OptionError: for another threshold, and as :func:`disagreement`.
    """
    if not 0 <= threshold <= 1:
        raise OptionError(
            f"threshold of disagreement: expected a number from 0 to 1, got {threshold!r}"
        )
    p, apart = _probabilities(log_probabilities), disagreement(log_probabilities)
    answers = p.argmax(-1)
    votes = (answers[..., None] == np.arange(p.shape[-1])).sum(0)
    agreed, majority = apart < threshold, 2 * votes.max(-1) > len(p)
    action = np.where(~agreed & majority, votes.argmax(-1), answers[0])
    confidence = np.take_along_axis(p.mean(0), action[..., None], -1)[..., 0]
    return Decision(action, np.clip(confidence, 0, 1), apart, agreed | majority)


def _probabilities(log_probabilities: ArrayLike) -> Floats:
    """``float64[K, ..., V]``, checked."""
    logs = np.asarray(log_probabilities, np.float64)
    if logs.ndim < 2 or min(logs.shape[0], logs.shape[-1]) < 2:
        raise OptionError(
            f"answers of perspectives: expected float[K, ..., V], K and V at least 2, got shape {logs.shape}"
        )
    p = np.exp(np.minimum(logs, 1.0))  # of 1 and more there is none, and infinity would warn
    if not np.all(np.abs(p.sum(-1) - 1) < 1e-3):
        raise OptionError(
            "answers of perspectives: expected log-probabilities, whose exponentials sum to 1, "
            f"got sums from {p.sum(-1).min():.4g} to {p.sum(-1).max():.4g}; apply log_softmax, and look for NaN"
        )
    return p
