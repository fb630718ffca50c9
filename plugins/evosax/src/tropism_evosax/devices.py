"""Sharing the population among devices: each computes its part of the lives and all of the strategy.

The strategy's own arithmetic is cheap and is repeated on every device, so that the only thing that travels is what
came of the lives, and one device or several give the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import Mesh, PartitionSpec

from tropism.errors import OptionError

DEVICES = "devices"
"""Name of the mesh axis."""


def choose_devices(population: int, wanted: int | None) -> int:
    """How many devices to use.

    Args:
        population: has to be a multiple of the number.
        wanted: that many, or ``None`` for the most that fit.

    Raises:
        OptionError: if there are fewer than wanted.
    """
    there = jax.device_count()
    if wanted is None:
        return max(n for n in range(1, there + 1) if population % n == 0)
    if wanted > there:
        raise OptionError(
            f"devices must be at most {there}, which this machine shows, got {wanted}"
        )
    return wanted


def on_devices(function: Callable[..., Any], count: int) -> Callable[..., Any]:
    """``function`` run alike on ``count`` devices; inside, :func:`shared` splits the work."""
    if count == 1:
        return function
    mesh = Mesh(jax.devices()[:count], (DEVICES,))
    everywhere = PartitionSpec()
    return jax.shard_map(
        function, mesh=mesh, in_specs=everywhere, out_specs=everywhere, check_vma=False
    )


def shared(function: Callable[..., Any], count: int) -> Callable[..., Any]:
    """``function`` of arrays with a leading axis, computed by parts and put together on each device.

    Args:
        function: takes and gives arrays whose first axis, a multiple of ``count``, is the work.
        count: devices; has to be run inside :func:`on_devices`.
    """
    if count == 1:
        return function

    def part(array: jax.Array) -> jax.Array:
        size = array.shape[0] // count
        start = jax.lax.axis_index(DEVICES) * size
        return jax.lax.dynamic_slice_in_dim(array, start, size)

    def run(*arrays: jax.Array) -> Any:
        mine = function(*(part(array) for array in arrays))
        return jax.tree.map(lambda x: jax.lax.all_gather(x, DEVICES, tiled=True), mine)

    return run
