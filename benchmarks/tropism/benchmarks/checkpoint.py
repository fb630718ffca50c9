"""A checkpoint: how many entries a ledger held at some time and the Merkle root over them.

Whoever keeps one can later show that entries were removed or rewritten. The text is that of C2SP
tlog-checkpoint (https://c2sp.org/tlog-checkpoint), with the time as an extension line; signatures
are those of C2SP signed-note. The root is a SHA3-256 tree's, unlike Certificate Transparency's.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, replace

from tropism.errors import ArtifactError

ORIGIN = "tropism/leaderboard"
"""First line of every checkpoint, and the name that signing keys carry."""

_TEXT = re.compile(
    rf"(?P<text>{ORIGIN}\n(?P<size>0|[1-9]\d{{0,17}})\n(?P<root>[A-Za-z0-9+/]{{43}}=)\n"
    r"(?P<ts>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)\n)(\n(?P<signatures>(— \S+ [A-Za-z0-9+/]+=*\n)+))?"
)


@dataclass(frozen=True)
class Checkpoint:
    """The state of a ledger at one moment.

    Attributes:
        size: Number of entries.
        root: Merkle root over them, 64 hex digits.
        ts: When it was taken, UTC, as ``2026-01-31T12:00:00Z``.
        signatures: Signature lines of C2SP signed-note, without line ends; empty if unsigned.
    """

    size: int
    root: str
    ts: str
    signatures: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """What a signature covers: origin, size, root and time, a line each."""
        root = base64.b64encode(bytes.fromhex(self.root)).decode()
        return f"{ORIGIN}\n{self.size}\n{root}\n{self.ts}\n"

    def __str__(self) -> str:
        if not self.signatures:
            return self.text
        return self.text + "\n" + "".join(f"{line}\n" for line in self.signatures)

    def signed_by(self, line: str) -> Checkpoint:
        """Return a copy that carries one more signature line."""
        return replace(self, signatures=(*self.signatures, line))


def parse_checkpoint(text: str) -> Checkpoint:
    """Read what ``str(checkpoint)`` wrote; signatures are kept, not verified.

    Raises:
        ArtifactError: If the text is anything else.
    """
    match = _TEXT.fullmatch(text)
    if match is None:
        raise ArtifactError(
            f"not a checkpoint: {text[:60]!r}; expected the lines {ORIGIN!r}, size, base64 root, "
            "UTC time, and, if it is signed, an empty line and the signatures"
        )
    root = base64.b64decode(match["root"]).hex()
    signatures = tuple((match["signatures"] or "").splitlines())
    return Checkpoint(int(match["size"]), root, match["ts"], signatures)
