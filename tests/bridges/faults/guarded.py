"""Games behind a token."""

import socket
import threading
from contextlib import contextmanager

import gymnasium
from tests.bridges.traces import PATIENT

from tropism.bridges.env import BridgeEnv
from tropism.bridges.serve import Server


def listen_at(transport, directory):
    """An address for a game of that transport."""
    scheme = "ws" if transport == "ws" else "tcp"
    return f"unix://{directory}/game.sock" if transport == "unix" else f"{scheme}://127.0.0.1:0"


def own_address(transport, directory):
    """An address nobody listens at."""
    where = listen_at(transport, directory)
    return where if transport == "unix" else where.removesuffix("0") + str(free_port())


@contextmanager
def served(transport, directory, token=None):
    """CartPole in a thread, waiting for agents; yields its address."""
    stop = threading.Event()
    server = Server(
        gymnasium.make("CartPole-v1"), listen=listen_at(transport, directory), token=token
    )

    def run():
        while not stop.is_set():
            server._answer(server.game.newest(0.05))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield server.address
    finally:
        stop.set()
        thread.join(30)
        server.close()
    assert not thread.is_alive()


def plays(address, **options):
    """An agent that knows what it needs to plays there."""
    env = BridgeEnv(address=address, deadlines=PATIENT, **options)
    env.reset(seed=1)
    assert env.step(0)[4]["bridge"]["step"] == 1
    env.close()


def free_port():
    """A port nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]
