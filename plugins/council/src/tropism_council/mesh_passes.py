"""What passes between the processes of a mesh: each way there with the way back that fits it.

Everything outside sees plain tensors; here they are distributed tensors for as long as they travel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard

from tropism_council.council import Council

Nested = TypeVar("Nested")


@dataclass
class Region:
    """Whether the voices are thinking: what they use, processes of ``council`` use differently."""

    inside: bool = False


class OnUse(nn.Module):
    """Turns a distributed parameter into the plain tensor of this process, whenever it is used.

    Args:
        mesh: the parameter's.
        region: says where it is used.
        factor: the plain tensor is multiplied by it, and its gradient summed over ``model``.
    """

    def __init__(self, mesh: DeviceMesh, region: Region, factor: float | None = None) -> None:
        super().__init__()
        self.region, self.factor = region, factor
        self.sizes, self.share = mesh.shape, 1 / mesh.size(0)

    def forward(self, whole: DTensor) -> Tensor:
        """The part of this process."""
        summed = (True, self.region.inside, self.factor is not None)
        grads = [
            Partial() if apart and size > 1 and not placed.is_shard() else placed
            for apart, size, placed in zip(summed, self.sizes, whole.placements, strict=True)
        ]
        local = whole.redistribute(placements=whole.placements).to_local(grad_placements=grads)
        return _Scaled.apply(local * (self.factor or 1.0), self.share)


class _Scaled(torch.autograd.Function):
    """The same tensor, whose gradient is multiplied."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: float) -> Tensor:
        """Nothing happens on the way there."""
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        """Multiply."""
        return grads[0] * ctx.factor, None


def copied(x: Tensor, mesh: DeviceMesh) -> Tensor:
    """The same tensor, for processes that do different things with it: gradients are summed."""
    return DTensor.from_local(x, mesh, [Replicate()]).to_local(grad_placements=[Partial()])


def summed(x: Tensor, mesh: DeviceMesh) -> Tensor:
    """The sum of the processes' tensors, for processes that go on alike."""
    return DTensor.from_local(x, mesh, [Partial()]).full_tensor()


def gathered(x: Tensor, mesh: DeviceMesh, axis: int) -> Tensor:
    """The processes' tensors side by side, for processes that go on alike."""
    return DTensor.from_local(x, mesh, [Shard(axis)]).full_tensor()


def convene(council: Council, mesh: DeviceMesh, region: Region) -> None:
    """Let each process think with its own voices.

    Between the hooks everything counts as different in each process, and gradients are summed; what the arbiter does in all of
    them alike therefore gets, on the way back, a part of the gradient each.
    """
    share = 1 / mesh.size()

    def enter(_: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
        region.inside = True
        return _each(given, lambda x: copied(x, mesh))

    def gather(_: nn.Module, given: tuple[Tensor]) -> tuple[Tensor]:
        return (
            gathered(_Scaled.apply(given[0], mesh.size()), mesh, 2),
        )  # alike from here: undo the share

    def leave(_: nn.Module, __: Any, thought: Any) -> Any:
        region.inside = False
        if thought is None:  # it failed
            return None
        recalled = summed(thought.recalled * share, mesh)  # a mean over the voices of each process
        return _each(thought, lambda x: _Scaled.apply(x, share))._replace(recalled=recalled)

    council.register_forward_pre_hook(enter)
    council.norm_out.register_forward_pre_hook(gather)
    council.register_forward_hook(leave, always_call=True)


def _each(x: Nested, change: Callable[[Tensor], Tensor]) -> Nested:
    """Change the tensors of real numbers in nested tuples."""
    if isinstance(x, Tensor):
        return change(x) if x.is_floating_point() else x  # type: ignore[return-value]
    if isinstance(x, tuple):
        parts = [_each(part, change) for part in x]
        return type(x)(*parts) if hasattr(x, "_fields") else tuple(parts)  # type: ignore[return-value]
    return x
