"""How an observation becomes the vector that the network reads, and what it may answer.

Discrete things become one-hot, numbers with bounds are scaled to [-1, 1], numbers without are squashed (symmetric logarithm, Hafner
et al. 2023, arXiv:2301.04104).  Of PatternWorld's history the newest token is read alone: the network remembers the others.  Where that token is the right answer
to the last question, the agent's own answer and its reward tell nothing more, and are not read: in lessons they are the
teacher's, nearly always right, and a network that had read them there lost its way by its own mistakes (on Switch, after 400,000 steps, .78 of
its answers were right instead of .92).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from tropism.agents.contract import Task
from tropism.envs.patternworld.observation import read
from tropism.errors import UnsupportedTaskError

FloatArray = npt.NDArray[np.float32]


class Encoder(NamedTuple):
    """Turns the observations of ``B`` lanes into ``float32[B, size]``, or tokens ``int64[B]`` below ``size``.

    Attributes:
        size: numbers of one lane, or tokens that there are.
        encode: does it.
    """

    size: int
    encode: Callable[[Any], npt.NDArray[Any]]

    def __call__(self, observation: Any) -> npt.NDArray[Any]:
        """Encode a batch."""
        return self.encode(observation)


def make_encoder(env_id: str, space: spaces.Space[Any], told: bool = False) -> Encoder:
    """The encoder of one lane's observation space.

    Args:
        env_id: of the environment.
        space: of its observations.
        told: the newest token of PatternWorld is the right answer to the last question.

    Raises:
        UnsupportedTaskError: naming the space that has none.
    """
    if "tropism/PatternWorld-" in env_id and isinstance(space, spaces.Dict):
        return _pattern(space, told)
    if isinstance(space, spaces.Dict):
        return _joined({key: make_encoder("", part) for key, part in space.spaces.items()})
    if isinstance(space, spaces.Box):
        return _numbers(space)
    if isinstance(space, spaces.Discrete):
        return _one_hot(np.array([space.n]), np.array([space.start]))
    if isinstance(space, spaces.MultiDiscrete):
        return _one_hot(space.nvec.ravel(), space.start.ravel())
    if isinstance(space, spaces.MultiBinary):
        size = int(np.prod(space.shape))
        return Encoder(size, lambda x: np.asarray(x, np.float32).reshape(len(x), -1))
    raise UnsupportedTaskError(
        f"an observation of {space} cannot be encoded: moe reads Box, Discrete, MultiDiscrete, MultiBinary, or one Dict of those"
    )


def encoder_of(task: Task, tokens: bool = False) -> Encoder:
    """The encoder of what a task shows, or of PatternWorld's tokens alone.

    Raises:
        UnsupportedTaskError: naming the space that has none.
    """
    space, _ = task.spaces()
    if tokens:
        return _tokens(space)
    told = "-Hop-" not in task.env_id and task.kwargs.get("feedback", "reveal") == "reveal"
    return make_encoder(task.env_id, space, told)


def _tokens(space: Any) -> Encoder:
    """The newest token, ``int64[B]``; the one that stands for none is not in the table."""
    vocabulary = int(space["history"].nvec[-1]) - 1
    return Encoder(vocabulary, lambda seen: read(seen).history[:, -1].astype(np.int64))


def _pattern(space: spaces.Dict, told: bool) -> Encoder:
    """The newest token and what is asked; the last action and what it was paid, too, unless the token tells as much."""
    history, action, query = (space[key] for key in ("history", "prev_action", "query_k"))
    tokens: Any = history
    sizes = [int(tokens.nvec[-1]), int(query.n), int(action.n)][: 2 if told else 3]  # pyright: ignore[reportAttributeAccessIssue]
    digits = _one_hot(np.array(sizes), np.zeros(len(sizes), np.int64))

    def encode(observation: Any) -> FloatArray:
        seen = read(observation)
        newest = [seen.history[:, -1], seen.query_k, seen.prev_action][: len(sizes)]
        found = digits(np.stack(newest, 1))
        paid = np.asarray(seen.prev_reward, np.float32).reshape(len(found), 1)
        return found if told else np.concatenate([found, paid], 1)

    return Encoder(digits.size + (not told), encode)


def _joined(parts: dict[str, Encoder]) -> Encoder:
    size = sum(part.size for part in parts.values())
    return Encoder(size, lambda x: np.concatenate([e(x[key]) for key, e in parts.items()], 1))


def _numbers(space: spaces.Box) -> Encoder:
    """Flattened; each number by its own bounds."""
    low, high = (np.asarray(end, np.float64).ravel() for end in (space.low, space.high))
    bounded = np.isfinite(low) & np.isfinite(high) & (high > low)
    low, high = np.where(bounded, low, -1), np.where(bounded, high, 1)
    middle, half = (low + high) / 2, (high - low) / 2

    def encode(x: Any) -> FloatArray:
        flat = np.asarray(x, np.float64).reshape(len(x), -1)
        scaled = (flat - middle) / half
        squashed = np.sign(flat) * np.log1p(np.abs(flat))
        return np.where(bounded, scaled, squashed).astype(np.float32)

    return Encoder(len(low), encode)


def _one_hot(sizes: npt.NDArray[Any], start: npt.NDArray[Any]) -> Encoder:
    """Digits ``[B, k]`` in ``start <= digit < start + sizes``."""
    offsets = np.cumsum(sizes) - sizes - start
    size = int(np.sum(sizes))

    def encode(x: Any) -> FloatArray:
        digits = np.asarray(x, np.int64).reshape(len(x), -1)
        found = np.zeros((len(digits), size), np.float32)
        found[np.arange(len(digits))[:, None], digits + offsets] = 1.0
        return found

    return Encoder(size, encode)
