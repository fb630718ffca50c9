"""``tropism ledger``: check that the log of results is whole, and play one of its entries again."""

from __future__ import annotations

from pathlib import Path

import click

FILE = click.Path(path_type=Path)


@click.group()
def ledger() -> None:
    """Verify a ledger of results, or re-run one of its entries."""


@ledger.command()
@click.argument("path", type=FILE)
@click.option(
    "--checkpoint", "checkpoints", type=FILE, multiple=True, help="One kept from earlier."
)
@click.option("--public-key", help="Verifier key that must have signed every checkpoint.")
def verify(path: Path, checkpoints: tuple[Path, ...], public_key: str | None) -> None:
    """Check every entry and link of the ledger at PATH, and every checkpoint against it."""
    from tropism.benchmarks.checkpoint import parse_checkpoint
    from tropism.benchmarks.ledger import Ledger

    retained = [parse_checkpoint(file.read_text(encoding="utf-8")) for file in checkpoints]
    report = Ledger.open(ledger_file(path)).verify(retained, public_key)
    click.echo(
        f"{report.size} entries, root {report.root}: whole; agrees with {report.checkpoints} "
        f"checkpoint(s), {report.signatures} signature(s) checked"
    )


@ledger.command()
@click.argument("path", type=FILE)
@click.argument("seq", type=int)
def reproduce(path: Path, seq: int) -> None:
    """Run the entry SEQ of the ledger at PATH again and compare every action it took."""
    from tropism.benchmarks.reproduce import reproduce_entry

    outcome = reproduce_entry(ledger_file(path), seq)
    for line in outcome.lines():
        click.echo(line)
    if not outcome.identical:
        raise click.exceptions.Exit(1)


def ledger_file(path: Path) -> Path:
    """The ledger file: ``path`` itself, or the one of a leaderboard directory or its ``ledger/``."""
    from tropism.benchmarks.board import LEDGER

    if not path.is_dir():
        return path
    inside = path / LEDGER.name
    return inside if inside.exists() else path / LEDGER
