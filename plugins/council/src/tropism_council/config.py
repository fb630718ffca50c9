"""Settings of the council."""

from __future__ import annotations

from dataclasses import dataclass

from tropism.errors import OptionError, UnknownNameError
from tropism.limits import Limits, check_fields, check_flag

SIGNALS = {
    "all": ("entropy", "surprise", "surprise_before", "belief_change", "disagreement"),
    "entropy": ("entropy",),
    "surprise": ("surprise", "surprise_before"),
}
"""What a gate may look at, by name."""
PONDER_LOSSES = ("expectation", "likelihood")
"""What of its steps the council learns from: see :func:`tropism_council.council.ponder_loss`."""
_LIMITS: dict[str, Limits] = {
    "width": (8, 4096),
    "layers": (1, 64),
    "heads": (1, 64),
    "window": (2, 4096),
    "slots": (0, 4096),
    "voices": (1, 64),
    "ponder_steps": (1, 64),
    "lanes": (1, 65_536),
    "stretch": (2, 4096),
    "questions": (1, 4096),
    "learning_rate": (1e-6, 1.0),
    "ponder_prior": (0.01, 0.99),
    "ponder_weight": (0.0, 10.0),
    "patience": (0.0, 1.0),
    "distil_weight": (0.0, 10.0),
    "value_weight": (0.0, 10.0),
    "teacher_decay": (0.0, 0.9999),
    "optimism": (0.0, 100.0),
    "share": (0.0, 1.0),
    "edit_rate": (1e-6, 1.0),
    "checkpoint_every": (1, 2**40),
    "threads": (1, 1024),
}


@dataclass(frozen=True)
class CouncilConfig:
    """Settings of the council.

    Attributes:
        width: of the latents, a multiple of four times ``heads``.
        layers: of the backbone.
        heads: of every attention.
        window: tokens that one sees; longer contexts are forgotten token by token.
        slots: of the memory, one a step; 0 for none.
        voices: of the council.
        ponder_steps: most steps it thinks.
        lanes: episodes that are read side by side in training.
        stretch: steps of an update, through which gradients flow.
        questions: steps of a stretch that are put to System 2 as well, chosen at random in each lane.
        learning_rate: of AdamW, after a warm-up; in the second half it falls linearly to a thirtieth.
        ponder_loss: ``expectation`` of the steps' losses, or ``likelihood`` of their mixture.
        ponder_prior: chance of halting that the council is held near, a step.
        ponder_weight: of that.
        patience: chance of having halted at which it stops where nothing says how much is at stake, as when it is told to think.
        distil_weight: of System 1's divergence from the teacher's System 2; 0 for no teacher.
        value_weight: of the value head's error.
        teacher_decay: how much of the teacher, a moving average of the weights, an update leaves.
        signals: that the gate looks at: ``all``, ``entropy`` alone or the last two surprises (``surprise``).
        optimism: how many spreads of a gain the gate adds to what it expects.
        share: of the decisions that System 2 may take; the gate's threshold is set by it.
        online: whether System 1's last weights adapt within an episode; without, there is no editor.
        edit_rate: learning rate of an edit of scale 1.
        checkpoint_every: environment steps between checkpoints.
        threads: of torch; with more of them than idle processors learning is ten times slower, and with one as it was measured.
    """

    width: int = 64
    layers: int = 1
    heads: int = 4
    window: int = 64
    slots: int = 128
    voices: int = 4
    ponder_steps: int = 4
    lanes: int = 64
    stretch: int = 64
    questions: int = 8
    learning_rate: float = 2e-3
    ponder_loss: str = "expectation"
    ponder_prior: float = 0.25
    ponder_weight: float = 0.01
    patience: float = 0.65
    distil_weight: float = 0.1
    value_weight: float = 0.1
    teacher_decay: float = 0.99
    signals: str = "all"
    optimism: float = 8.0
    share: float = 0.2
    online: bool = False
    edit_rate: float = 3e-4
    checkpoint_every: int = 1_000_000
    threads: int = 1

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        if self.signals not in SIGNALS:
            raise UnknownNameError("signals", self.signals, SIGNALS)
        if self.ponder_loss not in PONDER_LOSSES:
            raise UnknownNameError("ponder_loss", self.ponder_loss, PONDER_LOSSES)
        check_flag("online", self.online)
        check_fields(self, _LIMITS)
        if self.width % (4 * self.heads):
            raise OptionError(
                f"width must be a multiple of 4 * heads = {4 * self.heads}, got {self.width}"
            )
        if self.questions > self.stretch:
            raise OptionError(
                f"questions must be <= stretch = {self.stretch}, got {self.questions}"
            )
