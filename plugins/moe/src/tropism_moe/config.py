"""Shapes of the model, presets, and the arithmetic of parameters and bytes that follows from them.

Layers come in blocks of four: three of gated linear recurrence, each followed by one of many experts, and one of windowed
attention, followed by a feed-forward network that all inputs share.  Every number here is counted from the same shapes that build
the models (:mod:`tropism_moe.shapes`); nothing heavy is imported.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from functools import partial
from math import prod
from typing import Any, Literal, NamedTuple

from tropism.errors import OptionError, UnknownNameError
from tropism.limits import check_fields, check_flag
from tropism_moe.shapes import attention_shapes, check_sizes, feed_forward_shapes, recurrence_shapes

BLOCK = 4
"""Layers of a block; the last one attends, the others recur and have experts."""
OTHERWISE_CHECKED = ("lattice", "pre_gated", "gated_ahead")
"""Sizes that are no number from 1 on."""
MOST_AHEAD = 16


@dataclass(frozen=True)
class Sizes:
    """Sizes of a network, whatever it reads and answers.

    Attributes:
        width: of the latents, ``d``.
        layers: a multiple of four.
        rank: of the recurrent state, ``r``.
        query_heads: of the attention, a multiple of ``kv_heads``.
        kv_heads: of its keys and values.
        head_width: of each, even.
        window: positions that one sees.
        hidden: of a feed-forward network, ``f``.
        lattice: of the experts on a torus, one number an axis.
        pre_gated: the experts of a block are chosen at its entry, so that they can be fetched together; else each at its layer.
        gated_ahead: so many steps before, so that they are fetched while those compute; more than 0 needs ``pre_gated``.
    """

    width: int = 64
    layers: int = 4
    rank: int = 16
    query_heads: int = 4
    kv_heads: int = 2
    head_width: int = 16
    window: int = 64
    hidden: int = 128
    lattice: tuple[int, int, int] = (8, 4, 4)
    pre_gated: bool = True
    gated_ahead: int = 0

    def __post_init__(self) -> None:
        """Refuse sizes that do not fit together.

        Raises:
            OptionError: naming the field, its value and what was expected.
        """
        object.__setattr__(self, "lattice", tuple(self.lattice))  # JSON knows lists only
        if len(self.lattice) != 3:
            raise OptionError(f"lattice must have three axes, got {self.lattice}")
        axes = dict(zip(("lattice x", "lattice y", "lattice z"), self.lattice, strict=True))
        check_sizes(**axes, **{n: x for n, x in self.sizes.items() if n not in OTHERWISE_CHECKED})
        check_flag("pre_gated", self.pre_gated)
        check_fields(self, {"gated_ahead": (0, MOST_AHEAD)})
        if self.gated_ahead and not self.pre_gated:
            raise OptionError(
                f"gated_ahead={self.gated_ahead} needs pre_gated=True, got False; what is chosen at each layer cannot be chosen ahead"
            )
        attention_shapes(self.width, self.query_heads, self.kv_heads, self.head_width)
        if self.layers % BLOCK:
            raise OptionError(f"layers must be a multiple of {BLOCK}, got {self.layers}")

    @property
    def experts(self) -> int:
        """How many there are a layer."""
        return prod(self.lattice)

    @property
    def sizes(self) -> dict[str, Any]:
        """These fields, without those of a class that has more."""
        return {f.name: getattr(self, f.name) for f in fields(Sizes)}


@dataclass(frozen=True)
class ModelConfig(Sizes):
    """Shapes of a model: its sizes, and its ends.

    Attributes:
        inputs: numbers of an encoded observation, or tokens of a vocabulary.
        outputs: of the heads; 0 for a token model, whose table of tokens gives its logits, too.
    """

    inputs: int = 128
    outputs: int = 0

    def __post_init__(self) -> None:
        """Refuse shapes that do not fit together, as :class:`Sizes` does."""
        super().__post_init__()
        check_sizes(inputs=self.inputs, **({"outputs": self.outputs} if self.outputs else {}))

    @property
    def expert_layers(self) -> tuple[int, ...]:
        """Layers that recur and have experts."""
        return tuple(n for n in range(self.layers) if n % BLOCK != BLOCK - 1)

    @property
    def attention_layers(self) -> tuple[int, ...]:
        """Layers that attend and share a feed-forward network."""
        return tuple(range(BLOCK - 1, self.layers, BLOCK))

    def to_json(self) -> dict[str, Any]:
        """The fields."""
        return {**asdict(self), "lattice": list(self.lattice)}


AHEAD = 2
"""Steps that the large presets choose ahead: in one the disk would now and then have nothing to do, as steps need more or fewer slabs."""
_streamed = partial(ModelConfig, gated_ahead=AHEAD)
PRESETS: dict[str, ModelConfig] = {
    "cartpole": ModelConfig(lattice=(4, 2, 2), inputs=4, outputs=3),
    "demo-0.8b": _streamed(width=256, layers=8, rank=16, head_width=64, hidden=1408, inputs=256),
    "demo-2.4b": _streamed(
        width=512, layers=12, rank=32, query_heads=8, head_width=64, hidden=1536, inputs=256
    ),
    "paper-1t": _streamed(
        width=4096,
        layers=80,
        rank=256,
        query_heads=32,
        kv_heads=8,
        head_width=128,
        window=512,
        hidden=11008,
        inputs=32768,
    ),
}
"""By name; ``paper-1t`` is the model that seed 002 describes."""


def preset(name: str) -> ModelConfig:
    """A preset.

    Raises:
        UnknownNameError: there is none of this name.
    """
    if name not in PRESETS:
        raise UnknownNameError("preset of tropism-moe", name, PRESETS)
    return PRESETS[name]


class Matrix(NamedTuple):
    """One kind of weight matrix.

    Attributes:
        name: of it within its layer.
        rows: outputs.
        columns: inputs.
        layers: how many layers have one.
        owner: ``shared`` by all inputs, of every ``expert``, or an ``end`` of the model: the table of inputs, and the heads.
    """

    name: str
    rows: int
    columns: int
    layers: int
    owner: Literal["shared", "expert", "end"]

    @property
    def weights(self) -> int:
        """In all layers, of one expert each."""
        return self.rows * self.columns * self.layers


def matrices(config: ModelConfig) -> Iterator[Matrix]:
    """Every weight matrix; norms, biases and routers are no matrices of weight."""
    c = config
    recurring, attending = len(c.expert_layers), len(c.attention_layers)
    heads = c.query_heads, c.kv_heads, c.head_width
    for shapes, layers, owner in (
        (recurrence_shapes(c.width, c.rank), recurring, "shared"),
        (attention_shapes(c.width, *heads), attending, "shared"),
        (feed_forward_shapes(c.width, c.hidden), attending, "shared"),
        (feed_forward_shapes(c.width, c.hidden), recurring, "expert"),
    ):
        for name, (rows, columns) in shapes.items():
            yield Matrix(name, rows, columns, layers, owner)  # pyright: ignore[reportArgumentType]
    yield Matrix("inputs", c.inputs, c.width, 1, "end")
    if c.outputs:
        yield Matrix("outputs", c.outputs, c.width, 1, "end")
