"""What a check is, and how it says that a game failed it or that it does not apply."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from tropism.bridges.compliance.kit import Kit


class Fail(Exception):
    """The game broke the rule: what was expected and what came instead."""

    def __init__(self, expected: str, got: str) -> None:
        super().__init__(f"expected {expected}, got {got}")
        self.expected, self.got = expected, got


class Skip(Exception):
    """The rule does not apply to this game, or cannot be tested on it; the text says why."""


class Check(NamedTuple):
    """One named check.

    Attributes:
        name: such as "reset-echoes-seq".
        section: of docs/bridge-protocol.md that states the rule.
        rule: the rule in one line.
        run: plays it; returns if the game obeys, raises `Fail` or `Skip` if not.
    """

    name: str
    section: str
    rule: str
    run: Callable[[Kit], None]


CHECKS: dict[str, Check] = {}
"""Every check by name, in the order in which they are run."""


def check(section: str) -> Callable[[Callable[[Kit], None]], Callable[[Kit], None]]:
    """Register a function as the check of a rule: its name and first line are the check's name and rule."""

    def register(run: Callable[[Kit], None]) -> Callable[[Kit], None]:
        name = run.__name__.replace("_", "-")
        rule = (run.__doc__ or "").strip().splitlines()[0].rstrip(".")
        CHECKS[name] = Check(name, section, rule, run)
        return run

    return register


def expect(held: bool, expected: str, got: Any) -> None:
    """Fail unless something holds."""
    if not held:
        raise Fail(expected, str(got))


class Result(NamedTuple):
    """What came of a check.

    Attributes:
        name: of the check.
        section: of the page.
        rule: in one line.
        outcome: "pass", "fail" or "skip".
        expected: what the rule demands, if it failed.
        got: what came instead, if it failed.
        reason: why it was skipped, or what is remarkable about a pass.
        seconds: how long it took.
    """

    name: str
    section: str
    rule: str
    outcome: str
    expected: str = ""
    got: str = ""
    reason: str = ""
    seconds: float = 0.0
