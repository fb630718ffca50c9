"""The errors Tropism raises on purpose: each names the thing, the value, what was expected and the remedy.

They stand beside the four parts, not inside one, so that the command line can raise them without loading
Gymnasium.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class TropismError(Exception):
    """Base of every error the suite raises on purpose."""


class UnknownNameError(TropismError, LookupError):
    """A name nobody registered; the message suggests the nearest ones."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        choices = sorted(known)
        near = difflib.get_close_matches(str(name), choices, n=3, cutoff=0.5)
        if near:
            hint = f"Did you mean {' or '.join(repr(n) for n in near)}?"
        else:
            hint = f"Known: {', '.join(choices) or 'none'}."
        super().__init__(f"Unknown {kind} {name!r}. {hint}")
        self.name, self.near = name, near

    def __str__(self) -> str:
        return str(self.args[0])  # LookupError would show the repr


class OptionError(TropismError, ValueError):
    """A field out of range or of the wrong type: the message names field, value and range."""


class PluginError(TropismError, RuntimeError):
    """A plugin that was asked for by name cannot be used; the cause is chained."""


class UnsupportedTaskError(TropismError, ValueError):
    """An agent says that it cannot run a task, with its reason."""


class ArtifactError(TropismError, RuntimeError):
    """A run directory, checkpoint or result file is missing, truncated or edited."""


class AgentContractError(TropismError, AssertionError):
    """An agent breaks the contract; raised by the conformance suite."""


class ConformanceError(TropismError, AssertionError):
    """An environment breaks Gymnasium's or Tropism's rules; raised by ``tropism.envs.core.conformance.check``."""


class DivergedError(TropismError, ArithmeticError):
    """A loss or a gradient is not a number; training has stopped, and the last checkpoint is as it was.

    Attributes:
        head: the part of the network whose it is.
        value: of it.
    """

    def __init__(self, head: str, value: float, what: str = "loss") -> None:
        self.head, self.value = head, value
        super().__init__(
            f"the {what} of {head!r} is {value}, a finite number was expected; the last checkpoint is kept: "
            "resume with a lower learning_rate"
        )
