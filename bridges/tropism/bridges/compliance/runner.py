"""Runs checks against a game, one after the other; a game that dies in one is there again for the next."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from importlib import import_module

from tropism.bridges.compliance.kit import Kit
from tropism.bridges.compliance.registry import CHECKS, Check, Fail, Result, Skip
from tropism.bridges.compliance.target import Target
from tropism.bridges.compliance.wire import PATIENCE
from tropism.bridges.errors import BridgeError
from tropism.errors import UnknownNameError


def all_checks() -> list[Check]:
    """Every check, in the order in which they are run."""
    import_module("tropism.bridges.compliance.checks")
    return list(CHECKS.values())


def select(names: Iterable[str] = ()) -> list[Check]:
    """The checks of these names; a name that ends in `*` stands for all that begin so; none: all.

    Raises:
        UnknownNameError: there is no such check.
    """
    checks = all_checks()
    chosen: list[Check] = []
    for name in names:
        stem = name.removesuffix("*")
        found = [c for c in checks if c.name == name or (stem != name and c.name.startswith(stem))]
        if not found:
            raise UnknownNameError("check", name, [c.name for c in checks])
        chosen += [c for c in found if c not in chosen]
    return chosen or checks


def run_checks(
    target: Target,
    checks: Iterable[Check] | None = None,
    *,
    patience: float = PATIENCE,
    report: Callable[[Result], None] | None = None,
) -> list[Result]:
    """Run checks against a game.

    Args:
        target: `Launched` or `Dialled`; the caller closes it.
        checks: which; None: all.
        patience: seconds within which an answer must come.
        report: is given each result as soon as it is there.

    Returns:
        One result for each check.
    """
    results = []
    for check in all_checks() if checks is None else checks:
        results.append(_run(check, Kit(target, patience)))
        if report is not None:
            report(results[-1])
    return results


def _run(check: Check, kit: Kit) -> Result:
    """One check; whatever happens is a result."""
    began = time.monotonic()
    facts = {}
    try:
        check.run(kit)
    except Fail as fail:
        facts = {"outcome": "fail", "expected": fail.expected, "got": fail.got}
    except Skip as skip:
        facts = {"outcome": "skip", "reason": str(skip)}
    except (BridgeError, OSError) as error:
        got = f"{type(error).__name__}: {error}"
        facts = {"outcome": "fail", "expected": "a game that plays on", "got": got}
    finally:
        kit.hang_up()
    died = kit.target.died()
    if died:
        got = " and ".join(filter(None, (str(facts.get("got", "")), died)))
        facts = {"outcome": "fail", "expected": facts.get("expected", "no crash"), "got": got}
    seconds = round(time.monotonic() - began, 3)
    facts = {"outcome": "pass", "reason": kit.note, **facts}
    return Result(check.name, check.section, check.rule, seconds=seconds, **facts)
