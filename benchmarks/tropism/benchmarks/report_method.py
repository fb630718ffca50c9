"""The parts of the report about how the numbers came about."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tropism.benchmarks.board import Board

TERMS = (
    ("score", "mean return of an episode; interquartile mean over training seeds and episodes"),
    ("NIS", "normalised score: 0 plays at random, 1 is the best possible play"),
    ("accuracy", "share of answers that were right"),
    (
        "excess lag",
        "steps from a switch to three right answers in a row, beyond the ideal observer's on the same "
        "switches; Kaplan–Meier restricted mean, up to 30 steps; lag is the same without the ideal",
    ),
    ("log-regret", "extra surprise a step over the ideal observer, in nats"),
    (
        "units, compute",
        "compute of a decision, in the agent's own primitive, such as network passes",
    ),
    ("µs", "median wall time of a decision at one lane; wall is the mean during evaluation"),
    ("beats next", "chance that a sample of this agent beats one of the agent below"),
    (
        "perseveration",
        "share of answers that follow the old rule where the new one disagrees, 1 to 10 steps after a switch",
    ),
    ("false alarms", "wrong answers on stable steps where the ideal observer is right, per 100"),
    ("savings", "lag on the first visit to a rule over the lag on later visits"),
    ("ece", "expected calibration error: the gap between being sure of an answer and being right"),
    ("alignment", "area under the ROC of compute as a detector of the 3 steps after a switch"),
    ("belief-rho", "rank correlation of compute and the change of the ideal observer's belief"),
    ("depth-rho", "rank correlation of compute and the compute that a step requires"),
    (
        "pareto",
        "normalised score within a budget of compute, averaged over the logarithm of budgets from 1 to 4 "
        "times the cheapest decision; an agent with two modes is held to each budget by a token bucket",
    ),
)


def glossary() -> str:
    """What the columns mean."""
    return f"<section><details><summary>What the columns mean</summary>{_list(TERMS)}</details></section>"


def method(board: Board) -> str:
    """Command, versions, seeds, machine and the ledger's root."""
    return f"<section><h2>How it was measured</h2>{_list(_facts(board))}</section>"


def _facts(board: Board) -> Iterator[tuple[str, str]]:
    about = board.about["manifest"]
    yield "command", f"`{board.about['command']}`"
    yield "when", about["utc"]
    yield "machine", f"{about['cpu']}, {about['cores']} cores, {about['platform']}"
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    yield "versions", f"Python {about['python']}, {versions}"
    yield "sources", f"`{about['source']}`"
    yield from _seeds(board)
    yield from _ledger(board)


def _seeds(board: Board) -> Iterator[tuple[str, str]]:
    if not board.results:
        return
    cells = [result.cell for result in board.results]
    train = sorted({cell.train_seed for cell in cells})
    test = sorted({seed for cell in cells for seed in cell.eval_seeds})
    yield "training seeds", f"{train[0]} to {train[-1]}; players that do not learn play once"
    yield "evaluation seeds", f"{test[0]} to {test[-1]}, never seen in training"


def _ledger(board: Board) -> Iterator[tuple[str, str]]:
    from tropism.benchmarks.ledger import Ledger

    if not board.ledger.exists():
        return
    report = Ledger.open(board.ledger).verify()
    yield "ledger", f"{report.size} entries, verified; root `{report.root}`"
    yield "check it", f"`tropism ledger verify {board.ledger}`"
    yield "play one again", f"`tropism ledger reproduce {board.ledger} 0`"


def _list(items: Iterable[tuple[str, str]]) -> str:
    """A definition list; text between backquotes is code."""
    rows = []
    for term, text in items:
        pieces = escape(text).split("`")
        body = "".join(f"<code>{p}</code>" if i % 2 else p for i, p in enumerate(pieces))
        rows.append(f"<dt>{escape(term)}</dt><dd>{body}</dd>")
    return f"<dl>{''.join(rows)}</dl>"
