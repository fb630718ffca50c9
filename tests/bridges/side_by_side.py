"""The compliance kit in a quarter of its time: it mostly waits, so four games are tested side by side."""

from concurrent.futures import ThreadPoolExecutor

from tropism.bridges.compliance import all_checks, run_checks, select

GAMES = 4


def every_check(make, names=()):
    """The results of checks by name, each with one of some games of the same kind.

    Args:
        make: returns a target for a game of its own.
        names: of the checks; none: all.
    """

    def part(names):
        target = make()
        try:
            return run_checks(target, select(names))
        finally:
            target.close()

    names = sorted(names) or [check.name for check in all_checks()]
    with ThreadPoolExecutor(GAMES) as pool:
        parts = pool.map(part, [names[first::GAMES] for first in range(GAMES)])
        return {result.name: result for results in parts for result in results}
