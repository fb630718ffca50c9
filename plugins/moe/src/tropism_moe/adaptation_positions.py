"""Positions of experts on the torus that adapt by trial: an evolution strategy."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tropism.errors import OptionError
from tropism_moe.adaptation_config import AdaptationConfig
from tropism_moe.evolution import FloatArray, antithetic, evolution_gradient
from tropism_moe.lattice import mod_one, wrap
from tropism_moe.rollback import Rollback, Tensors


class PositionAdapter:
    """Positions that move to where losses are lower.

    A generation is :meth:`candidates`, which the caller tries, and :meth:`select` with what each of them lost.  The first candidate
    is the best of a window past: where the others lose more than it by the margin, on average over a window, it returns.

    Args:
        positions: of the experts, ``float[..., 3]`` in [0, 1); 0 and 1 are the same.
        config: rates and sizes; its window counts candidates.

    Attributes:
        positions: ``float64[..., 3]``.
        rollback: compares each generation with the snapshot.
        generation: how many have been selected from.

    Raises:
        OptionError: positions of another shape, or not in [0, 1).
    """

    def __init__(self, positions: npt.ArrayLike, config: AdaptationConfig) -> None:
        self.config, self.generation = config, 0
        start = np.array(positions, np.float64)
        if start.ndim < 1 or start.shape[-1] != 3 or not ((start >= 0) & (start < 1)).all():
            raise OptionError(
                f"positions {list(start.shape)}; float[..., 3], every number in [0, 1), expected"
            )
        self.positions, self._start = start, start.copy()
        self.rollback = Rollback(self._state(), config.window, config.margin)

    @property
    def size(self) -> int:
        """Coordinates that adapt."""
        return self._start.size

    def candidates(self) -> FloatArray:
        """Positions to try, ``float64[1 + M, ..., 3]``: the snapshot, and perturbations of where they are now."""
        moved = self.positions + self.config.sigma * self._noise().reshape(-1, *self._start.shape)
        return np.concatenate([self.rollback.snapshot["positions"].numpy()[None], mod_one(moved)])

    def select(self, losses: npt.ArrayLike) -> None:
        """Move by what the candidates lost.

        Args:
            losses: ``float[1 + M]``, infinity for one that failed.

        Raises:
            OptionError: another number of them, or one is not a number; nothing has moved.
        """
        found, noise = np.asarray(losses, np.float64), self._noise()
        if found.shape != (1 + len(noise),) or np.isnan(found).any():
            raise OptionError(
                f"losses have shape {found.shape}, {np.isnan(found).sum()} of them not a number; one for each of "
                f"{1 + len(noise)} candidates expected, infinity for one that failed"
            )
        away = wrap(self.candidates()[1:] - self._start).reshape(len(noise), -1)
        anchored = found[1:] + self.config.position_anchor * np.square(away).sum(1)
        self.rollback.watch(torch.from_numpy(found[1:]), torch.full((len(noise),), found[0]))
        move = self.config.position_rate * evolution_gradient(noise, anchored, self.config.sigma)
        self.positions = mod_one(self.positions - move.reshape(self._start.shape))
        self.generation += 1
        self.positions = self.rollback.judge(self._state())["positions"].numpy()

    def state_dict(self) -> Tensors:
        """Everything that changes, and where it began."""
        state = {f"rollback.{name}": x for name, x in self.rollback.state_dict().items()}
        start, generation = torch.from_numpy(self._start.copy()), torch.tensor(self.generation)
        return {**state, **self._state(), "start": start, "generation": generation}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take over what :meth:`state_dict` gave."""
        inner = {k.removeprefix("rollback."): v for k, v in state.items() if k.startswith("rollback.")}  # fmt: skip
        self.rollback.load_state_dict(inner)
        self.positions, self._start = (state[k].numpy().copy() for k in ("positions", "start"))
        self.generation = int(state["generation"])

    def _state(self) -> Tensors:
        return {"positions": torch.from_numpy(self.positions.copy())}

    def _noise(self) -> FloatArray:
        """Of this generation, ``float64[M, n]``, the same whenever it is asked for."""
        rng = np.random.default_rng([self.config.seed, self.generation])
        return antithetic(self.config.population, self.size, rng)
