"""Two peers in one process: an open session over each transport."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
from gymnasium import spaces

from tropism.bridges.protocol.spec import AgentSpec, Spec
from tropism.bridges.transports.connection import Connection
from tropism.bridges.transports.dial import dial
from tropism.bridges.transports.handshake import expect_ready, open_agent, open_game, ready
from tropism.bridges.transports.hello import new_token
from tropism.bridges.transports.listener import Listener
from tropism.bridges.transports.shm.upgrade import answer, offer

SOCKETS = ("tcp", "unix", "ws")
TRANSPORTS = (*SOCKETS, "shm")
ADDRESSES = {
    "tcp": "tcp://127.0.0.1:0",
    "ws": "ws://127.0.0.1:0",
    "unix": "unix://",
    "shm": "tcp://127.0.0.1:0",
}
SPEC = Spec(
    "pair",
    [AgentSpec("a", spaces.Box(0, 255, (3000,), np.uint8), spaces.Box(-1, 1, (4,), np.float32))],
)


def both(left: Any, right: Any) -> tuple[Any, Any]:
    """Call two functions side by side; what each has returned or raised."""

    def caught(function: Any) -> Any:
        try:
            return function()
        except Exception as error:
            return error

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.submit(caught, left), pool.submit(caught, right)
        return first.result(30), second.result(30)


@contextmanager
def connected(transport: str) -> Iterator[tuple[Connection, Connection]]:
    """Connections of listener and dialler that have not said anything but a HELLO of the dialler."""

    def greet() -> Connection:
        connection = dial(listener.address, 5)
        connection.send(1, b"{}")
        return connection

    with Listener(ADDRESSES[transport]) as listener:
        near, far = both(lambda: listener.accept(5), greet)
        assert near.receive(5).type == 1
        for connection in (near, far):
            connection.max_message = 2**24
        try:
            yield near, far
        finally:
            near.close()
            far.close()


@contextmanager
def session(
    transport: str, agent_listens: bool = True, spec: Spec = SPEC, **options: Any
) -> Iterator[tuple[Any, Any]]:
    """The channels of agent and game, in a session that is open."""
    token = new_token()
    spin = {"spin_us": options.pop("spin_us", None), "copy": options.pop("copy", True)}

    def agent(connection: Connection) -> Any:
        agreed = open_agent(connection, dialled=not agent_listens, token=token, **options)
        channel = offer(connection, agreed, **spin) if transport == "shm" else connection
        ready(connection, agreed)
        return channel

    def game(connection: Connection) -> Any:
        agreed = open_game(connection, spec, dialled=agent_listens, token=token)
        channel: Any = connection
        while (offered := expect_ready(connection, agreed)) is not None:
            channel = answer(connection, agreed, offered, **spin)
        return channel

    with Listener(ADDRESSES[transport]) as listener:
        accepting, dialling = (agent, game) if agent_listens else (game, agent)
        near, far = both(
            lambda: accepting(listener.accept(5)), lambda: dialling(dial(listener.address, 5))
        )
        for side in (near, far):
            if isinstance(side, Exception):
                raise side
        try:
            yield (near, far) if agent_listens else (far, near)
        finally:
            near.close()
            far.close()


@contextmanager
def raw_peer() -> Iterator[tuple[Connection, socket.socket]]:
    """A connection and the bare socket at its other end."""
    left, right = socket.socketpair()
    connection = Connection(left)
    right.settimeout(5)
    try:
        yield connection, right
    finally:
        connection.close()
        right.close()


@contextmanager
def echoing(game: Any) -> Iterator[None]:
    """Let a game answer every message by its own body, until CLOSE."""

    def run() -> None:
        while (message := game.receive(20)).type != 63:
            game.send(18, message.body, message.seq, message.episode)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        thread.join(20)
        assert not thread.is_alive()
