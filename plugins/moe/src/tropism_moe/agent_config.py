"""Settings of the agent."""

from __future__ import annotations

from dataclasses import dataclass

from tropism.errors import UnknownNameError
from tropism.limits import Limits, check_fields, check_flag
from tropism_moe.config import ModelConfig, Sizes

_LIMITS: dict[str, Limits] = {
    "lanes": (1, 4096),
    "stretch": (1, 4096),
    "learning_rate": (1e-6, 1.0),
    "balance": (0.0, 10.0),
    "smoothness": (0.0, 10.0),
    "distillation": (0.0, 10.0),
    "noise": (0.0, 10.0),
    "slack": (0.0, 1.0),
    "tolerance": (0.0, 1.0),
    "budget_mb": (0, 2**20),
    "checkpoint_every": (1, 2**40),
    "threads": (1, 1024),
    "memory": (0.0, 100.0),
    "adapt_rate": (1e-6, 100.0),
    "adapt_rank": (0, 2048),
    "adapt_directions": (0, 4096),
    "adapt_every": (1, 2**40),
    "position_sigma": (1e-6, 0.5),
    "position_rate": (1e-9, 1.0),
    "fold_rate": (0.0, 1.0),
}
ADAPT = ("off", "head", "positions", "both", "fold")
"""What may adapt at play."""


@dataclass(frozen=True)
class MoEConfig(Sizes):
    """Settings of the agent: sizes of its network (:class:`~tropism_moe.config.Sizes`), how it learns, and how it plays.

    Attributes:
        lattice: as there, of fewer experts.
        teacher: who is imitated: an agent that needs no training, or the directory of a run of any agent, ``runs/recurrent-ppo-…``
            say; ``auto``: ``ideal`` on PatternWorld, else ``heuristic``.
        tokens: read PatternWorld's tokens and nothing else, and say the next one by the table that reads them: learned from the
            tokens that follow, without a teacher.
        lanes: episodes side by side in training.
        stretch: steps of an update, through which gradients flow.
        learning_rate: of AdamW; in the second half of a stage it falls linearly to a thirtieth.
        balance: weight of the loss that evens out the load of the experts.
        smoothness: weight of the mean way that routing moves a step.
        distillation: weight of the divergence from the dense network in the ternary stage.
        noise: by which experts differ when they are made of one dense network, in standard deviations of its weights.
        slack: how much farther than the nearest expert one may be that answers by chance in training, in sides of the torus: what is
            learned then bears a tolerance.
        tolerance: how much farther than the nearest expert one at hand may be, at play.
        budget_mb: of experts in memory, MiB, in ``ring`` mode; 0 leaves them to the page cache.
        checkpoint_every: environment steps between checkpoints.
        threads: of torch.
        memory: nats that an episodic memory adds to an answer it recalls, times its likeness beyond chance; 0 has none.
        constraints: path of a JSON file, ``{"normals": N, "bounds": b}``: actions of a box are projected to ``N a <= b``; a saved policy
            has them in its own files.
        adapt: what adapts at play, in each lane for the length of an episode: ``off``, ``head``, ``positions`` of the experts,
            ``both``, or ``fold``, by which experts follow what they are chosen for.
        adapt_rate: learning rate of the head.
        adapt_rank: of its low-rank change; 0 is the highest that 2,048 parameters allow.
        adapt_directions: of a forward gradient; 0 takes the gradient itself.
        adapt_every: steps between two that the head learns from, or that candidates for positions are tried on.
        position_sigma: of those, in sides of the torus.
        position_rate: learning rate of the positions.
        fold_rate: part of the way to what it was chosen for, that an expert goes.
    """

    lattice: tuple[int, int, int] = (4, 2, 2)
    teacher: str = "auto"
    tokens: bool = False
    lanes: int = 32
    stretch: int = 64
    learning_rate: float = 2e-3
    balance: float = 0.1
    smoothness: float = 0.001
    distillation: float = 1.0
    noise: float = 0.1
    slack: float = 0.0
    tolerance: float = 0.0
    budget_mb: int = 0
    checkpoint_every: int = 500_000
    threads: int = 1
    memory: float = 0.0
    constraints: str = ""
    adapt: str = "off"
    adapt_rate: float = 0.1
    adapt_rank: int = 0
    adapt_directions: int = 0
    adapt_every: int = 1
    position_sigma: float = 0.05
    position_rate: float = 0.001
    fold_rate: float = 0.01

    def __post_init__(self) -> None:
        """Refuse values out of range, and sizes that do not fit together.

        Raises:
            OptionError: naming the field, its value and the range.
        """
        check_fields(self, _LIMITS)
        check_flag("tokens", self.tokens)
        if self.adapt not in ADAPT:
            raise UnknownNameError("way to adapt", self.adapt, ADAPT)
        super().__post_init__()

    def model(self, inputs: int, outputs: int, experts: bool = True) -> ModelConfig:
        """Shapes of a network with these inputs and outputs; with one expert a layer it is dense."""
        lattice = self.lattice if experts else (1, 1, 1)
        return ModelConfig(**{**self.sizes, "lattice": lattice}, inputs=inputs, outputs=outputs)
