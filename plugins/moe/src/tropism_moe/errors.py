"""What can go wrong in training."""

from __future__ import annotations

from tropism.errors import TropismError


class DivergedError(TropismError, ArithmeticError):
    """A loss or a gradient is not a number; training has stopped, and the last checkpoint is as it was.

    Attributes:
        part: whose.
        value: of it.
    """

    def __init__(self, part: str, value: float, what: str = "loss") -> None:
        self.part, self.value = part, value
        super().__init__(
            f"the {what} of {part!r} is {value}, a finite number was expected; the last checkpoint is kept: "
            "resume with a lower learning_rate"
        )
