"""The entries of a ledger in memory, each checked against the one before it.

An entry is canonical JSON with exactly the keys ``v`` (format version), ``seq`` (0, 1, 2, ...),
``prev`` (hex leaf hash of the entry before, 64 zeros for the first), ``ts`` (UTC), ``kind``
and ``body``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from tropism.benchmarks.canonical import decode, encode
from tropism.benchmarks.checkpoint import Checkpoint
from tropism.benchmarks.merkle import MerkleTree, leaf_hash
from tropism.errors import ArtifactError, OptionError

VERSION = 1
"""Version of the entry format; entries of another one are refused."""

_FIRST_PREV = "0" * 64
_FIELDS = {"v", "seq", "prev", "ts", "kind", "body"}
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


class LedgerError(ArtifactError):
    """A ledger is damaged, or not what a checkpoint says it was.

    Attributes:
        seq: Sequence number of the first entry that cannot be trusted.
        reason: What is wrong with it.
    """

    def __init__(self, name: str, seq: int, reason: str) -> None:
        super().__init__(f"{name}, entry {seq}: {reason}")
        self.seq, self.reason = seq, reason


class Chain:
    """Checked entries, kept as bytes so that nobody shares an object with them.

    Args:
        name: What errors call the ledger.

    Attributes:
        lines: The entries as on disk, without line ends.
        tree: Merkle tree over them.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: list[bytes] = []
        self.tree = MerkleTree()

    def __len__(self) -> int:
        return len(self.lines)

    def draft(self, items: Iterable[tuple[str, Mapping[str, Any]]]) -> list[bytes]:
        """Encode (kind, body) pairs as the entries that would come next, without keeping them.

        Raises:
            OptionError: If a kind or body is outside the canonical subset.
        """
        prev, ts, lines = self._head(), now(), []
        for seq, (kind, body) in enumerate(items, start=len(self)):
            if type(kind) is not str or not kind:
                raise OptionError(f"kind={kind!r} must be a non-empty string")
            entry = {"v": VERSION, "seq": seq, "prev": prev, "ts": ts, "kind": kind}
            line = encode(entry | {"body": dict(body)})
            prev = leaf_hash(line).hex()
            lines.append(line)
        return lines

    def keep(self, line: bytes) -> None:
        """Take in a line that ``draft`` made."""
        self.lines.append(line)
        self.tree.append(line)

    def admit(self, line: bytes) -> None:
        """Take in a line of unknown origin, if it is the entry that must come next.

        Raises:
            LedgerError: If it is not.
        """
        seq = len(self)
        try:
            entry = decode(line)
        except OptionError as error:
            raise LedgerError(self.name, seq, str(error)) from error
        fault = _fault(entry, seq)
        if fault:
            raise LedgerError(self.name, seq, fault)
        if entry["prev"] != self._head():
            raise LedgerError(self.name, *_broken_link(seq))
        self.keep(line)

    def compare(self, known: Iterable[bytes]) -> None:
        """Refuse to differ from lines read or written earlier.

        Raises:
            LedgerError: Naming the first entry that is missing or was replaced.
        """
        for seq, line in enumerate(known):
            if seq >= len(self):
                raise LedgerError(self.name, seq, "it is gone since it was read: tail truncated")
            if self.lines[seq] != line:
                raise LedgerError(self.name, seq, "it is not what was read or written before")

    def check(self, checkpoints: Iterable[Checkpoint]) -> None:
        """Refuse to contradict any of the checkpoints.

        Raises:
            LedgerError: Naming the first entry that no agreeing checkpoint vouches for.
        """
        trusted = 0
        for checkpoint in sorted(checkpoints, key=lambda each: each.size):
            if checkpoint.size > len(self):
                raise LedgerError(
                    self.name,
                    len(self),
                    f"it is missing: the checkpoint of {checkpoint.ts} covers {checkpoint.size} "
                    f"entries, {len(self)} are left; the tail was truncated",
                )
            if self.tree.root(checkpoint.size).hex() != checkpoint.root:
                raise LedgerError(
                    self.name,
                    trusted,
                    f"it or one up to {checkpoint.size - 1} is not what the checkpoint of "
                    f"{checkpoint.ts} covers: history was rewritten",
                )
            trusted = checkpoint.size

    def _head(self) -> str:
        return self.tree.leaf(len(self) - 1).hex() if self.lines else _FIRST_PREV


def now() -> str:
    """Return the time as entries and checkpoints write it: UTC, whole seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _broken_link(seq: int) -> tuple[int, str]:
    if seq == 0:
        return 0, "prev must be 64 zeros in the first entry: entries before it were removed"
    return seq - 1, f"its hash is not the one entry {seq} names: it or that link was edited"


def _fault(entry: Any, seq: int) -> str | None:
    """Say what is wrong with a decoded entry, apart from its link; ``None`` if nothing is."""
    if type(entry) is not dict or entry.keys() != _FIELDS:
        return f"it must be an object with exactly the keys {sorted(_FIELDS)}"
    if type(entry["v"]) is not int or entry["v"] != VERSION:
        return f"it has format version {entry['v']!r}; this release reads {VERSION}"
    if type(entry["seq"]) is not int or entry["seq"] != seq:
        return f"its seq is {entry['seq']!r}: entries are missing, repeated or out of order"
    return _fault_of_types(entry)


def _fault_of_types(entry: dict[str, Any]) -> str | None:
    if type(entry["ts"]) is not str or not _TIME.fullmatch(entry["ts"]):
        return f"its ts is {entry['ts']!r}; expected UTC such as 2026-01-31T12:00:00Z"
    if type(entry["kind"]) is not str or not entry["kind"]:
        return f"its kind is {entry['kind']!r}; expected a non-empty string"
    if type(entry["body"]) is not dict:
        return f"its body is a {type(entry['body']).__name__}; expected an object"
    return None
