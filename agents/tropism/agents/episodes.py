"""One finished evaluation episode with everything the metrics need, and its file."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from tropism.agents.arrays import load_arrays, save_arrays
from tropism.errors import ArtifactError


@dataclass(frozen=True)
class Episode:
    """What happened in one episode of ``T`` steps; index ``t`` is the moment of action ``t``.

    Attributes:
        seed: the seed of environment and policy.
        reward: ``float64[T]``, what action ``t`` earned.
        action: ``[T, ...]``.
        compute: ``int64[T]``, cost of the decision in the agent's own primitive.
        gated: ``bool[T]``, the costly mode was used; ``None`` if the policy reports no ``mode``.
        labels: ground truth about the regime that judges action ``t``, each ``[T]``.
        target_log_prob: ``float32[T]``, the agent's log-probability (nats) of ``labels["target"]``; ``None`` if it
            gives none.
        action_log_prob: ``float32[T]``, its log-probability of the action it took, likewise: its confidence.
        terminated: the episode ended by itself, not by its time limit.
        lanes: lanes of the batch it was played in.
        wall_us: mean wall microseconds a decision took, that is of the batch divided by its lanes.
        action_hash: :func:`hash_actions` of seed and actions.
    """

    seed: int
    reward: npt.NDArray[np.float64]
    action: npt.NDArray[Any]
    compute: npt.NDArray[np.int64]
    gated: npt.NDArray[np.bool_] | None
    labels: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
    target_log_prob: npt.NDArray[np.float32] | None = None
    action_log_prob: npt.NDArray[np.float32] | None = None
    terminated: bool = False
    lanes: int = 1
    wall_us: float = 0.0
    action_hash: str = ""

    @property
    def score(self) -> float:
        """The return: rewards summed without rounding error, so that it never depends on the batch."""
        return float(np.sum(self.reward, dtype=np.longdouble))

    def __len__(self) -> int:
        return len(self.reward)


def hash_actions(seed: int, action: npt.NDArray[Any]) -> str:
    """SHA3-256 (hex) over the seed and the canonical bytes of an action stream.

    Integers are hashed as little-endian int64 and floats as little-endian float32, row by row, after a JSON
    header of seed, type and shape; so two machines agree if and only if the actions do.
    """
    kind = "<i8" if np.issubdtype(action.dtype, np.integer) or action.dtype == np.bool_ else "<f4"
    stream = np.ascontiguousarray(action, dtype=kind)
    header = json.dumps(
        {"seed": int(seed), "dtype": kind, "shape": list(stream.shape)}, sort_keys=True
    )
    return hashlib.sha3_256(header.encode() + b"\n" + stream.tobytes()).hexdigest()


_ARRAYS = ("reward", "action", "compute", "gated", "target_log_prob", "action_log_prob")
_SCALARS = tuple(f.name for f in fields(Episode) if f.name not in (*_ARRAYS, "labels"))


def save_episodes(path: str | os.PathLike[str], episodes: Sequence[Episode]) -> None:
    """Write episodes into one ``.npz`` file, atomically and without pickle."""
    arrays: dict[str, npt.NDArray[Any]] = {}
    for number, episode in enumerate(episodes):
        present = {name: getattr(episode, name) for name in _ARRAYS}
        present |= {f"labels.{name}": value for name, value in episode.labels.items()}
        arrays |= {
            f"{number}.{name}": value for name, value in present.items() if value is not None
        }
    scalars = [{name: getattr(episode, name) for name in _SCALARS} for episode in episodes]
    arrays["episodes"] = np.array(json.dumps(scalars))
    save_arrays(path, arrays)


def load_episodes(path: str | os.PathLike[str]) -> list[Episode]:
    """Read what :func:`save_episodes` wrote, and check each action stream against its hash.

    Raises:
        tropism.errors.ArtifactError: if the file is missing, truncated or edited.
    """
    arrays = load_arrays(path)
    try:
        scalars = json.loads(str(arrays.pop("episodes")))
        episodes = [_episode(number, values, arrays) for number, values in enumerate(scalars)]
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{path} holds no episodes ({error!r}); play them again") from error
    for episode in episodes:
        if hash_actions(episode.seed, episode.action) != episode.action_hash:
            raise ArtifactError(
                f"{path}: the actions of seed {episode.seed} do not match their hash; play it again"
            )
    return episodes


def _episode(number: int, scalars: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> Episode:
    mine = {n.partition(".")[2]: value for n, value in arrays.items() if n.startswith(f"{number}.")}
    labels = {n.partition(".")[2]: value for n, value in mine.items() if n.startswith("labels.")}
    present: dict[str, Any] = {name: mine[name] for name in ("reward", "action", "compute")}
    present |= {name: mine.get(name) for name in ("gated", "target_log_prob", "action_log_prob")}
    return Episode(**scalars, **present, labels=labels)
