"""A table of action values over hashed observations, and the policy that acts by it."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tropism.agents import Decision, Policy, Task
from tropism.agents.arrays import load_arrays, save_arrays
from tropism.agents.artifacts import write_atomic
from tropism.agents.records import read_record, spaces_record
from tropism.envs.core.baselines import LaneRandom
from tropism.errors import ArtifactError

WEIGHTS, RECORD = "values.npz", "record.json"


@dataclass(frozen=True)
class Rows:
    """How observations are turned into rows of the table.

    Attributes:
        count: rows; observations that share one are taken for the same.
        cell: side of the cells that real numbers are binned into.
    """

    count: int
    cell: float

    def of(self, observation: Any) -> npt.NDArray[np.int64]:
        """``int64[B]``: CRC-32 of the bytes of each lane's observation; a dictionary goes key by key."""
        batch = observation if isinstance(observation, Mapping) else {"": observation}
        arrays = [self._binned(np.asarray(batch[key])) for key in sorted(batch)]
        digests = [0] * len(arrays[0])
        for array in arrays:
            digests = [
                zlib.crc32(row.tobytes(), digest)
                for row, digest in zip(array, digests, strict=True)
            ]
        return np.array(digests, dtype=np.int64) % self.count

    def _binned(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if np.issubdtype(array.dtype, np.floating):
            return np.floor(array / self.cell).astype("<i8")
        return np.ascontiguousarray(array)


class TablePolicy(Policy):
    """Samples actions from the softmax of a row of values; it does not learn while it acts.

    A policy that adapts would do so in ``observe``, in arrays with one row a lane, and forget in ``reset``.

    Args:
        task: what the values were learned on.
        values: ``float64[rows.count, actions]``.
        rows: which row belongs to an observation.
        temperature: of the softmax, in units of value, > 0.
    """

    def __init__(
        self, task: Task, values: npt.NDArray[np.float64], rows: Rows, temperature: float
    ) -> None:
        self.task, self.values, self.rows, self.temperature = task, values, rows, temperature
        self._random = LaneRandom(0)
        self._lanes = 0

    def reset(self, mask: npt.NDArray[np.bool_], seeds: npt.NDArray[np.uint64]) -> None:
        """Begin an episode in the lanes of ``mask``: their seeds are their only randomness."""
        if self._lanes != len(mask):
            self._lanes, self._random = len(mask), LaneRandom(len(mask))
        self._random.reset(mask, seeds)

    def act(
        self,
        observation: Any,
        info: Mapping[str, Any],  # noqa: ARG002
        gate: npt.NDArray[np.bool_] | None = None,  # noqa: ARG002  there is one mode
    ) -> Decision:
        """One look into the table a lane."""
        log_probs = self.log_probs(self.rows.of(observation))
        unit = self._random.words() / 2**32
        action = (np.exp(log_probs).cumsum(axis=1) < unit[:, None]).sum(axis=1)
        action = np.minimum(
            action, log_probs.shape[1] - 1
        )  # the sum may fall short of 1 by rounding
        return Decision(action, np.ones(len(action), np.int64), log_probs.astype(np.float32))

    def log_probs(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """``float64[B, n]``: the softmax of the values in ``rows``, as logarithms."""
        logits = self.values[rows] / self.temperature
        logits -= logits.max(axis=1, keepdims=True)
        return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))

    def save(self, directory: Path) -> None:
        """Write the values, and for which spaces they are."""
        save_arrays(directory / WEIGHTS, {"values": self.values})
        record = {
            "temperature": self.temperature,
            "cell": self.rows.cell,
            **spaces_record(self.task),
        }
        write_atomic(directory / RECORD, json.dumps(record))


def load_table(directory: Path, task: Task) -> TablePolicy:
    """The policy that :meth:`TablePolicy.save` wrote.

    Raises:
        tropism.errors.ArtifactError: if it is incomplete, damaged, or for other spaces.
    """
    record = read_record(directory / RECORD, spaces_record(task))
    values = load_arrays(directory / WEIGHTS).get("values")
    if values is None or not {"temperature", "cell"} <= record.keys():
        raise ArtifactError(f"{directory} lacks values, temperature or cell; train again")
    return TablePolicy(task, values, Rows(len(values), record["cell"]), record["temperature"])
