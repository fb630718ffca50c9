"""Other perspectives at play: the same step again, by experts that are not the nearest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tropism.agents.contract import BoolArray
from tropism_moe.ensemble import PERSPECTIVES, perspectives
from tropism_moe.serving import Indices, Served, State
from tropism_moe.serving_layers import Floats
from tropism_moe.serving_state import take


class Voices:
    """What ``B`` lanes need for it: each a generator of its own, for the random perspective.

    Args:
        lanes: ``B``.
    """

    PASSES = len(PERSPECTIVES) - 1
    """Beside the nearest experts' own."""

    def __init__(self, lanes: int) -> None:
        self.lanes = [np.random.default_rng(0) for _ in range(lanes)]

    def reset(self, mask: BoolArray, seeds: npt.NDArray[np.uint64]) -> None:
        """Episodes begin in the lanes of ``mask``."""
        for lane in np.flatnonzero(mask):
            self.lanes[lane] = np.random.default_rng(int(seeds[lane]))

    def ask(
        self,
        served: Served,
        seen: npt.NDArray[Any],
        before: State,
        rows: Indices,
        hear: Callable[[Floats, Floats, Indices], Floats],
    ) -> npt.NDArray[np.float32]:
        """What the model says of a step by each other perspective, ``float32[3, R, outputs]``; no state is kept.

        Args:
            served: the model.
            seen: what all lanes were shown.
            before: their state before it.
            rows: lanes that ask, ``int64[R]``.
            hear: makes what is said of the outputs ``float32[R, outputs]``, the latents ``float32[R, D]``, and the rows.
        """
        state, said = take(before, rows), []
        for number in range(1, len(PERSPECTIVES)):
            outputs, _ = served.step(seen[rows], state, self._by(number, rows))
            said.append(hear(outputs, served.features, rows))
        return np.stack(said)

    def _by(self, number: int, rows: Indices) -> Any:
        """Chooses experts by one perspective, each lane for itself."""

        def choose(z: Floats, positions: Floats, layers: Sequence[int]) -> Indices:  # noqa: ARG001
            found = [
                perspectives(at, positions, self.lanes[lane])[number]
                for at, lane in zip(z, rows, strict=True)
            ]
            return np.stack(found)

        return choose
