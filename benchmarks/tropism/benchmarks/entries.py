"""Finished cells as entries of the ledger: what was played, what came out, and what that depends on.

The ledger holds no floats (they have no one spelling), so they travel as ``{"float": "0.5"}``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from tropism.benchmarks.leaderboard import by_task, task_name, task_references
from tropism.benchmarks.ledger import Ledger
from tropism.benchmarks.metrics.registry import METRICS, References
from tropism.benchmarks.runner import Result

if TYPE_CHECKING:
    from pathlib import Path

    from tropism.benchmarks.board import Board

KIND = "score"
"""Kind of the ledger entries that hold a cell."""

_ORIGIN = ("plugin", "packages", "source", "python", "platform", "cpu", "cores", "utc")


def record_board(board: Board, key_path: Path | None = None) -> int:
    """Append the finished cells that the board's ledger does not hold yet, in one batch; publish a checkpoint.

    Args:
        board: What was played.
        key_path: Private key that signs the checkpoint; see ``Ledger.publish``.

    Returns:
        How many entries were added.

    Raises:
        LedgerError: If the ledger is damaged; nothing is then written.
        OptionError: If the published checkpoint is signed and the key is not its signer's; likewise.
    """
    scales = {task: task_references(players) for task, players in by_task(board.results).items()}
    board.ledger.parent.mkdir(parents=True, exist_ok=True)
    ledger = Ledger.open(board.ledger, create=True)
    ledger.check_signer(key_path)
    there = {entry["body"]["key"] for entry in ledger if entry["kind"] == KIND}
    new = [
        (KIND, entry_body(result, scales[task_name(result.cell.task)]))
        for result in board.results
        if result.key not in there
    ]
    if new:
        ledger.extend(new)
    ledger.publish(key_path)
    return len(new)


def entry_body(result: Result, references: References) -> dict[str, Any]:
    """The body of the entry about one finished cell."""
    values = {name: metric(result.episodes, references) for name, metric in METRICS.items()}
    return {
        "key": result.key,
        "cell": encode_floats(result.cell.to_json()),
        "metrics": {name: f"{v:.6g}" for name, v in values.items() if not math.isnan(v)},
        "scores": [repr(episode.score) for episode in result.episodes],
        "action_hashes": [episode.action_hash for episode in result.episodes],
        "episodes_sha3": result.record["episodes_sha3"],
        **{name: result.record[name] for name in _ORIGIN},
    }


def encode_floats(value: Any) -> Any:
    """JSON values with every float as ``{"float": "<shortest decimal>"}``."""
    if isinstance(value, float):
        return {"float": repr(value)}
    if isinstance(value, dict):
        return {key: encode_floats(item) for key, item in value.items()}
    return [encode_floats(item) for item in value] if isinstance(value, list) else value


def decode_floats(value: Any) -> Any:
    """The inverse of :func:`encode_floats`, bit for bit."""
    if isinstance(value, dict):
        if set(value) == {"float"}:
            return float(value["float"])
        return {key: decode_floats(item) for key, item in value.items()}
    return [decode_floats(item) for item in value] if isinstance(value, list) else value
