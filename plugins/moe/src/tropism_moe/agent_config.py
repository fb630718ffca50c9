"""Settings of the agent."""

from __future__ import annotations

from dataclasses import dataclass, fields

from tropism.limits import Limits, check_fields
from tropism_moe.config import ModelConfig

_LIMITS: dict[str, Limits] = {
    "lanes": (1, 4096),
    "stretch": (1, 4096),
    "learning_rate": (1e-6, 1.0),
    "balance": (0.0, 10.0),
    "smoothness": (0.0, 10.0),
    "noise": (0.0, 10.0),
    "tolerance": (0.0, 1.0),
    "budget_mb": (0, 2**20),
    "checkpoint_every": (1, 2**40),
    "threads": (1, 1024),
}


@dataclass(frozen=True)
class MoEConfig:
    """Settings of the agent.

    Attributes:
        teacher: the agent it learns from; ``auto``: ``ideal`` on PatternWorld, else ``heuristic``.
        width: of the latents.
        layers: a multiple of four.
        rank: of the recurrent state.
        query_heads: of the attention.
        kv_heads: of its keys and values.
        head_width: of each.
        window: positions that one sees.
        hidden: of a feed-forward network.
        lattice: of the experts, ``x, y, z``.
        lanes: episodes side by side in training.
        stretch: steps of an update, through which gradients flow.
        learning_rate: of AdamW; in the second half of a stage it falls linearly to a thirtieth.
        balance: weight of the loss that evens out the load of the experts.
        smoothness: weight of the mean way that routing moves a step.
        noise: by which experts differ when they are made of one dense network, in standard deviations of its weights.
        tolerance: how much farther than the nearest expert one at hand may be, at play.
        budget_mb: of experts in memory, MiB, in ``ring`` mode; 0 leaves them to the page cache.
        checkpoint_every: environment steps between checkpoints.
        threads: of torch.
    """

    teacher: str = "auto"
    width: int = 64
    layers: int = 4
    rank: int = 16
    query_heads: int = 4
    kv_heads: int = 2
    head_width: int = 16
    window: int = 64
    hidden: int = 128
    lattice: tuple[int, int, int] = (4, 2, 2)
    lanes: int = 32
    stretch: int = 64
    learning_rate: float = 2e-3
    balance: float = 0.01
    smoothness: float = 0.001
    noise: float = 0.1
    tolerance: float = 0.0
    budget_mb: int = 0
    checkpoint_every: int = 500_000
    threads: int = 1

    def __post_init__(self) -> None:
        """Refuse values out of range.

        Raises:
            OptionError: naming the field, its value and the range.
        """
        check_fields(self, _LIMITS)
        object.__setattr__(self, "lattice", tuple(self.lattice))
        self.model(1, 1)

    def model(self, inputs: int, outputs: int, experts: bool = True) -> ModelConfig:
        """Shapes of a network with these inputs and outputs; with one expert a layer it is dense."""
        names = {f.name for f in fields(ModelConfig)} - {"inputs", "outputs", "lattice"}
        shapes = {name: getattr(self, name) for name in names}
        lattice = self.lattice if experts else (1, 1, 1)
        return ModelConfig(**shapes, lattice=lattice, inputs=inputs, outputs=outputs)
