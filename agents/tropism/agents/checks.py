"""The checks of :mod:`tropism.agents.conformance`: each a function that raises, its name and docstring the report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from typing import Any, cast

import numpy as np
from gymnasium.spaces import Discrete
from gymnasium.vector import AutoresetMode

from tropism.agents.contract import Decision, Policy, Task
from tropism.agents.counting import CountingTask
from tropism.agents.evaluate import Episode
from tropism.agents.hygiene import imports_of, pickles_in
from tropism.agents.options import build_config
from tropism.agents.recording import checked_action
from tropism.agents.runs import load_policy, save_policy
from tropism.agents.subject import Subject
from tropism.envs.core.wrappers import hidden_keys, visible
from tropism.errors import AgentContractError, ArtifactError

LANES = 3
"""Lanes and episodes the checks play with."""


def config_is_frozen(subject: Subject, task: Task) -> None:  # noqa: ARG001  called like every check
    """``Config`` is a frozen dataclass with defaults that survives a trip through its dictionary."""
    config_class: Any = getattr(subject.agent_class, "Config", None)
    _require(
        isinstance(config_class, type) and is_dataclass(config_class), "Config must be a dataclass"
    )
    frozen = cast(Any, config_class).__dataclass_params__.frozen
    _require(frozen, "Config must be frozen: @dataclass(frozen=True)")
    try:
        config = config_class()
    except TypeError as error:
        raise AgentContractError(f"every field of Config needs a default: {error}") from error
    again = build_config(config_class, asdict(config), owner="Config")
    _require(
        again == config, f"Config must equal itself rebuilt from its fields: {again} != {config}"
    )


def supports_the_task(subject: Subject, task: Task) -> None:
    """``supports`` gives no reason against the chosen task."""
    reason = subject.build().supports(task)
    _require(reason is None, f"supports() says {reason!r}; name an env_id the agent supports")


def training_keeps_the_budget(subject: Subject, task: Task) -> None:
    """Training takes at most the budget's steps, from training seeds only."""
    counting = CountingTask.of(task)
    subject.policy = subject.train(counting)
    _require(
        isinstance(subject.policy, Policy),
        f"train() must return a Policy, got {type(subject.policy)}",
    )
    used, allowed = counting.usage.env_steps, subject.budget.env_steps
    _require(used <= allowed, f"training took {used} environment steps, the budget is {allowed}")
    _require(
        not counting.usage.unseeded,
        "training must seed the first reset of its environments, from Task.train_seeds",
    )
    first, stop = task.train_seeds
    foreign = sorted(seed for seed in counting.usage.seeds if not first <= seed < stop)
    _require(
        not foreign,
        f"training reset with seeds {foreign[:3]} outside Task.train_seeds {task.train_seeds}",
    )


def decisions_have_the_right_form(subject: Subject, task: Task) -> None:
    """Actions lie in the space; compute, log-probabilities and diagnostics have their shapes and types."""
    policy = subject.trained(task)
    lanes = min(LANES, policy.max_lanes or LANES)
    env: Any = task.make_vec(lanes, autoreset_mode=AutoresetMode.DISABLED)
    try:
        seeds = _seeds(task)[:lanes]
        hidden = frozenset() if subject.agent_class.privileged else hidden_keys(env)
        observation, info = env.reset(seed=seeds)
        policy.reset(np.ones(lanes, np.bool_), np.array(seeds, np.uint64))
        for gate in (None, np.zeros(lanes, np.bool_), np.ones(lanes, np.bool_)):
            decision = policy.act(observation, visible(info, hidden), gate)
            _check_decision(decision, env)
            observation, reward, terminated, truncated, info = env.step(decision.action)
            policy.observe(
                decision.action, observation, reward, terminated, truncated, visible(info, hidden)
            )
    finally:
        env.close()


def training_is_deterministic(subject: Subject, task: Task) -> None:
    """The same seed and budget give a policy that acts the same."""
    seeds = _seeds(task)
    first = subject.play(subject.trained(task), task, seeds)
    _same(
        first,
        subject.play(subject.train(task), task, seeds),
        "a second training with the same seed",
    )


def lanes_are_independent(subject: Subject, task: Task) -> None:
    """A seed's actions depend neither on its lane nor on the other lanes (unless the task is lifelong)."""
    if task.lifelong:
        return  # a lane then learns from the episodes before
    policy, seeds = subject.trained(task), _seeds(task)
    together = subject.play(policy, task, seeds)
    _same(together, subject.play(policy, task, seeds, lanes=1), "one lane instead of several")
    _same(together, subject.play(policy, task, seeds[::-1]), "the lanes in reverse order")


