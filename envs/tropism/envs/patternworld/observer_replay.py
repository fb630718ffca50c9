"""The ideal observer beside somebody else's play: as a wrapper, and over recorded episodes.

Both are off the hot path: an environment computes no belief unless one of these asks for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode

from tropism.envs.patternworld.layout import can_lay_out
from tropism.envs.patternworld.observer import Observer, make_observer
from tropism.envs.patternworld.observer_law import FloatArray
from tropism.envs.patternworld.params import Params
from tropism.envs.patternworld.rules import library
from tropism.envs.patternworld.vector import KernelPatternWorld, LaidOutPatternWorld
from tropism.errors import UnsupportedTaskError


class IdealBelief(gymnasium.Wrapper[Any, Any, Any, Any], gymnasium.utils.RecordConstructorArgs):
    """Adds ``info["belief"]``, what an ideal observer that sees the same observations holds of the next target.

    Its entries are ``probs`` (``float64[V]``, of the next target), ``rule`` (``float64[R]``, of the regime that
    judges the next answer), ``entropy`` (of ``probs``, in nats), ``argmax`` (the most probable token) and
    ``belief_kl`` (nats that the observation told about the rule, 0 at first; :attr:`Observer.belief_kl`).
    It is a label like the others: ``metadata["labels"]`` lists it, ``HideLabels`` takes it away.  Frames show it too.

    Args:
        env: a single PatternWorld environment, wrapped or not, with its own observations.

    Raises:
        UnsupportedTaskError: if ``env`` is no PatternWorld.
        OptionError: if the exact belief is not computable; the message says why.
    """

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        gymnasium.utils.RecordConstructorArgs.__init__(self)
        gymnasium.Wrapper.__init__(self, env)
        params = getattr(env.unwrapped, "params", None)
        if not isinstance(params, Params):
            raise UnsupportedTaskError(f"IdealBelief needs a PatternWorld environment, got {env}")
        self._observer = make_observer(params, 1)
        self.metadata = env.metadata | {"labels": (*env.metadata["labels"], "belief")}

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin an episode, and a belief."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._observer.reset(np.ones(1, bool), _batch(observation))
        return observation, {**info, "belief": self._belief()}

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Pass ``action`` on and update the belief with what came of it."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._observer.update(np.array([action]), _batch(observation), np.array([reward]))
        return observation, reward, terminated, truncated, {**info, "belief": self._belief()}

    def _belief(self) -> dict[str, Any]:
        probs, rule = self._observer.predict()[0], self._observer.rule_belief()[0]
        self.env.unwrapped.show_belief(probs, rule)  # pyright: ignore[reportAttributeAccessIssue]  a PatternWorld, as checked above
        return {
            "probs": probs,
            "rule": rule,
            "entropy": float(entropy(probs)),
            "argmax": int(probs.argmax()),
            "belief_kl": float(_told(self._observer)[0]),
        }


def _batch(observation: Any) -> Any:
    """One observation as a batch of one."""
    if isinstance(observation, dict):
        return {name: np.asarray(value)[None] for name, value in observation.items()}
    return observation[None]


def _told(observer: Observer) -> FloatArray:
    """Nats that the last observation told about the rule, ``[B]``; the first one tells nothing."""
    return observer.belief_kl if observer.t.any() else np.zeros(observer.num_lanes)


def entropy(probabilities: FloatArray) -> FloatArray:
    """Shannon entropy over the last axis, in nats."""
    held = np.where(probabilities > 0, probabilities, 1.0)
    return np.maximum(-(probabilities * np.log(held)).sum(-1), 0.0)


def replay_belief(
    params: Params, seeds: Sequence[int], actions: npt.NDArray[Any]
) -> dict[str, npt.NDArray[Any]]:
    """What the ideal observer believed while somebody else played.

    Episodes follow from seed and actions bit for bit, so they are played once more and the observer is shown
    what the player was shown.  Index ``t`` is the moment of action ``t``.

    Args:
        params: the task, as played.
        seeds: one seed an episode, ``B`` of them; no reset options.
        actions: what was played, integers ``[B, T]``.

    Returns:
        Arrays ``[B, T]``: ``ideal_log_prob`` (``log P(target)``, nats), ``ideal_argmax`` (its answer),
        ``ideal_entropy`` (of the next target, nats), ``rule_entropy`` (of the rule, nats), ``belief_kl``
        (nats that the observation told about the rule, 0 at first; :attr:`Observer.belief_kl`) and
        ``rule_target`` (what the rule itself answers, noise left out).

    Raises:
        OptionError: where the exact belief is not computable.
    """
    actions = np.asarray(actions)
    lanes, steps = actions.shape
    observer = make_observer(params, lanes)
    task = replace(params, flat=False, max_episode_steps=max(steps, 1))
    kind = LaidOutPatternWorld if can_lay_out(task) else _kernel_lanes
    world = kind(lanes, task, AutoresetMode.DISABLED)
    observation, info = world.reset(seed=[int(seed) for seed in seeds])
    observer.reset(np.ones(lanes, bool), observation)
    rows, first = [], observation["history"][:, -2:]
    for action in actions.T:
        row = _row(observer, np.asarray(info["target"]))
        rows.append(row | {"rule": info["rule"], "target": info["target"]})
        observation, reward, _, _, info = world.step(action)
        observer.update(action, observation, reward)
    trace = {name: np.stack([row[name] for row in rows], axis=1) for name in rows[0]}
    rule, target = trace.pop("rule"), trace.pop("target")
    answers = actions if params.feedback == "closed" else target  # what the next rule is applied to
    return trace | {"rule_target": _rule_target(params, rule, first, answers, target)}


def _rule_target(
    params: Params,
    rule: npt.NDArray[Any],
    first: npt.NDArray[Any],
    answers: npt.NDArray[Any],
    target: npt.NDArray[Any],
) -> npt.NDArray[np.int64]:
    """What the rules ``[B, T]`` answer to the tokens: those before the first step, then ``answers[:, :-1]``."""
    if params.family == "hop":  # no library, and no noise
        return np.asarray(target, np.int64)
    rules, tokens = library(params), np.hstack([first, answers[:, :-1]])
    context = {
        "none": np.zeros_like(rule),
        "phase": np.arange(rule.shape[1]) & 1,
        "previous": tokens[:, :-1],
    }[rules.context]
    return rules.table[rule, context, tokens[:, 1:]].astype(np.int64)


def _kernel_lanes(lanes: int, task: Params, mode: AutoresetMode) -> KernelPatternWorld:
    return KernelPatternWorld(lanes, task, mode, "numpy")


def _row(observer: Observer, target: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
    """The measures of one moment, each ``[B]``."""
    probs = observer.predict()
    with np.errstate(divide="ignore"):
        log_prob = np.log(probs[np.arange(len(target)), target])
    return {
        "ideal_log_prob": log_prob,
        "ideal_argmax": probs.argmax(axis=1),
        "ideal_entropy": entropy(probs),
        "rule_entropy": entropy(observer.rule_belief()),
        "belief_kl": _told(observer),
    }
