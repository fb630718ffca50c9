"""Who has come to a listener and is not the game that is waited for."""

from __future__ import annotations

from collections.abc import Sequence

from tropism.bridges.errors import (
    AuthError,
    BridgeError,
    ConnectionLost,
    HandshakeTimeout,
    ProtocolError,
)
from tropism.bridges.launcher import Launcher
from tropism.bridges.transports.connection import Connection


def is_of_a_stranger(
    error: BridgeError, connection: Connection, has_token: bool, session: str
) -> bool:
    """Whether an opening failed with somebody who has not proved to be the game we wait for, and does not even say so.

    Args:
        error: how it failed.
        connection: with whom.
        has_token: whether there is a secret to be proved.
        session: the name that a game launched by us was told.
    """
    unproved = not connection.trusted
    if not has_token:  # there is nothing to prove, but whoever falls silent is not who we wait for
        unproved = isinstance(error, (ConnectionLost, HandshakeTimeout))
    return isinstance(error, AuthError) or (unproved and connection.session != session)


def no_client(refused: Sequence[BridgeError], launcher: Launcher | None) -> ProtocolError | None:
    """Why a launched game was refused, if it has ended because of that."""
    if launcher is None or launcher.alive:
        return None
    wrong = (error for error in reversed(refused) if isinstance(error, ProtocolError))
    return next(wrong, None)
