"""How much of a message has come: for people, and for programs."""

from __future__ import annotations


class Progress(str):
    """A text such as "body of OBS, 10/32 bytes" that still knows its numbers.

    Attributes:
        part: "header" or "payload": in which part of the message the bytes have ended.
        got: how many bytes of it have come.
        want: how many it has; None if that is not known yet.
    """

    part: str
    got: int
    want: int | None

    def __new__(
        cls, text: str, part: str = "payload", got: int = 0, want: int | None = None
    ) -> Progress:
        """All but the text have defaults for the sake of pickle, which sets them afterwards."""
        self = super().__new__(cls, text)
        self.part, self.got, self.want = part, got, want
        return self

    @classmethod
    def of(cls, name: str, part: str, got: int, want: int | None) -> Progress:
        """The progress of what is called so."""
        numbers = f"{got}" if want is None else f"{got}/{want}"
        return cls(f"{name}, {numbers} bytes", part, got, want)


def also(text: str, more: str) -> str:
    """More text after it; progress stays progress."""
    whole = "; ".join(part for part in (text, more) if part)
    return Progress(whole, text.part, text.got, text.want) if isinstance(text, Progress) else whole
