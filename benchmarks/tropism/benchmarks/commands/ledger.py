"""``tropism ledger``: check that the log of results is whole, sign it, prove parts of it, play an entry again."""

from __future__ import annotations

import json
from pathlib import Path

import click

FILE = click.Path(path_type=Path)


@click.group()
def ledger() -> None:
    """Verify, sign or prove a ledger of results, or re-run one of its entries."""


@ledger.command()
@click.argument("path", type=FILE)
@click.option(
    "--checkpoint", "checkpoints", type=FILE, multiple=True, help="One kept from earlier."
)
@click.option("--public-key", help="Verifier key that must have signed every checkpoint.")
@click.option("--repair", is_flag=True, help="Move a line that a crash left unfinished aside.")
def verify(path: Path, checkpoints: tuple[Path, ...], public_key: str | None, repair: bool) -> None:
    """Check every entry and link of the ledger at PATH, and every checkpoint against it."""
    from tropism.benchmarks.checkpoint import parse_checkpoint
    from tropism.benchmarks.ledger import Ledger

    retained = [parse_checkpoint(file.read_text(encoding="utf-8")) for file in checkpoints]
    report = Ledger.open(ledger_file(path), repair=repair).verify(retained, public_key)
    click.echo(
        f"{report.size} entries, root {report.root}: whole; agrees with {report.checkpoints} "
        f"checkpoint(s), {report.signatures} signature(s) checked"
    )


@ledger.command()
@click.argument("path", type=FILE)
@click.option("--key", type=FILE, required=True, help="Private key; made there if there is none.")
def sign(path: Path, key: Path) -> None:
    """Publish a signed checkpoint of the ledger at PATH; print the key that verifies it."""
    from tropism.benchmarks.ledger import Ledger
    from tropism.benchmarks.signing import load_key, verifier_key

    book = Ledger.open(ledger_file(path))
    checkpoint = book.publish(key)
    click.echo(f"{book.checkpoint_path}: {checkpoint.size} entries, signed", err=True)
    click.echo(verifier_key(load_key(key)))


@ledger.command()
@click.argument("path", type=FILE)
@click.argument("seq", type=int, required=False)
@click.option("--since", type=FILE, help="A checkpoint kept from earlier.")
def prove(path: Path, seq: int | None, since: Path | None) -> None:
    """Print a proof as JSON: that entry SEQ is in the ledger at PATH, or that it only grew --since.

    The hashes are those of RFC 9162 over SHA3-256, from the leaf up.
    """
    from tropism.benchmarks.proofs import growth_proof, inclusion_proof

    if seq is not None and since is None:
        proof = inclusion_proof(ledger_file(path), seq)
    elif since is not None and seq is None:
        proof = growth_proof(ledger_file(path), since)
    else:
        raise click.UsageError("name either an entry SEQ or a checkpoint --since")
    click.echo(json.dumps(proof, indent=1))


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
