"""A vector environment over any array kernel, in NumPy or jitted in JAX."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tropism.envs.core.vector import BoolArray, LaneVectorEnv
from tropism.errors import UnknownNameError


class ArrayKernel(Protocol):
    """What a kernel offers: pure functions of a ``State``, a NamedTuple of arrays with the lanes first."""

    def reset(self, key: Any, episode: Any, overrides: Mapping[str, Any] | None = None) -> Any:
        """State at the beginning of ``episode``."""
        ...

    def step(self, state: Any, action: Any) -> Any:
        """State after ``action``."""
        ...

    def observe(self, state: Any) -> Any:
        """Observation of ``state``."""
        ...

    def reward(self, state: Any) -> Any:
        """Reward of the step that led to ``state``."""
        ...

    def ended(self, state: Any) -> tuple[Any, Any]:
        """``terminated`` and ``truncated`` of ``state``."""
        ...

    def labels(self, state: Any) -> dict[str, Any]:
        """Labels of ``state`` for info."""
        ...


class KernelVectorEnv(LaneVectorEnv):
    """Lanes of one kernel.  ``backend`` is ``"numpy"`` or ``"jax"`` (each step one jitted call).

    Subclasses call :meth:`_use` with a factory ``kernel(xp)``, implement ``_check_actions`` and may narrow
    ``_overrides``.
    """

    _state: Any = None

    def _use(self, factory: Any, backend: str) -> None:
        if backend not in ("numpy", "jax"):
            raise UnknownNameError("backend", backend, ("numpy", "jax"))
        self._jax = backend == "jax"
        if not self._jax:
            self._kernel: ArrayKernel = factory(np)
            self._step, self._reset = self._kernel.step, self._kernel.reset
            return
        import jax

        self._kernel = factory(jax.numpy)
        self._step, self._reset = jax.jit(self._kernel.step), jax.jit(self._kernel.reset)
        self._observed, self._labelled = jax.jit(self._kernel.observe), jax.jit(self._kernel.labels)

    def _overrides(self, options: Mapping[str, Any]) -> dict[str, npt.NDArray[np.int32]]:
        """Reset options as int32[B], -1 where unset."""
        return {
            name: np.broadcast_to(np.int32(value), (self.num_envs,))
            for name, value in options.items()
        }

    def _restart(self, lanes: BoolArray, options: Mapping[str, Any]) -> None:
        overrides = self._overrides(options)
        fresh = self._reset(self._keys.copy(), self._episodes.copy(), overrides)
        if self._state is not None and not lanes.all():
            fresh = self._merge(lanes, fresh)
        self._state = fresh

    def _merge(self, lanes: BoolArray, fresh: Any) -> Any:
        where = np.where
        if self._jax:
            import jax.numpy

            where = jax.numpy.where
        merged = [
            where(lanes.reshape(-1, *[1] * (new.ndim - 1)), new, old)
            for new, old in zip(fresh, self._state, strict=True)
        ]
        return type(fresh)(*merged)

    def _advance(self, actions: Any) -> tuple[npt.NDArray[np.float64], BoolArray, BoolArray]:
        self._state = self._step(self._state, actions)
        reward = np.array(self._kernel.reward(self._state), np.float64)
        terminated, truncated = self._kernel.ended(self._state)
        return reward, np.array(terminated), np.array(truncated)

    def _observe(self) -> Any:
        if not self._jax:
            return self._kernel.observe(self._state)
        return self._to_numpy(self._observed(self._state))

    def _labels(self) -> dict[str, npt.NDArray[Any]]:
        if not self._jax:
            return {
                name: np.array(array) for name, array in self._kernel.labels(self._state).items()
            }
        return self._to_numpy(self._labelled(self._state))

    def _to_numpy(self, value: Any) -> Any:
        """JAX arrays as fresh NumPy arrays; its 32-bit integers as Gymnasium's 64-bit ones."""
        if isinstance(value, dict):
            return {name: self._to_numpy(part) for name, part in value.items()}
        array = np.array(value)
        return array.astype(np.int64) if array.dtype.kind == "i" else array
