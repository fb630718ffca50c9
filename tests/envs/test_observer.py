"""The ideal observer against brute force: every hidden path of small worlds, weighed one by one."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from tropism.envs.core.random import seed_key
from tropism.envs.patternworld import rules
from tropism.envs.patternworld.observer import Observer, evidence, make_observer
from tropism.envs.patternworld.params import FEEDBACKS, TIERS, Params
from tropism.envs.patternworld.reference import make_reference
from tropism.envs.patternworld.rules import library

WORLDS = {
    "phase": replace(TIERS["Switch"], vocabulary=4),
    "affine": replace(TIERS["Affine"], vocabulary=3, num_rules=0),
    "order2": replace(TIERS["Order2"], vocabulary=3, num_rules=3),
    "alias": replace(TIERS["Alias"], vocabulary=8, agreement=1, library=2),
    "recur": replace(TIERS["Recur"], vocabulary=3, num_rules=0, active_rules=3),
}


@pytest.fixture(autouse=True, scope="module")
def few_alias_rules():
    """Four cycles instead of 81, or there would be too many paths to weigh."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rules, "SEGMENTS", 2)
        patch.setattr(rules, "ARRANGEMENTS", 2)
        library.cache_clear()
        assert len({row.tobytes() for row in library(WORLDS["alias"]).table}) == 4
        yield
    library.cache_clear()


SCHEDULES = {
    "geometric": {"hazard": 0.4},
    "periodic": {"schedule": "periodic", "period": 2},
    "minimum-dwell": {"schedule": "minimum-dwell", "min_dwell": 1, "hazard": 0.6},
    "cyclic": {"schedule": "cyclic", "period": 2},
}


class BruteForce:
    """Sums over all hidden paths: rules, dwells and tokens, drawn as the reference draws them.

    Nothing is shared with the filter: dwells are whole numbers here, not hazards; active rules are ordered
    draws, not sets; no two paths are ever merged.
    """

    def __init__(
        self, params: Params, shown: tuple[int, ...], trail: list[tuple[int, bool, int]]
    ) -> None:
        self.params, self.trail = params, trail  # (action, right, token shown or V)
        self.rules = library(params)
        self.target = np.zeros((len(trail) + 1, params.vocabulary))
        self.rule = np.zeros((len(trail) + 1, self.rules.num_rules))
        token, previous = shown[-1], shown[0]
        for chance, active in self._first():
            for dwell, p in self._dwells(0):
                self._walk(0, chance * p, active, 0, active[0], dwell, token, previous)

    def _first(self):
        count, n = self.rules.num_rules, self.params.active_rules
        if n:
            draws = list(itertools.permutations(range(count), n))
        elif self.params.schedule == "cyclic":
            draws = [(0,)]
        else:
            draws = [(r,) for r in range(count)]
        return [(1 / len(draws), draw) for draw in draws]

    def _dwells(self, t):
        floor, hazard = self.params.dwell
        horizon = len(self.trail) - t
        tail = 1.0
        for n in range(1, horizon + 1):
            p = hazard * (1 - hazard) ** (n - floor - 1) if n > floor else 0.0
            tail -= p
            if p:
                yield t + n, p
        if tail > 1e-12:
            yield t + horizon + 1, tail

    def _following(self, active, slot, rule, token):
        """(probability, slot, rule) after a switch."""
        cyclic, n = self.params.schedule == "cyclic", len(active)
        if self.params.active_rules:
            jumps = [1] if cyclic else range(1, n)
            return [(1 / len(jumps), (slot + j) % n, active[(slot + j) % n]) for j in jumps]
        if cyclic:
            return [(1.0, 0, (rule + 1) % self.rules.num_rules)]
        if self.rules.successors is not None:
            n = self.rules.num_successors[rule, token]
            return [(1 / n, 0, r) for r in self.rules.successors[rule, token, :n]]
        others = [r for r in range(self.rules.num_rules) if r != rule]
        return [(1 / len(others), 0, r) for r in others]

    def _walk(self, t, weight, active, slot, rule, switch_at, token, previous):
        self.rule[t, rule] += weight
        v, noise = self.params.vocabulary, self.params.noise
        context = {"none": 0, "phase": t % 2, "previous": previous}[self.rules.context]
        clean = self.rules.table[rule, context, token]
        for target in range(v):
            chance = weight * ((1 - noise) * (target == clean) + noise / v)
            if not chance:
                continue
            self.target[t, target] += chance
            if t == len(self.trail) or not self._fits(t, target):
                continue
            came = self.trail[t][0] if self.params.feedback == "closed" else target
            if t + 1 != switch_at:
                self._walk(t + 1, chance, active, slot, rule, switch_at, came, token)
                continue
            for p, new_slot, new_rule in self._following(active, slot, rule, came):
                for dwell, q in self._dwells(t + 1):
                    self._walk(
                        t + 1, chance * p * q, active, new_slot, new_rule, dwell, came, token
                    )

    def _fits(self, t, target):
        action, right, shown = self.trail[t]
        if self.params.feedback != "closed" and shown < self.params.vocabulary:
            return target == shown
        return right == (target == action)


