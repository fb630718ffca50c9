"""What the doctor finds, and the processes of a game."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import NamedTuple


class Finding(NamedTuple):
    """One thing looked at.

    Attributes:
        subject: what, in a word or two.
        state: "ok", "warn" (works, but not as well as it could) or "bad".
        text: what was found.
        remedy: what to do about it; empty if nothing.
    """

    subject: str
    state: str
    text: str
    remedy: str = ""


def session_of(leader: int) -> list[int]:
    """The processes of a session, the leader among them, as far as Linux shows them."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.getsid(int(entry.name)) == leader:
                found.append(int(entry.name))
    return found
