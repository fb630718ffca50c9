"""Ledgers, edited by hand."""

from __future__ import annotations

import pytest

from tropism.benchmarks.ledger import Ledger, LedgerError
from tropism.errors import ArtifactError


def body(i):
    return {"agent": "ppo", "metrics": {"score": f"0.{i}"}, "seeds": [i, i + 1]}


def eight(path):
    """Eight entries on disk, nothing published."""
    ledger = Ledger.open(path, create=True)
    ledger.extend([("score", body(i)) for i in range(8)])
    return ledger


def lines(path):
    return path.read_bytes().splitlines()


def refused(path, seq, reason, **options):
    with pytest.raises(LedgerError, match=reason) as caught:
        Ledger.open(path, **options)
    assert caught.value.seq == seq
    assert f"entry {seq}" in str(caught.value)
    assert isinstance(caught.value, ArtifactError)