def reset_forgets(subject: Subject, task: Task) -> None:
    """An episode does not depend on the ones before it (unless the task is lifelong)."""
    if task.lifelong:
        return
    policy, seeds = subject.trained(task), _seeds(task)
    fresh = subject.play(policy, task, seeds[:1])
    subject.play(policy, task, seeds[1:])
    _same(
        fresh,
        subject.play(policy, task, seeds[:1]),
        "other episodes in between; reset() must forget",
    )


def saving_keeps_the_policy(subject: Subject, task: Task) -> None:
    """What is saved is loaded again with the same actions, and holds no pickle."""
    policy, seeds = subject.trained(task), _seeds(task)
    before = subject.play(policy, task, seeds)
    directory = save_policy(policy, subject.directory / "saved")
    found = pickles_in(directory)
    _require(
        not found, f"save() must not pickle, found {', '.join(found)}; use safetensors, npz or JSON"
    )
    _same(
        before,
        subject.play(load_policy(subject.agent_class, directory, task), task, seeds),
        "save and load",
    )


def loading_refuses_what_is_missing(subject: Subject, task: Task) -> None:
    """An incomplete directory raises :class:`tropism.errors.ArtifactError`."""
    empty = subject.directory / "empty"
    empty.mkdir()
    try:
        subject.agent_class.load(empty, task)
    except ArtifactError:
        return
    except Exception as error:
        raise AgentContractError(
            f"load() of an empty directory must raise ArtifactError, raised {error!r}"
        ) from error
    raise AgentContractError("load() of an empty directory must raise ArtifactError, it returned")


def imports_point_down(subject: Subject, task: Task) -> None:  # noqa: ARG001  called like every check
    """An agent does not import the benchmarks that judge it."""
    above = [line for line in imports_of(subject.agent_class) if "tropism.benchmarks" in line]
    _require(not above, f"an agent must not import tropism.benchmarks: {'; '.join(above)}")


CHECKS: tuple[Callable[[Subject, Task], None], ...] = (
    config_is_frozen,
    supports_the_task,
    training_keeps_the_budget,
    decisions_have_the_right_form,
    training_is_deterministic,
    lanes_are_independent,
    reset_forgets,
    saving_keeps_the_policy,
    loading_refuses_what_is_missing,
    imports_point_down,
)


def supports_or_says_why(subject: Subject, task: Task) -> None:
    """On a task of other spaces ``supports`` gives a reason, or the agent really runs there."""
    reason = subject.build().supports(task)
    where = f"agent {subject.name!r} on {task.env_id}"
    _require(
        reason is None or (isinstance(reason, str) and reason != ""),
        f"{where}: supports() gave {reason!r}",
    )
    if reason is None:
        try:
            subject.play(subject.train(task), task, _seeds(task)[:1])
        except Exception as error:
            raise AgentContractError(
                f"{where}: supports() gives no reason, but it fails: {error!r}"
            ) from error


def _check_decision(decision: Decision, env: Any) -> None:
    action = checked_action(decision, env)
    _require(env.action_space.contains(action), f"action {action!r} is not in {env.action_space}")
    compute = decision.compute
    _require(compute.dtype == np.int64, f"compute must be int64, got {compute.dtype}")
    _require(bool((compute >= 0).all()), f"compute must be >= 0, got {compute}")
    if decision.log_probs is not None:
        space = env.single_action_space
        _require(
            isinstance(space, Discrete), f"log_probs are for Discrete actions, the space is {space}"
        )
        log_probs = decision.log_probs
        _require(log_probs.dtype == np.float32, f"log_probs must be float32, got {log_probs.dtype}")
        _require(bool(np.isfinite(log_probs).all()), "log_probs must be finite")
        total = np.exp(log_probs.astype(np.float64)).sum(axis=1)
        _require(
            bool(np.allclose(total, 1.0, atol=1e-4)),
            f"probabilities must sum to 1 a lane, got {total}",
        )
    for name, value in decision.diagnostics.items():
        _require(
            np.shape(value)[:1] == (env.num_envs,), f"diagnostics[{name!r}] needs one row a lane"
        )


def _same(first: dict[int, Episode], second: dict[int, Episode], change: str) -> None:
    for seed, episode in first.items():
        other = second[seed]
        same = episode.action_hash == other.action_hash and np.array_equal(
            episode.compute, other.compute
        )
        _require(same, f"the actions of seed {seed} change with {change}")


def _seeds(task: Task) -> list[int]:
    return list(range(task.test_seeds[0], task.test_seeds[0] + LANES))


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise AgentContractError(message)
