"""How an observation becomes the numbers a network sees.

Token numbers as such teach a network nothing: with them PPO stays near random on PatternWorld after 100 000
steps.  An encoder is chosen by name, applied in training and in acting alike, and stored by name with the
agent, so the two cannot drift apart:

``raw``
    numbers as they are; bytes scaled to [0, 1]; images of 36 pixels or more stay images, for a CNN.
``one-hot``
    as ``raw``, but everything discrete becomes one-hot.
``tokens``
    PatternWorld only: the last ``window`` tokens and the query one-hot; with feedback other than ``reveal``
    the previous action and reward too.
``auto``
    ``tokens`` on PatternWorld, ``one-hot`` elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from tropism.agents.contract import Task
from tropism.envs.patternworld.observation import read
from tropism.errors import UnsupportedTaskError

FloatArray = npt.NDArray[np.float32]
Leaf = tuple[spaces.Box, Callable[[Any], npt.NDArray[Any]]]

SMALLEST_IMAGE = 36
"""Pixels a side below which the convolutions of Mnih et al. (2015), SB3's ``NatureCNN``, have no output."""


class Encoder:
    """Turns batched observations of ``B`` lanes into what the network takes.

    Attributes:
        space: what comes out for one lane: a float32 vector, a ``uint8[C, H, W]`` image, or a ``Dict`` of those.
    """

    def __init__(self, space: spaces.Space[Any], encode: Callable[[Any], Any]) -> None:
        self.space = space
        self._encode = encode

    def __call__(self, observation: Any) -> Any:
        """Encode a batch: ``float32[B, d]``, ``uint8[B, C, H, W]``, or a dictionary of those."""
        return self._encode(observation)


def make_encoder(name: str, window: int, task: Task, space: spaces.Space[Any]) -> Encoder:
    """The encoder ``name`` for observations of ``space`` (one lane) in ``task``.

    Args:
        name: one of :data:`tropism_ppo.config.ENCODINGS`.
        window: tokens shown by ``tokens``.
        task: tells PatternWorld and its feedback mode from other environments.
        space: observation space of one lane.

    Raises:
        UnsupportedTaskError: if the encoding does not fit the space.
    """
    patterned = "tropism/PatternWorld-" in task.env_id
    if name == "tokens" and not patterned:
        raise UnsupportedTaskError(
            f"encoding 'tokens' reads PatternWorld observations, not those of {task.env_id}; use 'auto'"
        )
    if patterned and name in ("auto", "tokens"):
        rewarded = task.kwargs.get("feedback", "reveal") != "reveal"
        return Encoder(*_tokens(space, window, rewarded))
    one_hot = name != "raw"
    if isinstance(space, spaces.Dict):
        leaves = {key: _leaf(part, one_hot) for key, part in space.spaces.items()}
        encoded = spaces.Dict({key: leaf[0] for key, leaf in leaves.items()})
        return Encoder(encoded, lambda batch: {key: leaves[key][1](batch[key]) for key in leaves})
    return Encoder(*_leaf(space, one_hot))


def is_image(space: spaces.Space[Any]) -> bool:
    """Whether a CNN takes ``space``: bytes, three axes, at least 36 pixels a side."""
    if not isinstance(space, spaces.Box) or space.dtype != np.uint8 or len(space.shape) != 3:
        return False
    height, width = space.shape[1:] if _channels_first(space) else space.shape[:2]
    return min(height, width) >= SMALLEST_IMAGE


def _channels_first(space: spaces.Box) -> bool:
    return int(np.argmin(space.shape)) == 0


