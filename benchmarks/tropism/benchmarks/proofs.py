"""Proofs about a ledger as JSON, to be checked without the ledger: an entry is in it; it only grew.

Whoever holds a checkpoint (of 100 bytes) can check them with :mod:`tropism.benchmarks.merkle`, or with any
implementation of RFC 9162 that hashes with SHA3-256.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tropism.benchmarks.canonical import encode
from tropism.benchmarks.checkpoint import parse_checkpoint
from tropism.benchmarks.ledger import Ledger
from tropism.benchmarks.merkle import leaf_hash
from tropism.errors import OptionError


def inclusion_proof(path: Path, seq: int) -> dict[str, Any]:
    """Prove that entry ``seq`` is in the ledger at ``path``.

    Returns:
        ``entry`` (its line), ``leaf`` and ``root`` (hex), ``seq``, ``size`` and ``path`` (hex, from the leaf
        up), as ``merkle.verify_inclusion`` takes them.

    Raises:
        LedgerError: If the ledger is damaged.
        OptionError: If there is no such entry.
    """
    ledger = Ledger.open(path)
    if not 0 <= seq < len(ledger):
        raise OptionError(f"seq={seq} is out of range; {path} holds {len(ledger)} entries")
    line = encode(ledger[seq])
    return {
        "entry": line.decode(),
        "leaf": leaf_hash(line).hex(),
        "seq": seq,
        "size": len(ledger),
        "root": ledger.checkpoint().root,
        "path": [node.hex() for node in ledger.prove_inclusion(seq)],
    }


def growth_proof(path: Path, checkpoint: Path) -> dict[str, Any]:
    """Prove that the ledger at ``path`` still begins with what the kept ``checkpoint`` covers.

    Returns:
        ``old_size``, ``old_root``, ``size``, ``root`` and ``path``, as ``merkle.verify_consistency`` takes
        them, in hex.

    Raises:
        LedgerError: If the ledger is damaged, or does not agree with the checkpoint.
        ArtifactError: If that is no checkpoint.
    """
    old = parse_checkpoint(checkpoint.read_text(encoding="utf-8"))
    ledger = Ledger.open(path)
    ledger.verify([old])
    return {
        "old_size": old.size,
        "old_root": old.root,
        "size": len(ledger),
        "root": ledger.checkpoint().root,
        "path": [node.hex() for node in ledger.prove_consistency(old.size)],
    }
