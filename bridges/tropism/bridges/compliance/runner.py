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

BUSY = 3.0
"""Seconds that a listener may go on saying "busy" when its agent has gone."""


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
    """One check; a listener that has not noticed yet that its last agent is gone is asked again."""
    began = time.monotonic()
    while True:
        facts = _try(check, kit)
        early = kit.we_dial and check.name != "busy" and '"busy"' in facts.get("got", "")
        if not early or time.monotonic() - began > BUSY:
            break
        time.sleep(0.05)
    seconds = round(time.monotonic() - began, 3)
    return Result(check.name, check.section, check.rule, seconds=seconds, **facts)


def _try(check: Check, kit: Kit) -> dict[str, str]:
    """What comes of a check; whatever happens is a result."""
    kit.note = ""
    facts = {"outcome": "pass"}
    try:
        check.run(kit)
        facts["reason"] = kit.note
    except Fail as fail:
        facts = {"outcome": "fail", "expected": fail.expected, "got": fail.got}
    except Skip as skip:
        facts = {"outcome": "skip", "reason": str(skip)}
    except (BridgeError, OSError) as error:
        facts = {"outcome": "fail", "expected": "a game that plays on", "got": _name(error)}
    finally:
        kit.hang_up()
    if died := kit.target.died():
        got = " and ".join(filter(None, (facts.get("got"), died)))
        facts = {"outcome": "fail", "expected": facts.get("expected", "no crash"), "got": got}
    return facts


def _name(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
