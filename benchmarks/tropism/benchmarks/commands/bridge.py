"""``tropism bridge``: check a game against the protocol, say why it does not connect, measure, serve."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from tropism.bridges.compliance import Result, Target
    from tropism.bridges.doctor import Finding
    from tropism.bridges.latency import Latency

AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
COMMAND = click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND...]")
COLOURS = {"pass": "green", "ok": "green", "fail": "red", "bad": "red"}


@click.group()
def bridge() -> None:
    """Games on the other side of the bridge: check, doctor, bench, serve."""


# --- check ----------------------------------------------------------------------------------------


@bridge.command(context_settings={"allow_interspersed_args": False})
@COMMAND
@click.option("--addr", help="The game listens there: tcp://, ws:// or unix://.")
@click.option("--only", "names", multiple=True, help="This check, or all that begin so: 'ping*'.")
@click.option("--list", "listing", is_flag=True, help="List the checks and their rules.")
@click.option(
    "--transport",
    type=click.Choice(["tcp", "unix", "ws"]),
    default="tcp",
    show_default=True,
    help="Where a launched game is to dial.",
)
@click.option("--patience", default=5.0, show_default=True, help="Seconds to wait for an answer.")
@AS_JSON
def check(
    command: tuple[str, ...],
    addr: str | None,
    names: tuple[str, ...],
    listing: bool,
    transport: str,
    patience: float,
    as_json: bool,
) -> int:
    """Play every rule of docs/bridge-protocol.md against a game: one at an address, or one that COMMAND starts.

    A game that listens and has a token is given the same TROPISM_BRIDGE_TOKEN.  The exit status is 1 if
    a check fails.
    """
    from tropism.bridges.compliance import run_checks, select

    chosen = select(names)
    if listing:
        _list(chosen, as_json)
        return 0
    target = _target(addr, command, transport)
    report = None if as_json else _print_result
    try:
        results = run_checks(target, chosen, patience=patience, report=report)
    finally:
        target.close()
    if as_json:
        click.echo(json.dumps([result._asdict() for result in results], indent=1))
    else:
        counts = {
            kind: sum(r.outcome == kind for r in results) for kind in ("pass", "fail", "skip")
        }
        click.echo(f"{counts['pass']} passed, {counts['fail']} failed, {counts['skip']} skipped")
    return int(any(result.outcome == "fail" for result in results))


def _target(addr: str | None, command: tuple[str, ...], transport: str) -> Target:
    from tropism.bridges.compliance import Dialled, Launched
    from tropism.errors import OptionError

    if bool(addr) == bool(command):
        raise OptionError("say where the game is: --addr ADDR, or -- COMMAND that starts it")
    if addr:
        return Dialled(addr, os.environ.get("TROPISM_BRIDGE_TOKEN", ""))
    return Launched(command, transport)


def _list(checks: list[Any], as_json: bool) -> None:
    rows = [{"name": c.name, "section": c.section, "rule": c.rule} for c in checks]
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    width = max(len(row["name"]) for row in rows)
    for row in rows:
        click.echo(f"{row['name']:<{width}}  {row['section']:>2}  {row['rule']}")


def _print_result(result: Result) -> None:
    """One line for a result; two more say what was wrong."""
    word = click.style(f"{result.outcome:<4}", fg=COLOURS.get(result.outcome))
    reason = f"  ({result.reason})" if result.reason else ""
    click.echo(f"{word}  {result.name}{reason}")
    if result.outcome == "fail":
        click.echo(f"      section {result.section}: {result.rule}")
        click.echo(f"      expected {result.expected}\n      got      {result.got}")


# --- doctor ---------------------------------------------------------------------------------------


@bridge.command(context_settings={"allow_interspersed_args": False})
@COMMAND
@click.option("--addr", help="A game should listen there.")
@click.option("--listen", help="An agent should listen there.")
@click.option("--wait", default=30.0, show_default=True, help="Seconds for COMMAND to dial.")
@AS_JSON
def doctor(
    command: tuple[str, ...], addr: str | None, listen: str | None, wait: float, as_json: bool
) -> int:
    """Say why a connection does not come up: looks at the machine, at addresses, and at a game that COMMAND starts.

    The exit status is 1 if something is bad.
    """
    from tropism.bridges.doctor import dial_game, launch_game, look_at_machine, try_listening

    found = list(look_at_machine())
    found += try_listening(listen) if listen else []
    found += dial_game(addr) if addr else []
    found += launch_game(command, wait) if command else []
    if as_json:
        click.echo(json.dumps([finding._asdict() for finding in found], indent=1))
    else:
        for finding in found:
            _print_finding(finding)
    return int(any(finding.state == "bad" for finding in found))


def _print_finding(finding: Finding) -> None:
    word = click.style(f"{finding.state:<4}", fg=COLOURS.get(finding.state, "yellow"))
    click.echo(f"{word}  {finding.subject}: {finding.text}")
    if finding.remedy:
        click.echo(f"      do: {finding.remedy}")


# --- bench ----------------------------------------------------------------------------------------


@bridge.command()
@click.option("--rounds", default=3, show_default=True, help="Turns of each; medians are shown.")
@click.option("--seconds", default=0.5, show_default=True, help="Of each turn.")
@click.option("--transport", "transports", multiple=True, help="Only this one; may be repeated.")
@click.option("--size", "sizes", multiple=True, type=int, help="Only this many bytes; the same.")
@click.option("--peers", is_flag=True, help="Gymnasium's AsyncVectorEnv beside them.")
@AS_JSON
def bench(
    rounds: int,
    seconds: float,
    transports: tuple[str, ...],
    sizes: tuple[int, ...],
    peers: bool,
    as_json: bool,
) -> None:
    """Measure a step over the bridge on this machine: every transport, observations of four sizes."""
    from tropism.agents.progress import progress
    from tropism.bridges.latency import PEER, SIZES, TRANSPORTS, measure
    from tropism.errors import OptionError

    if rounds < 1 or seconds <= 0 or any(size < 1 for size in sizes):
        raise OptionError("rounds and sizes must be >= 1, seconds > 0")
    names = (*(transports or TRANSPORTS), *((PEER,) if peers else ()))
    chosen = sizes or SIZES
    with progress(len(names) * len(chosen) * rounds, "turns") as update:
        rows = measure(names, chosen, rounds=rounds, seconds=seconds, update=update)
    if as_json:
        click.echo(json.dumps([_to_json(row) for row in rows], indent=1))
    else:
        click.echo(_table(rows))


def _to_json(row: Latency) -> dict[str, Any]:
    """A row as JSON, which has no NaN."""
    return {key: None if value != value else value for key, value in row._asdict().items()}


def _table(rows: list[Latency]) -> str:
    lines = [f"{'transport':<14}{'bytes':>9}{'p50 us':>10}{'p99 us':>10}{'steps/s':>11}"]
    for row in rows:
        figures = f"{row.p50_us:>10.1f}{row.p99_us:>10.1f}{row.steps_per_s:>11,.0f}"
        shown = f"  {row.error}" if row.error else figures
        lines.append(f"{row.transport:<14}{row.size:>9,}{shown}")
    return "\n".join(lines)


# --- serve ----------------------------------------------------------------------------------------


@bridge.command(
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def serve(arguments: tuple[str, ...]) -> int:
    """Let agents play an environment: the same as python -m tropism.bridges.serve ARGUMENTS.

    ARGUMENTS are an environment, such as CartPole-v1 or module:function, and options, which --help lists.
    """
    from tropism.bridges.serve.__main__ import main

    return main(list(arguments))
