"""An append-only, tamper-evident ledger of results: one line of canonical JSON an entry.

Each entry names the hash of the one before it, and all are the leaves of a Merkle tree. Alone, that
shows edits; together with a checkpoint kept elsewhere (in the git history, in a report, signed) it
also shows a cut tail and a history rewritten from the start.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tropism.agents.artifacts import write_atomic
from tropism.benchmarks.canonical import decode
from tropism.benchmarks.chain import Chain, now
from tropism.benchmarks.chain import LedgerError as LedgerError
from tropism.benchmarks.checkpoint import Checkpoint, parse_checkpoint
from tropism.benchmarks.journal import Journal
from tropism.errors import ArtifactError


@dataclass(frozen=True)
class Report:
    """What a successful verification covered.

    Attributes:
        size: Entries read again from disk, every link and sequence number checked.
        root: Merkle root over them, 64 hex digits.
        checkpoints: Checkpoints that the entries agree with, the published one included.
        signatures: Of those, how many carry a valid signature of the public key given.
    """

    size: int
    root: str
    checkpoints: int
    signatures: int


class Ledger:
    """The entries of one ledger file, in order; made by ``Ledger.open``.

    Entries are parsed anew at each access, so changing one that was passed in or handed out changes
    nothing here. Several processes may append to one file: each first reads what the others added.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._journal = Journal(path)
        self._chain = Chain(str(path))
        self._offset = 0

    @classmethod
    def open(
        cls, path: str | os.PathLike[str], *, create: bool = False, repair: bool = False
    ) -> Ledger:
        """Read a ledger, check every entry, and compare it with the checkpoint published beside it.

        Args:
            path: The JSONL file.
            create: Accept that there is no file yet; the first append makes it.
            repair: Move a last line that a crash left unfinished to ``<name>.torn-<byte offset>``
                instead of refusing the ledger. Complete entries are never removed.

        Raises:
            LedgerError: Naming the first bad entry and what is wrong with it.
            ArtifactError: If there is no such file.
        """
        ledger = cls(Path(path))
        if not create and not ledger.path.exists():
            raise ArtifactError(f"{path}: there is no such file; name an existing ledger")
        if repair:
            ledger._repair()
        published = ledger._published()  # first: meanwhile others may append and publish more
        ledger._catch_up()
        ledger._chain.check(published)
        return ledger

    def __len__(self) -> int:
        return len(self._chain)

    def __getitem__(self, seq: int) -> dict[str, Any]:
        if not 0 <= seq < len(self):
            raise IndexError(f"seq={seq} is out of range; the ledger holds {len(self)} entries")
        return decode(self._chain.lines[seq])

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (decode(line) for line in self._chain.lines)

    @property
    def checkpoint_path(self) -> Path:
        """Where the checkpoint is published: ``<name>.checkpoint`` beside the ledger."""
        return self.path.with_name(f"{self.path.name}.checkpoint")

    def append(self, kind: str, body: Mapping[str, Any]) -> int:
        """Add one entry and return its sequence number; see ``extend``."""
        return self.extend([(kind, body)])[0]

    def extend(self, items: Iterable[tuple[str, Mapping[str, Any]]]) -> range:
        """Add a batch of (kind, body), durable by one fsync when this returns.

        Returns:
            The sequence numbers of the new entries.

        Raises:
            OptionError: If a kind or body is outside the canonical subset; nothing is then written.
            LedgerError: If the file is damaged, or cannot be written; it is then left as it was.
        """
        items = list(items)
        with self._journal.lock():
            self._catch_up()
            first = len(self)
            lines = self._chain.draft(items)
            if lines:
                self._write(b"".join(line + b"\n" for line in lines))
            for line in lines:
                self._chain.keep(line)
        return range(first, len(self))

    def checkpoint(self, size: int | None = None) -> Checkpoint:
        """Return the state over the first ``size`` entries, all by default, with the time."""
        size = len(self) if size is None else size
        return Checkpoint(size, self._chain.tree.root(size).hex(), now())

    def publish(self, key_path: str | os.PathLike[str] | None = None) -> Checkpoint:
        """Write the checkpoint beside the ledger, atomically, and return it.

        Args:
            key_path: Private key to sign with, made there at first use; unsigned by default. It
                belongs outside the repository.

        Raises:
            LedgerError: If the ledger no longer agrees with the checkpoint published before.
            OptionError: As ``check_signer``.
        """
        with self._journal.lock():
            self._catch_up()
            self._chain.check(self._published())
            self.check_signer(key_path)
            checkpoint = self.checkpoint()
            if key_path is not None:
                from tropism.benchmarks.signing import load_key, sign

                checkpoint = checkpoint.signed_by(sign(checkpoint.text, load_key(key_path)))
            write_atomic(self.checkpoint_path, str(checkpoint))
        return checkpoint

    def check_signer(self, key_path: str | os.PathLike[str] | None) -> None:
        """Refuse a key, or none, that would weaken the published checkpoint: see ``publish``.

        Raises:
            OptionError: If that is signed, and not by the key in ``key_path``.
        """
        from tropism.benchmarks.signing import check_successor

        check_successor(self.checkpoint_path, self._published(), key_path)

    def verify(
        self, checkpoints: Iterable[Checkpoint] = (), public_key: str | None = None
    ) -> Report:
        """Read everything again from disk and hold it against all that is known of it.

        That is: the links and numbers of the entries themselves, what this object read or wrote
        before, the checkpoint published beside the file, and the retained ones given.

        Args:
            checkpoints: Checkpoints kept from earlier, in any order.
            public_key: Verifier key (``signing.verifier_key``) that must have signed every
                checkpoint, of which there must then be at least one.

        Raises:
            LedgerError: Naming the first entry that cannot be trusted and why.
        """
        every = [*self._published(), *checkpoints]
        fresh = Ledger.open(self.path)
        fresh._chain.compare(self._chain.lines)
        fresh._chain.check(every)
        signed = 0
        if public_key is not None:
            from tropism.benchmarks.signing import unsigned

            if reason := unsigned(every, public_key):
                raise self._error(reason)
            signed = len(every)
        return Report(len(fresh), fresh._chain.tree.root().hex(), len(every), signed)

    def prove_inclusion(self, seq: int, size: int | None = None) -> list[bytes]:
        """Return the RFC 9162 path from entry ``seq`` to the root over ``size`` entries.

        ``merkle.verify_inclusion`` checks it; the leaf is ``merkle.leaf_hash`` of the entry's line.
        """
        return self._chain.tree.inclusion_proof(seq, size)

    def prove_consistency(self, old_size: int, size: int | None = None) -> list[bytes]:
        """Return the RFC 9162 proof that the first ``old_size`` entries still begin the ledger."""
        return self._chain.tree.consistency_proof(old_size, size)

    def _catch_up(self) -> None:
        torn = self._read_new()
        if torn:
            raise self._error(
                f"the last line is unfinished ({len(torn)} bytes from byte {self._offset}), as a "
                "crash while writing leaves it; entries before it are intact; reopen with "
                "repair=True (ledger verify --repair) to move it aside"
            )

    def _read_new(self) -> bytes:
        """Check and keep what was added to the file since last time; return an unfinished line."""
        if self._journal.size() < self._offset:
            raise self._error(f"the file is shorter than the {self._offset} bytes known of it")
        *lines, torn = self._journal.read(self._offset).split(b"\n")
        for line in lines:
            self._chain.admit(line)
            self._offset += len(line) + 1
        return torn

    def _repair(self) -> None:
        with self._journal.lock():
            torn = self._read_new()
            self._chain.check(self._published())
            if torn:
                self._journal.cut(self._offset)

    def _write(self, data: bytes) -> None:
        try:
            self._journal.append(data)
        except OSError as error:
            raise self._error(f"not written ({error}); the entries before it are intact") from error
        self._offset += len(data)

    def _published(self) -> list[Checkpoint]:
        if not self.checkpoint_path.exists():
            return []
        return [parse_checkpoint(self.checkpoint_path.read_text(encoding="utf-8"))]

    def _error(self, reason: str) -> LedgerError:
        return LedgerError(str(self.path), len(self), reason)
