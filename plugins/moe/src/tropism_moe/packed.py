"""Ternary matrices as they are served: packed in memory, named tensors on disk, and an expert as the bytes of a slab."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from tropism.errors import ArtifactError, OptionError, UnknownNameError
from tropism_moe.blocks import SwiGLU
from tropism_moe.kernels import linear
from tropism_moe.kernels_expert import Expert
from tropism_moe.packing import pack_2bit, pack_base3, transcode
from tropism_moe.store_recode import Recode, Shapes
from tropism_moe.ternary import TernaryLinear, quantise


class Form(NamedTuple):
    """How the weights of an expert lie on the disk.

    Attributes:
        pack: of weights ``int8[N, K]`` their bytes.
        lends: whether it is the form in memory.
    """

    pack: Callable[[npt.NDArray[np.int8]], npt.NDArray[np.uint8]]
    lends: bool


BASE3 = "base3"
FORMS = {
    BASE3: Form(pack_base3, lends=False),
    "2bit": Form(pack_2bit, lends=True),
}
"""``base3`` takes four fifths of the bytes, and has to be transcoded whenever it is read; ``2bit`` is what products read, as it lies."""
AnyModule = TypeVar("AnyModule", bound=nn.Module)
Arrays = dict[str, npt.NDArray[Any]]
MATRICES = ("gate", "up", "down")
"""Of an expert, in the order of its slab."""


class Packed(NamedTuple):
    """A matrix of ``N`` rows and ``K`` columns in memory.

    Attributes:
        weights: ``uint8[N, W]``, see :mod:`tropism_moe.packing`.
        scale: of them.
    """

    weights: npt.NDArray[np.uint8]
    scale: float

    def __call__(self, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """``float32[B, N]`` of ``float32[B, K]``."""
        return linear(self.weights, self.scale, x)

    @classmethod
    def read(cls, arrays: Mapping[str, npt.NDArray[Any]], name: str) -> Packed:
        """What :func:`on_disk` gave.

        Raises:
            ArtifactError: its bytes are no ternary weights.
        """
        weights, (rows, columns), scale = (arrays[f"{name}.{part}"] for part in MATRIX_PARTS)
        return cls(transcode(weights, (int(rows), int(columns))), float(scale[0]))


MATRIX_PARTS = ("weights", "shape", "scale")
"""Of a matrix on disk: ``uint8`` in base 3, ``N`` and ``K``, and the scale."""


def on_disk(name: str, weight: torch.Tensor) -> Arrays:
    """The arrays of ``float[N, K]``, quantised, by name, to be written."""
    codes, scale = quantise(weight)
    parts = pack_base3(codes.numpy()), weight.shape, [scale.item()]
    kinds = (np.uint8, np.int32, np.float32)
    return {
        f"{name}.{k}": np.asarray(x, t) for k, x, t in zip(MATRIX_PARTS, parts, kinds, strict=True)
    }


def ternarise(model: AnyModule) -> AnyModule:
    """Let every map of a model be ternary, in place: of recurrence, attention, feed-forward networks and experts, the heads excepted."""
    for name, module in list(model.named_children()):
        if isinstance(module, nn.Linear):
            if name != "heads":
                setattr(model, name, _ternary(module))
        else:
            ternarise(module)
    return model


def slab(network: SwiGLU, form: str = BASE3) -> tuple[bytes, dict[str, Any]]:
    """An expert on disk, and what is to be known of it."""
    found = [quantise(getattr(network, name).weight) for name in MATRICES]
    return slab_of(
        [codes.numpy() for codes, _ in found], [scale.item() for _, scale in found], form
    )


def slab_of(
    codes: Sequence[npt.NDArray[np.int8]], scales: Sequence[float], form: str = BASE3
) -> tuple[bytes, dict[str, Any]]:
    """The same of weights of gate, up and down in {-1, 0, 1}, ``int8``, one after the other, row by row.

    Raises:
        UnknownNameError: there is no such form.
    """
    hidden, width = codes[0].shape
    facts = {"width": width, "hidden": hidden, "scales": list(scales), "form": form}
    return b"".join(form_of(facts).pack(c).tobytes() for c in codes), facts


def shapes_of(facts: Mapping[str, Any]) -> Shapes:
    """Rows and columns of gate, up and down of a slab.

    Raises:
        ArtifactError: it does not say them.
    """
    try:
        width, hidden = int(facts["width"]), int(facts["hidden"])
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(
            f"a slab must say its width and hidden units, found {dict(facts)}; pack the model again"
        ) from error
    return (hidden, width), (hidden, width), (width, hidden)


RECODE = Recode(shapes_of)
"""Slabs in base 3 as they lie in memory."""


def expert_of(data: npt.NDArray[np.uint8], facts: Mapping[str, Any]) -> Expert:
    """An expert, of the bytes of its slab.

    Raises:
        ArtifactError: the bytes are not as many as its shape needs, or no ternary weights.
        UnknownNameError: there is no such form.
    """
    return expert_in(data if form_of(facts).lends else RECODE(data, facts), facts)


def expert_in(data: npt.NDArray[np.uint8], facts: Mapping[str, Any]) -> Expert:
    """An expert, of its bytes in memory, which it goes on using.

    Raises:
        ArtifactError: the bytes are not as many as its shape needs.
    """
    try:
        scales = _scales(tuple(facts["scales"]))
        return Expert(data, int(facts["width"]), int(facts["hidden"]), scales)
    except OptionError as error:
        raise ArtifactError(f"a slab is no expert: {error}; pack the model again") from error


@lru_cache(1 << 16)
def _scales(numbers: tuple[float, ...]) -> npt.NDArray[np.float32]:
    """As an array, which takes longer to make than to find."""
    scales = np.array(numbers, np.float32)
    scales.flags.writeable = False
    return scales


def form_of(facts: Mapping[str, Any]) -> Form:
    """The form of a slab or a store that says so.

    Raises:
        UnknownNameError: there is none of this name.
    """
    name = facts.get("form", BASE3)
    if name not in FORMS:
        raise UnknownNameError("form of experts on disk", name, FORMS)
    return FORMS[name]


def _ternary(module: nn.Linear) -> TernaryLinear:
    made = TernaryLinear(module.in_features, module.out_features)
    with torch.no_grad():
        made.weight.copy_(module.weight)
    return made
