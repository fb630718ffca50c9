"""How a right game is broken, and the list of those that are."""

from __future__ import annotations

from tests.bridges.small_game import Refusal, SmallGame

RIGHT = SmallGame
BROKEN: list[tuple[str, type[SmallGame]]] = []
"""Check and game."""


def breaks(*checks: str, right: type[SmallGame] = RIGHT, **members: object) -> None:
    """A right game with some members replaced; each of the checks must fail on it."""
    BROKEN.extend((check, type(f"Broken_{check}", (right,), dict(members))) for check in checks)


def refuse_if(condition, code="protocol"):
    """A method `check_hello` that refuses more than it should."""

    def check_hello(self, hello):
        if condition(hello):
            raise Refusal(code)
        RIGHT.check_hello(self, hello)

    return check_hello


def body_with(change):
    """A method `body` whose bytes are changed afterwards."""

    def body(self):
        data = bytearray(RIGHT.body(self))
        return bytes(change(data) or data)

    return body


def put(offset, value):
    return body_with(lambda data: data.__setitem__(offset, value))


def nothing(self, *arguments):
    """A method that does not do its work."""
