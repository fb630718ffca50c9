"""Small mutations of a right game, each with the check that is meant to catch it."""

from tests.bridges.broken import episodes, kinds, messages, opening
from tests.bridges.broken.breaking import BROKEN

__all__ = ["BROKEN"]
assert all((opening, episodes, messages, kinds))  # each has added its own
