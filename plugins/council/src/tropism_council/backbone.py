"""The causal stream: layers over a sliding window of positions, with a cache, so that a step costs one window."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from tropism_council.blocks import NEVER, Cache, Layer, ages


class Stream(NamedTuple):
    """What a lane remembers of its last positions.

    Attributes:
        caches: one a layer.
        latents: what the last layer made of them, ``float[B, P, D]``.
        where: positions in the caches, ``int64[B, P]``; ``NEVER`` where a place is empty.
        count: positions so far, ``int64[B]``.
    """

    caches: tuple[Cache, ...]
    latents: Tensor
    where: Tensor
    count: Tensor  # pyright: ignore[reportIncompatibleMethodOverride]  nobody counts a tuple's parts

    def forget(self, mask: Tensor) -> Stream:
        """The same with nothing seen in the lanes of ``bool[B]``."""
        where = self.where.masked_fill(mask[:, None], NEVER)
        return self._replace(where=where, count=self.count.masked_fill(mask, 0))

    def detach(self) -> Stream:
        """The same, through which no gradient flows."""
        caches = tuple(Cache(c.keys.detach(), c.values.detach()) for c in self.caches)
        return self._replace(caches=caches, latents=self.latents.detach())


class Context(NamedTuple):
    """All positions at hand after reading.

    Attributes:
        latents: of the last layer, ``float[B, P + S, D]``.
        where: positions, ``int64[B, P + S]``; ``NEVER`` where there is none.
    """

    latents: Tensor
    where: Tensor


def within(where: Tensor, others: Tensor, window: int) -> Tensor:
    """Which ``others`` (``int64[B, C]``) the positions ``where`` (``int64[B, S]``) see, ``bool[B, S, C]``."""
    apart = where[:, :, None] - others[:, None, :]
    return (apart >= 0) & (apart < window) & (others[:, None, :] >= 0)


class Backbone(nn.Module):
    """Layers of :mod:`tropism_council.blocks`.

    Args:
        width: ``D``.
        layers: how many.
        heads: heads a layer.
        window: positions that one sees, itself included.
    """

    def __init__(self, width: int, layers: int, heads: int, window: int) -> None:
        super().__init__()
        self.width, self.heads, self.window = width, heads, window
        self.layers = nn.ModuleList(Layer(width, heads) for _ in range(layers))
        self.norm = nn.RMSNorm(width)

    def begin(self, lanes: int, device: torch.device | str = "cpu") -> Stream:
        """Nothing seen yet."""
        empty = torch.zeros(lanes, self.heads, 0, self.width // self.heads, device=device)
        where = torch.zeros(lanes, 0, dtype=torch.int64, device=device)
        count = torch.zeros(lanes, dtype=torch.int64, device=device)
        latents = torch.zeros(lanes, 0, self.width, device=device)
        return Stream(tuple(Cache(empty, empty) for _ in self.layers), latents, where, count)

    def forward(
        self, x: Tensor, p: Tensor, stream: Stream, new: Tensor
    ) -> tuple[Tensor, Context, Stream, Tensor]:
        """Read further positions.

        Args:
            x: ``float[B, S, D]``, those that are new at the end of each row.
            p: plasticity, ``float[B, S]``.
            stream: what was read before.
            new: which of ``x`` exist, ``bool[B, S]``; lanes may read different numbers of positions.

        Returns:
            Latents ``float[B, S, D]``, all that is at hand, the stream with the last ``window`` positions, and what the last
            layer had before its last gains, ``float[B, S, D]``.
        """
        where = torch.where(new, stream.count[:, None] + new.cumsum(1) - 1, NEVER)
        every = torch.cat([stream.where, where], 1)
        mask = within(where, every, self.window)
        own = torch.arange(x.shape[1], device=x.device)
        mask[:, own, stream.where.shape[1] + own] = True  # so that no row is empty
        newest = self._newest(every, new)
        caches, before, age = [], x, ages(every)
        for layer, cache in zip(self.layers, stream.caches, strict=True):
            x, kept, before = layer(x, p, where.clamp(min=0), age, mask, cache)
            caches.append(Cache(*(newest(part, 2) for part in kept)))
        latents = self.norm(x)
        context = torch.cat([stream.latents, latents], 1)
        after = Stream(
            tuple(caches), newest(context, 1), newest(every, 1), stream.count + new.sum(1)
        )
        return latents, Context(context, every), after, before

    def _newest(self, every: Tensor, new: Tensor) -> Callable[[Tensor, int], Tensor]:
        """What keeps the last ``window`` positions along an axis, wherever in their rows they stand."""
        if new.shape[1] == 1 or new.all():
            return lambda x, axis: x.narrow(axis, *self._tail(x.shape[axis]))
        order = torch.argsort(every, dim=1, stable=True)[:, -self.window :]

        def gather(x: Tensor, axis: int) -> Tensor:
            index = order.view(order.shape[0], *[1] * (axis - 1), -1, *[1] * (x.dim() - axis - 1))
            return x.gather(axis, index.expand(*x.shape[:axis], -1, *x.shape[axis + 1 :]))

        return gather

    def _tail(self, length: int) -> tuple[int, int]:
        kept = min(length, self.window)
        return length - kept, kept
