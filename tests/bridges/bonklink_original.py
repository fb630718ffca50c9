"""How the original peers of BonkLink v1 read, written anew from a description of their behaviour.

They are what "v1 is left untouched" is tested against: a reader of states that knows HINP only, and a game that
takes one action each tick, ignores sizes it does not like, and never skips their bytes.
"""

import socket
import struct
import threading
import time


def parse_state(data: bytes) -> dict:
    """Read a state up to and with HINP; whatever follows is not looked at."""
    at = 0

    def take(layout: str) -> tuple:
        nonlocal at
        values = struct.unpack_from(layout, data, at)
        at += struct.calcsize(layout)
        return values

    def text() -> str:
        nonlocal at
        length = shift = 0
        while True:
            byte = data[at]
            at += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 128:
                break
        at += length
        return data[at - length : at].decode()

    numbers = take("<9f2?")
    enemies = [take("<4f") for _ in range(take("<i")[0])]
    menu = text()
    options = [text() for _ in range(take("<i")[0])]
    human = None
    if len(data) - at >= 4 and take("<I")[0] == 0x504E4948:
        human = take("<i4f4?2f")
    return {
        "numbers": numbers,
        "enemies": enemies,
        "menu": menu,
        "options": options,
        "human": human,
    }


def read_action(data: bytes) -> tuple[tuple | None, bytes]:
    """What one tick takes from the bytes that have come: an action or None, and what is left."""
    (size,) = struct.unpack_from("<i", data)
    if not 0 < size < 1024:
        return None, data[4:]
    body = data[4 : 4 + size]
    action = struct.unpack_from("<4f4?", body)
    if action[-1]:
        action += struct.unpack_from("<2i", body, 20)
    return action, data[4 + size :]


class OriginalGame(threading.Thread):
    """Serves one agent as the plugin does: in every tick one action at most is read, then a state is sent."""

    def __init__(self, packet: bytes, hz: float = 200.0) -> None:
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.packet, self.pause = packet, 1 / hz
        self.actions: list[tuple] = []
        self.ending = threading.Event()

    def run(self) -> None:
        connection, _ = self.listener.accept()
        waiting = b""
        with connection, self.listener:
            while not self.ending.wait(self.pause):
                try:
                    waiting += connection.recv(65536, socket.MSG_DONTWAIT)
                except BlockingIOError:
                    pass
                except OSError:
                    return
                waiting = self.tick(waiting)
                try:
                    connection.sendall(self.packet)
                except OSError:
                    return

    def tick(self, waiting: bytes) -> bytes:
        if len(waiting) < 4:
            return waiting
        action, rest = read_action(waiting)
        if action is not None:
            self.actions.append(action)
        return rest

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.join()


def until(condition, timeout: float = 10.0) -> None:
    """Wait until something is so, or fail."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "it never became so"
        time.sleep(0.001)