def play(params: Params, seed: int, steps: int):
    """An episode of half right, half random answers: tokens shown at first, and the trail of what came of each."""
    world, rng = make_reference(params), np.random.default_rng(seed)
    shown = world.reset(seed_key(seed), 0, {})
    trail = []
    for _ in range(steps):
        action = int(rng.integers(params.num_actions)) if rng.random() < 0.5 else world.target
        right = action == world.target
        reward, came = world.step(action)
        trail.append((action, right, reward, came[-1]))
    return shown, trail


def observation(params: Params, tokens: list[int]):
    history = np.full((1, params.history), params.vocabulary)
    kept = tokens[-params.history :]
    history[0, params.history - len(kept) :] = kept
    blank = np.zeros(1, np.int64)
    return {
        "history": history,
        "prev_action": blank,
        "prev_reward": blank[:, None],
        "query_k": blank,
    }


def watch(observer: Observer, params: Params, shown, trail):
    """Predictions, rule beliefs and surprises of the observer along a trail."""
    tokens = list(shown)
    observer.reset(np.ones(1, bool), observation(params, tokens))
    predicted, believed, surprise = [observer.predict()[0]], [observer.rule_belief()[0]], []
    for action, _, reward, came in trail:
        tokens.append(came)
        observer.update(np.array([action]), observation(params, tokens), np.array([reward]))
        predicted.append(observer.predict()[0])
        believed.append(observer.rule_belief()[0])
        surprise.append(observer.surprise[0])
    return np.array(predicted), np.array(believed), np.array(surprise)


def cases():
    for world, schedule, feedback, noise in itertools.product(
        WORLDS, SCHEDULES, FEEDBACKS, (0.0, 0.3)
    ):
        if world == "alias" and schedule == "cyclic":
            continue  # no such task
        yield world, schedule, feedback, noise


@pytest.mark.parametrize(("world", "schedule", "feedback", "noise"), list(cases()))
def test_belief_and_likelihood_equal_brute_force(world, schedule, feedback, noise):
    params = replace(WORLDS[world], feedback=feedback, noise=noise, **SCHEDULES[schedule])
    steps = 3 if world == "alias" and noise else 4  # of eight tokens there are too many paths
    shown, trail = play(params, 3, steps)
    predicted, believed, surprise = watch(make_observer(params, 1), params, shown, trail)
    brute = BruteForce(params, shown, [(a, right, came) for a, right, _, came in trail])
    evidence_so_far = brute.rule.sum(axis=1)
    assert np.allclose(predicted, brute.target / evidence_so_far[:, None], atol=1e-12)
    assert np.allclose(believed, brute.rule / evidence_so_far[:, None], atol=1e-12)
    assert np.allclose(-np.cumsum(surprise), np.log(evidence_so_far[1:]), atol=1e-9)


def test_evidence_of_every_kind():
    probe = replace(WORLDS["affine"], feedback="probe", vocabulary=7)
    action, shown = np.array([7, 2, 2]), np.array([4, 7, 7])
    target, wrong = evidence(probe, action, shown, np.array([-0.2, 1.0, 0.0]))
    assert target.tolist() == [4, 2, -1]
    assert wrong.tolist() == [-1, -1, 2]


def test_a_wrong_hazard_or_noise_makes_the_likelihood_worse():
    params = replace(TIERS["Noisy"], hazard=0.05)
    records = [play(params, seed, 300) for seed in range(4)]

    def log_likelihood(believed: Params) -> float:
        seen = [watch(make_observer(believed, 1), believed, *record)[2] for record in records]
        return -float(np.sum(seen))

    true = log_likelihood(params)
    for wrong in ({"hazard": 0.005}, {"hazard": 0.5}, {"noise": 0.01}, {"noise": 0.5}):
        assert log_likelihood(replace(params, **wrong)) < true - 5.0, wrong


def test_what_contradicts_the_parameters_is_passed_over():
    params = TIERS["Affine"]
    observer = make_observer(params, 1)
    tokens, said = [5], set(library(params).table[:, 0, 5].tolist())
    observer.reset(np.ones(1, bool), observation(params, tokens))
    tokens.append(min(set(range(97)) - said))
    observer.update(np.array([0]), observation(params, tokens), np.array([0.0]))
    assert np.isinf(observer.surprise[0])
    assert np.isclose(observer.predict().sum(), 1.0)
    assert np.allclose(observer.rule_belief(), 1 / 8)