def _leaf(space: spaces.Space[Any], one_hot: bool) -> Leaf:
    if is_image(space):
        return _image(space)  # type: ignore[arg-type]  an image is a Box
    if isinstance(space, spaces.Box):
        return _vector(space)
    if one_hot and isinstance(space, spaces.Discrete):
        return _one_hot(np.array([space.n]), np.array([space.start]))
    if one_hot and isinstance(space, spaces.MultiDiscrete):
        return _one_hot(space.nvec.ravel(), space.start.ravel())
    if isinstance(space, (spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)):
        return _numbers(space)
    raise UnsupportedTaskError(
        f"an observation of {space} cannot be encoded: PPO takes Box, Discrete, MultiDiscrete, MultiBinary, or "
        "one Dict of those"
    )


def _image(space: spaces.Box) -> Leaf:
    """Channels first, as torch wants them."""
    if _channels_first(space):
        return space, lambda batch: batch
    height, width, channels = space.shape
    moved = spaces.Box(0, 255, (channels, height, width), np.uint8)
    return moved, lambda batch: np.ascontiguousarray(batch.transpose(0, 3, 1, 2))


def _vector(space: spaces.Box) -> Leaf:
    """Flattened float32; bytes scaled to [0, 1]."""
    scale = np.float32(1 / 255 if space.dtype == np.uint8 else 1)
    low, high = (np.asarray(b, np.float32).ravel() * scale for b in (space.low, space.high))
    flat = spaces.Box(low, high, dtype=np.float32)
    return flat, lambda batch: np.asarray(batch, np.float32).reshape(len(batch), -1) * scale


def _numbers(space: spaces.Space[Any]) -> Leaf:
    """A discrete space as plain numbers."""
    flat = spaces.flatten_space(space).shape if isinstance(space, spaces.MultiBinary) else None
    size = flat[0] if flat else int(np.prod(space.shape or ()))
    box = spaces.Box(-np.inf, np.inf, (size,), np.float32)
    return box, lambda batch: np.asarray(batch, np.float32).reshape(len(batch), -1)


def _one_hot(sizes: npt.NDArray[Any], start: npt.NDArray[Any] | int = 0) -> Leaf:
    """Digits ``[B, k]`` in ``start <= digit < start + sizes`` to ``float32[B, sum(sizes)]``."""
    offsets = np.cumsum(sizes) - sizes - start
    width = int(np.sum(sizes))

    def encode(batch: Any) -> FloatArray:
        digits = np.asarray(batch, np.int64).reshape(len(batch), -1)
        encoded = np.zeros((len(digits), width), np.float32)
        encoded[np.arange(len(digits))[:, None], digits + offsets] = 1.0
        return encoded

    return spaces.Box(0.0, 1.0, (width,), np.float32), encode


def _tokens(space: spaces.Space[Any], window: int, rewarded: bool) -> Leaf:
    """The last tokens of PatternWorld, from either form of its observation (``V + 1`` values a token)."""
    if isinstance(space, spaces.Dict):
        history, action, query = space["history"], space["prev_action"], space["query_k"]
        length, tokens = len(history.nvec), int(history.nvec[0])  # type: ignore[attr-defined]
        actions, queries = int(action.n), int(query.n)  # type: ignore[attr-defined]
    else:
        high = space.high.astype(int)  # type: ignore[attr-defined]
        length, tokens = len(high) - 3, int(high[0]) + 1
        actions, queries = int(high[-3]) + 1, int(high[-1]) + 1
    shown = min(window, length)
    sizes = np.array([tokens] * shown + [queries] + [actions] * rewarded)
    box, one_hot = _one_hot(sizes)
    if rewarded:
        low, high = np.append(box.low, np.float32(-1)), np.append(box.high, np.float32(1))
        box = spaces.Box(low, high, dtype=np.float32)

    def encode(batch: Any) -> FloatArray:
        seen = read(batch)
        digits = [seen.history[:, -shown:], seen.query_k[:, None]]
        if not rewarded:
            return one_hot(np.concatenate(digits, 1))  # type: ignore[return-value]
        digits.append(seen.prev_action[:, None])
        encoded = one_hot(np.concatenate(digits, 1))
        return np.concatenate([encoded, seen.prev_reward[:, None]], 1, dtype=np.float32)

    return box, encode
