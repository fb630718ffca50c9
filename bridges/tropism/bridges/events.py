"""What a game has told by EVENT, until somebody asks: the newest, bounded in number and in size."""

from __future__ import annotations

from collections import deque
from typing import Any

KEPT_EVENTS = 256
KEPT_BYTES = 16 << 20
"""As sent; as much as one message may have by default."""


class Events(deque[tuple[str, Any]]):
    """Events as `(name, data)`, oldest first; the caller may remove them."""

    def __init__(self) -> None:
        super().__init__(maxlen=KEPT_EVENTS)
        self._sizes: deque[int] = deque(maxlen=KEPT_EVENTS)

    def keep(self, name: str, data: Any, size: int) -> None:
        """Add an event whose message had so many bytes; the oldest go, but never the newest."""
        while len(self._sizes) > len(self):  # somebody has removed some
            self._sizes.popleft()
        self.append((name, data))
        self._sizes.append(size)
        while sum(self._sizes) > KEPT_BYTES and len(self) > 1:
            self.popleft()
            self._sizes.popleft()
