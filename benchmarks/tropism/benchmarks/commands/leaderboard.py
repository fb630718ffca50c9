"""``tropism leaderboard``: run a suite, show the board, write the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from tropism.benchmarks.board import Board
    from tropism.benchmarks.cells import Cell
    from tropism.benchmarks.engine import Outcome

DIRECTORY = click.Path(path_type=Path)


@click.group()
def leaderboard() -> None:
    """Train and evaluate agents on a suite, and compare them."""


@leaderboard.command()
@click.argument("suite")
@click.option("--out", type=DIRECTORY, required=True, help="Directory of the results.")
@click.option(
    "--agents", help="Only these beside the references, comma-separated; newcomers join every task."
)
@click.option("--shard", "which", metavar="I/N", help="Only every N-th cell, from the I-th on.")
@click.option("--workers", type=int, help="Processes  [one a core].")
@click.option("--seeds", type=int, help="Training seeds, instead of the suite's own number.")
@click.option("--sign", "key", type=DIRECTORY, help="Private key to sign the ledger's checkpoint.")
def run(
    suite: str,
    out: Path,
    agents: str | None,
    which: str | None,
    workers: int | None,
    seeds: int | None,
    key: Path | None,
) -> None:
    """Run SUITE (quick, patternworld, full); finished cells are skipped, killed runs resume.

    Shards can run on several machines into one shared directory, or into several whose cells/ are
    copied together; the same command without --shard then completes the board and its ledger.
    """
    from tropism.benchmarks.board import LEDGER, read_board, write_suite
    from tropism.benchmarks.cells import suite_cells
    from tropism.benchmarks.engine import shard
    from tropism.benchmarks.entries import record_board
    from tropism.benchmarks.ledger import Ledger
    from tropism.benchmarks.suites import find_suite

    chosen = find_suite(suite).select(_named(agents), seeds)
    cells = suite_cells(chosen)
    _need_installed(cells)
    mine = shard(cells, which) if which else cells
    Ledger.open(out / LEDGER, create=True).check_signer(key)  # before the hours of playing
    write_suite(out, chosen.name, chosen.summary, cells)
    failed = _run(mine, out, workers)
    board = read_board(out)
    if which and len(board.results) < board.total:
        click.echo(f"{len(board.results)} of {board.total} cells are finished in {out}")
    else:
        click.echo(f"{record_board(board, key)} entries added to {board.ledger}")
        _print(board)
    if failed:
        click.echo(f"{failed} cells failed; the same command tries them again", err=True)
        raise click.exceptions.Exit(1)


@leaderboard.command()
@click.argument("directory", type=DIRECTORY)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def show(directory: Path, as_json: bool) -> None:
    """Show the board in DIRECTORY in the terminal."""
    from tropism.benchmarks.board import read_board
    from tropism.benchmarks.leaderboard import board_json

    board = read_board(directory)
    if as_json:
        click.echo(json.dumps(board_json(board), indent=1, allow_nan=False))
    else:
        _print(board)


@leaderboard.command()
@click.argument("directory", type=DIRECTORY)
@click.option("--out", type=DIRECTORY, help="The file to write  [DIRECTORY/report.html].")
def report(directory: Path, out: Path | None) -> None:
    """Write the board in DIRECTORY as one HTML file that opens offline."""
    from tropism.agents.artifacts import write_atomic
    from tropism.benchmarks.board import read_board
    from tropism.benchmarks.report import render

    file = out or directory / "report.html"
    write_atomic(file, render(read_board(directory)))
    click.echo(f"{file} written")


def _named(agents: str | None) -> tuple[str, ...]:
    """The agents of a comma-separated option that was given, all known; none if it was not."""
    from tropism.errors import OptionError

    if agents is None:
        return ()
    names = tuple(name.strip() for name in agents.split(",") if name.strip())
    if not names:
        raise OptionError("--agents names no agent; leave it out to run the whole suite")
    return _known(names)


def _need_installed(cells: list[Cell]) -> None:
    """Refuse before hours of playing what would fail cell by cell for want of a plugin."""
    from tropism.agents.plugins import default_host
    from tropism.errors import PluginError

    missing = sorted({cell.agent for cell in cells} - set(default_host().agents()))
    if missing:
        raise PluginError(
            f"this suite plays {', '.join(missing)}, which no usable plugin brings (see `tropism plugins`): "
            "install it, for example with `pip install -e plugins/ppo`, or choose others with --agents"
        )


def _known(names: tuple[str, ...]) -> tuple[str, ...]:
    """``names`` if each is registered or on the board of a suite."""
    from tropism.agents.plugins import default_host
    from tropism.benchmarks.suites import SUITES
    from tropism.errors import UnknownNameError

    players = {p.name for suite in SUITES.values() for e in suite.entries for p in e.players}
    known = players | set(default_host().agents())
    for name in names:
        if name not in known:
            raise UnknownNameError("agent", name, known)
    return names


def _run(cells: list[Cell], out: Path, workers: int | None) -> int:
    """Run what is not finished, with a bar and a line a cell; return how many cells failed."""
    from tropism.agents.progress import progress
    from tropism.benchmarks.cells import cell_key
    from tropism.benchmarks.engine import run_cells

    waiting = [cell for cell in cells if not (out / "cells" / f"{cell_key(cell)}.json").exists()]
    if len(waiting) < len(cells):
        click.echo(
            f"{len(cells) - len(waiting)} of {len(cells)} cells were finished before", err=True
        )
    if not waiting:
        return 0
    done = 0.0
    with progress(sum(cell.cost for cell in waiting), f"{len(waiting)} cells") as update:

        def tell(outcome: Outcome) -> None:
            nonlocal done
            done += outcome.cell.cost
            update(done)
            title = outcome.detail if outcome.state == "skipped" else outcome.cell.title
            click.echo(f"{outcome.state:<8}{title}", err=True)
            if outcome.state == "failed":
                click.echo(outcome.detail, err=True)

        outcomes = run_cells(waiting, out, workers=workers, report=tell)
    return sum(outcome.state == "failed" for outcome in outcomes)


def _print(board: Board) -> None:
    from tropism.benchmarks.table import print_board

    print_board(board)
