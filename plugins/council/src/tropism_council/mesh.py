"""One network over a mesh of processes: lanes over ``data``, voices over ``council``, wide layers over ``model``.

Parameters are PyTorch's distributed tensors (``DTensor``) on the whole mesh; every process holds its part of them and works on
plain local tensors, and the gradients that come back are summed where processes saw different things:

==========  ================================================================================================
data        Every process reads lanes of its own.  Gradients are averaged, and what the gate takes for typical.
council     Every process thinks with voices of its own, and has their personas only.  Minds are gathered
            for the arbiter, who sits in every process.
model       Two layers with an activation between them: the first by columns, the second by rows, their
            inside is never whole anywhere (Shoeybi et al. 2019, arXiv:1909.08053).  Every other layer by
            columns, its output gathered; heads that do not divide stay whole.
==========  ================================================================================================

Why not distributed tensors all the way through: flattening voices into questions, rotary positions, and masks that are made of
indices have no sharding that DTensor could carry on, and would be gathered at each of them.  The scores of attention are
therefore computed in every process of ``model``; what is divided are the projections, which are most of the work.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import (
    DTensor,
    Partial,
    Placement,
    Replicate,
    Shard,
    distribute_tensor,
)
from torch.nn.utils import parametrize

from tropism.errors import OptionError
from tropism_council.mesh_passes import OnUse, Region, convene, copied, gathered, summed
from tropism_council.network import Network

AXES = ("data", "council", "model")
"""Names of the mesh's dimensions, in this order."""


def shard(network: Network, mesh: DeviceMesh) -> Network:
    """Place ``network`` on ``mesh``, and return it; its methods are called as before, with the lanes of this process.

    All processes begin with the weights of rank 0.  A loss is the mean over the lanes of a process; see :func:`mean`.

    Args:
        network: not sharded yet; processes hold networks of the same sizes.
        mesh: of three dimensions, named :data:`AXES`.

    Raises:
        OptionError: if the mesh has other dimensions, or does not divide voices or width.
    """
    _check(network, mesh)
    _flatten(mesh)
    region = Region()
    rows = _pair_up(network, mesh)
    for name, module in list(network.named_modules()):
        for part, parameter in list(module.named_parameters(recurse=False)):
            model = _placement(module, part, mesh, module in rows)
            council = Shard(0) if f"{name}.{part}" == "council.personas" else Replicate()
            placed = distribute_tensor(parameter.detach(), mesh, [Replicate(), council, model])
            setattr(module, part, nn.Parameter(placed, parameter.requires_grad))
            factor = 1 / mesh.size(2) if module in rows and part == "bias" else None
            parametrize.register_parametrization(
                module, part, OnUse(mesh, region, factor), unsafe=True
            )
        if isinstance(module, nn.RNNBase):
            module.register_forward_pre_hook(_fresh)
    convene(network.council, mesh["council"], region)
    network.gate.together = lambda mine: mean(mine, mesh)
    return network


def lanes(count: int, mesh: DeviceMesh) -> slice:
    """Which of ``count`` lanes are those of this process.

    Raises:
        OptionError: if they do not divide.
    """
    parts = mesh.size(0)
    if count % parts:
        raise OptionError(f"lanes must be a multiple of the mesh's data = {parts}, got {count}")
    mine = count // parts
    first = mesh.get_local_rank("data") * mine
    return slice(first, first + mine)


def mean(loss: Tensor, mesh: DeviceMesh) -> Tensor:
    """The mean over all lanes of a mean over those of each process; to look at, not to differentiate."""
    total = DTensor.from_local(loss.detach(), mesh["data"], [Partial()]).full_tensor()
    return total / mesh.size(0)


def whole(network: Network) -> dict[str, Tensor]:
    """The state of a sharded network under the names of one that is not; every process calls it, and gets all of it."""
    state = network.state_dict()
    names = {
        name: name.replace("parametrizations.", "").removesuffix(".original") for name in state
    }
    return {
        names[name]: value.full_tensor() if isinstance(value, DTensor) else value
        for name, value in state.items()
    }


def _check(network: Network, mesh: DeviceMesh) -> None:
    """Refuse what does not divide.

    Raises:
        OptionError: naming the size, and the dimension of the mesh.
    """
    if mesh.mesh_dim_names != AXES:
        raise OptionError(
            f"the mesh's dimensions must be named {AXES}, they are {mesh.mesh_dim_names}; "
            f"call init_device_mesh(device, (d, c, m), mesh_dim_names={AXES})"
        )
    if any(parametrize.is_parametrized(module) for module in network.modules()):
        raise OptionError("the network is sharded already; make another and load whole(network)")
    voices, width = network.council.personas.shape
    for name, size, axis in (("voices", voices, 1), ("width", width, 2)):
        if size % mesh.size(axis):
            raise OptionError(
                f"{name} must be a multiple of the mesh's {AXES[axis]} = {mesh.size(axis)}, got {size}"
            )


def _flatten(mesh: DeviceMesh) -> None:
    """Let gradients be summed over several dimensions at once; without these, PyTorch sums one by one and warns of it."""
    wide = [name for name, size in zip(AXES, mesh.shape, strict=True) if size > 1]
    for names in (("data", "council"), ("data", "model"), ("council", "model"), AXES):
        if set(names) <= set(wide):
            mesh[names]._flatten()


def _pair_up(network: Network, mesh: DeviceMesh) -> set[nn.Module]:
    """Put hooks around layers that are divided over ``model``; returns those that are divided by rows."""
    model = mesh["model"]
    rows, columns = set(), set()
    for module in network.modules():
        if isinstance(module, nn.Sequential) and _is_pair(module, mesh):
            first, _, last = module
            columns.add(first)
            rows.add(last)
            first.register_forward_pre_hook(_given(lambda x: copied(x, model)))
            last.register_forward_hook(_found(lambda out: summed(out, model)))
    for module in network.modules():
        if _by_columns(module, mesh) and module not in rows | columns:
            module.register_forward_pre_hook(_given(lambda x: copied(x, model)))
            module.register_forward_hook(_found(lambda out: gathered(out, model, out.dim() - 1)))
    return rows


def _is_pair(module: nn.Sequential, mesh: DeviceMesh) -> bool:
    """Whether this is a layer, an activation, a layer, and the inside divides."""
    kinds = [isinstance(part, nn.Linear) for part in module]
    return kinds == [True, False, True] and _by_columns(module[0], mesh)


def _by_columns(module: nn.Module, mesh: DeviceMesh) -> bool:
    return isinstance(module, nn.Linear) and module.out_features % mesh.size(2) == 0


def _placement(module: nn.Module, part: str, mesh: DeviceMesh, row: bool) -> Placement:
    """Of a parameter, over ``model``."""
    if row:
        return Shard(1) if part == "weight" else Replicate()
    return Shard(0) if _by_columns(module, mesh) else Replicate()


def _given(change: Callable[[Tensor], Tensor]) -> Callable[..., Any]:
    """A hook that changes what a layer is given."""
    return lambda _, given: (change(given[0]), *given[1:])


def _found(change: Callable[[Tensor], Tensor]) -> Callable[..., Any]:
    """A hook that changes what it found."""
    return lambda _, __, out: change(out)


def _fresh(module: nn.RNNBase, _: Any) -> None:
    """Recurrent layers keep a list of their weights; give it those of now."""
    module._flat_weights = [getattr(module, name) for name in module._flat_weights_names]
