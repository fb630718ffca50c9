"""Adaptation of a trained policy while it acts: its head by gradients, its router by an evolution strategy.

No history of activations is kept, so that it costs a few passes of a head and can go on for good.  Both are drawn to where they
began and return to a snapshot that does better.  Forward gradients of ``n`` parameters are noisy in proportion to ``n``, hence
:data:`LIMIT`: the seed (``002``) would have adapted two million.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tropism.errors import ArtifactError, OptionError
from tropism_moe.adaptation_config import AdaptationConfig
from tropism_moe.adaptation_head import HeadAdapter, Loss, squared_error
from tropism_moe.adaptation_positions import PositionAdapter

LIMIT = 2048
"""Parameters that may adapt: the cosine of a forward gradient of 8 directions with the gradient is then 0.06."""
GROWING = ("head.features", "head.targets")
"""Of the state, what gets longer as pairs are observed."""


class Adapter:
    """The head of a policy, the positions of its experts, or both, that learn online.

    Deterministic given ``config.seed`` and what is observed.

    Args:
        weight: of the head, ``float[V, D]``; it is not changed.  None leaves the head alone.
        config: rates and sizes.
        positions: of the experts, or what is to be added to them in all layers alike, ``float[..., 3]`` in [0, 1).
        loss: of outputs ``float[n, V]`` by targets ``[n, ...]``, ``float[n]``: :func:`squared_error`, :func:`cross_entropy` by right
            answers, :func:`policy_gradient` by rewards, or any of operations that ``torch.func`` can differentiate and map over a batch.

    Attributes:
        positions: a :class:`PositionAdapter`, or None.

    Raises:
        OptionError: more than 2,048 parameters would adapt, or an argument does not fit.
    """

    def __init__(
        self,
        weight: Tensor | None,
        config: AdaptationConfig,
        positions: npt.ArrayLike | None = None,
        loss: Loss = squared_error,
    ) -> None:
        self._head = None if weight is None else HeadAdapter(weight, config, loss)
        self.positions = None if positions is None else PositionAdapter(positions, config)
        if self.size > LIMIT:
            moved = self.positions.size if self.positions else 0
            raise OptionError(
                f"{self.size - moved} parameters of the head and {moved} coordinates of experts would adapt; "
                f"{LIMIT} together at most: lower the rank ({config.rank}), or leave the positions alone"
            )

    @property
    def head(self) -> HeadAdapter:
        """The head.

        Raises:
            OptionError: it was left alone.
        """
        if self._head is None:
            raise OptionError("the head does not adapt; an Adapter of its weight expected")
        return self._head

    @property
    def size(self) -> int:
        """Parameters that adapt."""
        return sum(part.size for part in self._parts.values())

    def outputs(self, features: Tensor) -> Tensor:
        """Of latents ``float[..., D]``, by the head as adapted so far, ``float[..., V]``."""
        return self.head.outputs(features)

    def observe(self, features: Tensor, targets: Tensor) -> Tensor:
        """Take in pairs of the last step, as :meth:`HeadAdapter.observe`; returns the losses before learning from them."""
        return self.head.observe(features, targets)

    def step(self) -> float | None:
        """Learn between steps, as :meth:`HeadAdapter.step`; returns the mean loss of the pairs at hand."""
        return self.head.step()

    def state_dict(self) -> dict[str, npt.NDArray[Any]]:
        """Everything that changes, as plain arrays."""
        states = {part: of.state_dict() for part, of in self._parts.items()}
        return {
            f"{p}.{name}": x.numpy() for p, state in states.items() for name, x in state.items()
        }

    def load_state_dict(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take over what :meth:`state_dict` of an adapter with the same arguments gave.

        Raises:
            ArtifactError: an array is missing, or of another shape or dtype; nothing was taken over.
        """
        mine = self.state_dict()
        for name in mine.keys() - {"head.targets"}:
            _alike(name, mine[name], state.get(name))
        tensors = {name: torch.from_numpy(np.array(x)) for name, x in state.items()}
        for part, of in self._parts.items():
            of.load_state_dict({k.removeprefix(f"{part}."): v for k, v in tensors.items() if k.startswith(part)})  # fmt: skip

    @property
    def _parts(self) -> dict[str, HeadAdapter | PositionAdapter]:
        parts = {"head": self._head, "positions": self.positions}
        return {name: part for name, part in parts.items() if part is not None}


def _alike(name: str, mine: npt.NDArray[Any], theirs: npt.NDArray[Any] | None) -> None:
    first = 1 if name in GROWING else 0
    if theirs is None or theirs.shape[first:] != mine.shape[first:] or theirs.dtype != mine.dtype:
        found = "nothing" if theirs is None else f"{theirs.dtype}{list(theirs.shape)}"
        raise ArtifactError(
            f"adapter state {name!r} is {found}; {mine.dtype}{list(mine.shape)} expected: "
            "load it into an adapter of the same head, settings and positions"
        )
