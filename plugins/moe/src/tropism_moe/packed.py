"""Ternary matrices as they are served: packed in memory, named tensors on disk, and an expert as the bytes of a slab."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from tropism.errors import ArtifactError
from tropism_moe.blocks import SwiGLU
from tropism_moe.budget import disk_row
from tropism_moe.kernels import Expert, linear
from tropism_moe.packing import pack_2bit, pack_base3, transcode
from tropism_moe.ternary import TernaryLinear, quantise

AnyModule = TypeVar("AnyModule", bound=nn.Module)
Arrays = dict[str, npt.NDArray[Any]]
MATRICES = ("gate", "up", "down")
"""Of an expert, in the order of its slab."""


class Packed(NamedTuple):
    """A matrix of ``N`` rows and ``K`` columns.

    Attributes:
        weights: ``uint8[N, W]``, see :mod:`tropism_moe.packing`.
        scale: of them.
    """

    weights: npt.NDArray[np.uint8]
    scale: float

    @classmethod
    def of(cls, weight: torch.Tensor) -> Packed:
        """Quantise ``float[N, K]``."""
        codes, scale = quantise(weight)
        return cls(pack_2bit(codes.numpy()), scale.item())

    def __call__(self, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """``float32[B, N]`` of ``float32[B, K]``."""
        return linear(self.weights, self.scale, x)

    def arrays(self, name: str) -> Arrays:
        """By name, to be written."""
        return {
            f"{name}.weights": self.weights,
            f"{name}.scale": np.array([self.scale], np.float32),
        }

    @classmethod
    def read(cls, arrays: Mapping[str, npt.NDArray[Any]], name: str) -> Packed:
        """What :meth:`arrays` gave."""
        return cls(arrays[f"{name}.weights"], float(arrays[f"{name}.scale"][0]))


def ternarise(model: AnyModule) -> AnyModule:
    """Let every map of a model be ternary, in place: of recurrence, attention, feed-forward networks and experts, the heads excepted."""
    for name, module in list(model.named_children()):
        if isinstance(module, nn.Linear):
            if name != "heads":
                setattr(model, name, _ternary(module))
        else:
            ternarise(module)
    return model


def slab(network: SwiGLU) -> tuple[bytes, dict[str, Any]]:
    """An expert on disk: gate, up and down in base 3, row by row; and what is to be known of it."""
    codes, scales = [], []
    for name in MATRICES:
        code, scale = quantise(getattr(network, name).weight)
        codes.append(code.numpy())
        scales.append(scale.item())
    hidden, width = codes[0].shape
    return b"".join(pack_base3(c).tobytes() for c in codes), slab_facts(width, hidden, scales)


def slab_facts(width: int, hidden: int, scales: list[float]) -> dict[str, Any]:
    """Metadata of a slab."""
    return {"width": width, "hidden": hidden, "scales": scales}


def expert_of(data: npt.NDArray[np.uint8], facts: Mapping[str, Any]) -> Expert:
    """An expert in memory, of the bytes of its slab.

    Raises:
        ArtifactError: the bytes are not as many as its shape needs, or no ternary weights.
    """
    width, hidden = int(facts["width"]), int(facts["hidden"])
    shapes = (hidden, width), (hidden, width), (width, hidden)
    lengths = [rows * disk_row(columns) for rows, columns in shapes]
    if data.size != sum(lengths):
        raise ArtifactError(
            f"a slab of width {width} and {hidden} hidden units has {sum(lengths)} bytes, found {data.size}: pack the model again"
        )
    parts = np.split(np.asarray(data), np.cumsum(lengths)[:-1])
    gate, up, down = (transcode(part, shape) for part, shape in zip(parts, shapes, strict=True))
    return Expert(gate, up, down, np.array(facts["scales"], np.float32))


def _ternary(module: nn.Linear) -> TernaryLinear:
    made = TernaryLinear(module.in_features, module.out_features)
    with torch.no_grad():
        made.weight.copy_(module.weight)
    return made
