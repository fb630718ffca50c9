"""Exact ideal observers: the posterior over PatternWorld's hidden state given everything an agent is shown.

The hidden state is (regime, age of the regime) where the last token is known to the agent (``reveal`` and
``closed``), and (regime, age, last tokens) where it is masked (``bandit`` and ``probe``).  The filter is the
forward algorithm of a hidden Markov model (L. Rabiner, "A Tutorial on Hidden Markov Models", Proc. IEEE 77(2),
1989), with the transition of :mod:`tropism.envs.patternworld.observer_law` and the emission
``P(y | f) = (1 - noise) [y = f] + noise / V``.

Exact is the *belief*.  Answering by it is optimal in ``reveal`` mode, where an answer changes nothing.  In the
other modes an answer also buys information, so the best policy is that of a partially observable decision
process, which is not computed here: :mod:`tropism.envs.patternworld.baselines` answers greedily there.

Of the ten tiers in four feedback modes two have no exact belief here, Recur in ``bandit`` and in ``probe``:
which 4 of 32 rules are active, which of them is in use and what the masked token is make 35,960 × 4 × 97 =
13,952,480 states, none of which a wrong answer rules out.  :func:`not_computable` tells for any parameters.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt

from tropism.envs.patternworld.observation import Seen, num_rules, read
from tropism.envs.patternworld.observer_law import (
    FloatArray,
    IndexArray,
    count_arrangements,
    num_ages,
)
from tropism.envs.patternworld.params import Params
from tropism.envs.patternworld.rules import library
from tropism.errors import OptionError

MAX_STATES = 5_000_000
"""Hidden states of one lane beyond which an exact filter is refused: 40 MB and some 50 ms a step."""


def hidden_tokens(params: Params) -> bool:
    """Whether the agent may lose sight of the last token."""
    return params.feedback in ("bandit", "probe")


def num_states(params: Params) -> int:
    """Hidden states that an exact filter of one lane has to weigh."""
    if params.family == "hop":
        return 1
    states = count_arrangements(params) * (params.active_rules or library(params).num_rules)
    if hidden_tokens(params):
        states *= params.vocabulary ** (2 if params.family == "order2" else 1)
    return states * num_ages(params)


def not_computable(params: Params) -> str | None:
    """Why there is no exact observer for ``params``; ``None`` where :func:`make_observer` makes one."""
    states = num_states(params)
    if states <= MAX_STATES:
        return None
    kinds = ["rule in use"]
    kinds += ["set of active rules"] if params.active_rules else []
    kinds += ["age of the rule"] if num_ages(params) > 1 else []
    kinds += ["masked token"] if hidden_tokens(params) else []
    return (
        f"the exact belief ({' × '.join(kinds)}) has {states:,} states a lane, "
        f"more than the {MAX_STATES:,} that are practical"
    )


def make_observer(params: Params, num_lanes: int) -> Observer:
    """The exact observer of ``params`` for ``num_lanes`` lanes.

    Raises:
        OptionError: where :func:`not_computable` gives a reason.
    """
    from tropism.envs.patternworld.observer_hop import HopObserver
    from tropism.envs.patternworld.observer_masked import MaskedObserver
    from tropism.envs.patternworld.observer_shown import ShownObserver

    reason = not_computable(params)
    if reason:
        raise OptionError(f"no ideal observer for tier {params.tier!r}: {reason}")
    if params.family == "hop":
        return HopObserver(params, num_lanes)
    kind = MaskedObserver if hidden_tokens(params) else ShownObserver
    return kind(params, num_lanes)


class Observer(ABC):
    """A belief about the hidden state of ``num_lanes`` lanes, each at its own step.

    What contradicts the parameters (an observation of probability zero) is passed over: the belief stays,
    and ``surprise`` is infinite.

    Args:
        params: the task: library, schedule, hazard and noise are known to the observer.
        num_lanes: lanes ``B``.

    Attributes:
        t: answers since the episode of each lane began, ``[B]``.
        surprise: ``-log`` probability of what the last update showed, in nats, ``float64[B]``.
    """

    def __init__(self, params: Params, num_lanes: int) -> None:
        self.params, self.num_lanes = params, num_lanes
        self.num_rules = num_rules(params)
        self.t = np.zeros(num_lanes, np.intp)
        self.surprise = np.zeros(num_lanes)

    def reset(self, mask: npt.NDArray[np.bool_], observation: Any) -> None:
        """Begin an episode in the lanes of ``mask`` (``bool[B]``) with its first ``observation``."""
        self.t[mask] = 0
        self.surprise[mask] = 0.0
        self._begin(mask, read(observation))

    def update(self, action: npt.NDArray[Any], observation: Any, reward: npt.NDArray[Any]) -> None:
        """Learn from the ``reward`` of ``action`` (both ``[B]``) and the ``observation`` that followed."""
        self.t += 1
        self._learn(np.asarray(action, np.intp), read(observation), np.asarray(reward))

    @abstractmethod
    def _begin(self, mask: npt.NDArray[np.bool_], seen: Seen) -> None:
        """Set the prior of the lanes of ``mask``."""

    @abstractmethod
    def _learn(self, action: IndexArray, seen: Seen, reward: npt.NDArray[Any]) -> None:
        """Condition on what came of ``action``, then move on to the next answer."""

    @abstractmethod
    def predict(self) -> FloatArray:
        """Probability of each token to be the next target, ``float64[B, V]``."""

    @abstractmethod
    def most_probable(self) -> IndexArray:
        """What the single most probable hypothesis answers, ``[B]``."""

    @abstractmethod
    def rule_belief(self) -> FloatArray:
        """Probability of each rule to judge the next answer, ``float64[B, R]``."""

    @property
    @abstractmethod
    def belief_kl(self) -> FloatArray:
        """Bayesian surprise of the last update in nats, ``float64[B]``.

        ``KL(belief after || belief before)`` about the rule that judged the last answer (L. Itti and P. Baldi,
        "Bayesian Surprise Attracts Human Attention", NeurIPS 2005); finite, since evidence only narrows.
        """


def evidence(
    params: Params, action: IndexArray, shown: npt.NDArray[Any], reward: npt.NDArray[Any]
) -> tuple[IndexArray, IndexArray]:
    """What an answer brought to light: the target, or a token that it is not.

    Args:
        params: the task.
        action: answers, ``[B]``.
        shown: the token shown after them, ``[B]``; ``V`` where masked.
        reward: their rewards, ``[B]``.

    Returns:
        ``(target, wrong)``, each ``[B]`` and -1 where it is not known.
    """
    right = reward.astype(np.float32) == np.float32(params.reward_right)
    visible = (shown < params.vocabulary) & (params.feedback != "closed")
    target = np.where(visible, shown, np.where(right, action, -1))
    wrong = np.where((target < 0) & (action < params.vocabulary), action, -1)
    return target, wrong


def information_gain(after: FloatArray, before: FloatArray) -> FloatArray:
    """``KL(after || before)`` in nats over the last axis; ``after`` is zero wherever ``before`` is."""
    held = after > 0
    ratio = np.divide(after, before, out=np.ones_like(after), where=held)
    return np.maximum((after * np.log(np.where(held, ratio, 1.0))).sum(-1), 0.0)
