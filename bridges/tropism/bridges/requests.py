"""What a game is asked for, and how what it shows is put together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces

from tropism.bridges.errors import InvalidValue, ProtocolError
from tropism.bridges.protocol.bodies import Outcome, Status
from tropism.bridges.protocol.header import Type
from tropism.bridges.protocol.jsons import is_count
from tropism.bridges.protocol.messages import Message, read_json
from tropism.bridges.protocol.spec import Spec

READY, RUNNING = Status.READY, Status.RUNNING
ABSENT = Outcome(0.0, False, False, False, None)


class Reset(NamedTuple):
    """Begin an episode: seed everything random by `seed` unless it is None."""

    seed: int | None
    options: dict[str, Any] | None


class Step(NamedTuple):
    """Apply the action, simulate one step, observe.

    `action` is the agent's; if the specification has several, a dict by id of those that act.
    """

    action: Any


class Action(NamedTuple):
    """The newest action in latest-frame mode, as in `Step`; it needs no answer."""

    action: Any


class Close(NamedTuple):
    """The agent is gone and no other is waited for."""

    reason: str


Request = Reset | Step | Action | Close


def read_reset(message: Message) -> Reset:
    """The request in a RESET.

    Raises:
        ProtocolError: its seed is no integer in [0, 2^53) or its options are no object.
    """
    body = read_json(message.body, Type.RESET)
    seed, options = body.get("seed"), body.get("options")
    if seed is not None and not is_count(seed):
        raise ProtocolError(f"RESET: the seed is {seed!r}, not an integer in [0, 2^53)")
    if options is not None and not isinstance(options, dict):
        raise ProtocolError("RESET: the options are not an object")
    return Reset(seed, options)


def checker(space: spaces.Space, path: str) -> Callable[[Any], None]:
    """What refuses actions that would make a game stumble: choices that do not exist, numbers that are none.

    Bounds of boxes are not checked: as in Gymnasium, an environment clips as it likes.

    Args:
        space: of the actions.
        path: their name.

    Returns:
        A function of an action, which raises `InvalidValue` naming the part.
    """
    if isinstance(space, spaces.Dict):
        return _checker_of_parts([(k, checker(s, f"{path}.{k}")) for k, s in space.items()])
    if isinstance(space, spaces.Tuple):
        return _checker_of_parts([(i, checker(s, f"{path}[{i}]")) for i, s in enumerate(space)])
    if isinstance(space, spaces.Box) and space.dtype.kind == "f":
        return _checker_of_numbers(space, path)
    allows = _allows(space)

    def check(action: Any) -> None:
        if not allows(action):
            raise InvalidValue(f"{path} = {action!r} is not in {space}")

    return check


def _checker_of_parts(parts: list[tuple[Any, Callable[[Any], None]]]) -> Callable[[Any], None]:
    def check(action: Any) -> None:
        for key, check_part in parts:
            check_part(action[key])

    return check


def _checker_of_numbers(space: spaces.Box, path: str) -> Callable[[Any], None]:
    """Refuses NaN: the largest number is NaN if any is, and found sooner than all are asked."""

    def check(action: np.ndarray) -> None:
        if action.size and (most := action.item(action.argmax())) != most:
            raise InvalidValue(f"{path} = {action!r} is not in {space}")

    return check


def _allows(space: spaces.Space) -> Callable[[Any], bool]:
    if isinstance(space, spaces.Discrete):
        choices = range(int(space.start), int(space.start + space.n))
        return lambda action: int(action) in choices
    return (lambda _: True) if isinstance(space, spaces.Box) else space.contains


def outcome(reward: Any, terminated: Any, truncated: Any, observation: Any) -> Outcome:
    """That of an agent that is alive, of numbers and truth values of any type."""
    # as Outcome(...) would do it, in half the time
    facts = (float(reward), bool(terminated), bool(truncated), True, observation)
    return tuple.__new__(Outcome, facts)


def outcomes(
    ids: Sequence[str], observation: Any, reward: Any, terminated: Any, truncated: Any
) -> list[Outcome]:
    """The outcome of each agent.

    Args:
        ids: of the agents.
        observation: of the only agent; of several a dict by id, without those that are dead.
        reward: one for all, or a dict by id where what is missing is 0; likewise the flags.
        terminated: whether the episode has come to an end of its own.
        truncated: whether it was cut short.

    Raises:
        InvalidValue: an observation of an agent that does not exist.
    """
    if len(ids) == 1:
        return [outcome(reward, terminated, truncated, observation)]
    unknown = set(observation) - set(ids)
    if unknown:
        raise InvalidValue(f"an observation of {sorted(unknown)}, but the agents are {list(ids)}")
    return [
        outcome(
            _of(reward, agent), _of(terminated, agent), _of(truncated, agent), observation[agent]
        )
        if agent in observation
        else ABSENT
        for agent in ids
    ]


def by_agent(spec: Spec, action: Any) -> list[Any]:
    """The action of each agent in order, None where one does not act, out of what `Step` holds."""
    if len(spec.agents) == 1:
        return [action]
    return [action.get(agent.id) for agent in spec.agents]


def status_of(agents: Sequence[Outcome], first: bool) -> Status:
    """READY after a reset, RUNNING while anybody goes on, then TERMINATED or, if nobody was, TRUNCATED."""
    if first:
        return READY
    if len(agents) == 1:
        _, terminated, truncated, alive, _ = agents[0]
        if alive and not (terminated or truncated):
            return RUNNING
    elif any(a.alive and not (a.terminated or a.truncated) for a in agents):
        return RUNNING
    cut = any(a.truncated for a in agents) and not any(a.terminated for a in agents)
    return Status.TRUNCATED if cut else Status.TERMINATED


def _of(value: Any, agent: str) -> Any:
    return value.get(agent, 0) if isinstance(value, Mapping) else value
