"""A null game of the standard library alone: 30 floats out, one float in, as little between them as the protocol allows.

Called with ``frame`` it shows 84 x 84 x 3 bytes beside the floats.

The games of ``bridge_peers.py`` are loops around a socket, too, so this is what their clients and ours are measured against.  It
is launched by an agent, dials it, and plays over the connection or, if it is offered some, in shared memory.  Written after
``docs/bridge-protocol.md``; what is measured of :mod:`tropism.bridges` is the side of the agent.
"""

from __future__ import annotations

import gc
import hashlib
import hmac
import json
import mmap
import os
import secrets
import socket
import struct
import sys
import threading
import time
from typing import Any

HELLO, AUTH, WELCOME, SPEC, SHM_OFFER, SHM_ACK, READY = 1, 3, 4, 5, 6, 7, 8
RESET, STEP, OBS, BELL, CLOSE = 16, 17, 18, 34, 63
HEADER = struct.Struct("<4sBBHIIQII")
HEAD = struct.Struct(
    "<QQQIIdQ"
)  # of an observation; the flags of the only agent are one number: alive
BOX = {"t": "box", "d": "f4", "lo": -1, "hi": 1}
VECTOR, FRAME = {**BOX, "s": [30]}, {"t": "box", "d": "u1", "s": [84, 84, 3], "lo": 0, "hi": 255}
FRAMED = "frame" in sys.argv
TAIL = bytes([7]) * (84 * 84 * 3) * FRAMED + struct.pack("<30f", *[0.5] * 30) + bytes(8)
LOOK_S = 0.0 if "sleep" in sys.argv else 0.0002
"""How long to look for a request in memory before sleeping; called with ``sleep`` it does not look."""


def dial(address: str) -> socket.socket:
    """Connect to ``tcp://host:port`` or ``unix://path``."""
    scheme, _, where = address.partition("://")
    if scheme == "unix":
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(where)
        return sock
    host, _, port = where.rpartition(":")
    sock = socket.create_connection((host, int(port)))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


class Game:
    """One session over a connection."""

    def __init__(self) -> None:
        self.sock = dial(os.environ["TROPISM_BRIDGE_ADDR"])
        self.memory: Memory | None = None
        self.received, self.step = b"", 0

    # -- messages -------------------------------------------------------------------------------------------

    def send(
        self, kind: int, body: bytes, seq: int = 0, episode: int = 0, tail: bytes = b""
    ) -> None:
        """Header and body, of which the tail is not copied, in one call."""
        now, length = time.monotonic_ns(), len(body) + len(tail)
        head = HEADER.pack(b"GBR1", kind, 0, 0, length, seq, now, episode, 0)
        sent = self.sock.sendmsg((head, body, tail))
        if sent < len(head) + length:
            self.sock.sendall((head + body + tail)[sent:])

    def receive(self) -> tuple[int, int, int, bytes]:
        """Type, number, episode and body."""
        data = self.received
        while len(data) < 32:
            data += self._more()
        _, kind, _, _, length, seq, _, episode, _ = HEADER.unpack_from(data)
        while len(data) < 32 + length:
            data += self._more()
        self.received = data[32 + length :]
        return kind, seq, episode, data[32 : 32 + length]

    def _more(self) -> bytes:
        more = self.sock.recv(4096)
        if not more:
            raise SystemExit("the agent is gone")
        return more

    # -- the opening ----------------------------------------------------------------------------------------

    def open(self) -> None:
        """Shake hands as the one who has dialled."""
        token, nonce = bytes.fromhex(os.environ["TROPISM_BRIDGE_TOKEN"]), secrets.token_hex(32)
        name = os.environ["TROPISM_BRIDGE_SESSION"]
        hello = {"proto": [1, 0], "min_major": 1, "role": "game", "name": "bare", "caps": ["shm"]}
        self._say(HELLO, hello | {"nonce": nonce, "session": name, "auth": True})
        theirs = self._hear()["nonce"]
        text = f"tropism-bridge-1|game|{theirs}|{nonce}"
        self._say(AUTH, {"mac": hmac.new(token, text.encode(), hashlib.sha256).hexdigest()})
        for _ in (AUTH, WELCOME):
            self._hear()
        both = {"t": "dict", "of": [["frame", FRAME], ["vector", VECTOR]]}
        agent = {"id": "a", "obs": both if FRAMED else VECTOR, "act": {**BOX, "s": [1]}}
        self._say(SPEC, {"name": "bare", "agents": [agent]})
        while "path" in (offer := self._hear()):
            self.memory = Memory(offer)
            self._say(SHM_ACK, {"ok": True})

    def _say(self, kind: int, body: dict[str, Any]) -> None:
        self.send(kind, json.dumps(body).encode())

    def _hear(self) -> dict[str, Any]:
        return json.loads(self.receive()[3])

    # -- playing --------------------------------------------------------------------------------------------

    def play(self) -> None:
        """Answer requests until the agent closes."""
        if self.memory is None:
            self.answer()
        while True:
            kind, seq, episode, _ = self.receive()
            if kind in (RESET, STEP):
                self.step = 0 if kind == RESET else self.step + 1
                self.show(seq, episode)
            elif kind == CLOSE:
                return
            if self.memory is not None:
                self.look(self.memory)

    def answer(self) -> None:
        """Answer requests that come one by one and whole, as they do over a connection; the first that is none is left for :meth:`receive`."""
        receive, send, size = self.sock.recv, self.sock.sendmsg, HEAD.size + len(TAIL)
        while True:
            data = self.received = receive(4096)
            if len(data) < HEADER.size:
                return
            _, kind, _, _, length, seq, _, episode, _ = HEADER.unpack_from(data)
            if len(data) != HEADER.size + length or kind not in (RESET, STEP):
                return
            self.step = step = 0 if kind == RESET else self.step + 1
            now = time.monotonic_ns()
            head = HEADER.pack(b"GBR1", OBS, 0, 0, size, seq, now, episode, 0)
            head += HEAD.pack(step, seq, 0, 2 - (step == 0), 1, 0.0, 1 << 16)
            sent = send((head, TAIL))
            if sent < HEADER.size + size:
                self.sock.sendall((head + TAIL)[sent:])

    def show(self, seq: int, episode: int) -> None:
        """Answer a request."""
        head = HEAD.pack(self.step, seq, 0, 2 - (self.step == 0), 1, 0.0, 1 << 16)
        if self.memory is None:
            self.send(OBS, head, seq, episode, TAIL)
        elif self.memory.write(head + TAIL, seq, episode):
            self.send(BELL, b"")

    def look(self, memory: Memory) -> None:
        """Answer requests in memory until none comes for a while."""
        memory.words[memory.waits] = 0
        while memory.comes(LOOK_S):
            self.step += 1
            self.show(*memory.read())
        memory.words[memory.waits] = 1
        with memory.fence:
            pass
        if memory.words[memory.request] != memory.seen:  # it came while we said that we sleep
            self.look(memory)


class Memory:
    """The shared memory of a session."""

    def __init__(self, offer: dict[str, Any]) -> None:
        file = os.open(offer["path"], os.O_RDWR)
        self.map = mmap.mmap(file, offer["size"])
        os.close(file)
        self.words, self.longs = memoryview(self.map).cast("I"), memoryview(self.map).cast("Q")
        self.action_size, self.size = self.words[0x2C >> 2], self.words[0x34 >> 2]
        self.request, self.waits = 0x80 >> 2, 0x140 >> 2
        self.seen = self.number = 0
        self.fence = threading.Lock()
        self.longs[0x1C0 >> 3] = (int(offer["nonce"]) + 1) % 2**64

    def comes(self, seconds: float) -> bool:
        """Whether a request comes within that time."""
        words, request, seen = self.words, self.request, self.seen
        end = time.perf_counter() + seconds
        while words[request] == seen:
            if time.perf_counter() > end:
                return False
        return True

    def read(self) -> tuple[int, int]:
        """Number and episode of the newest request."""
        self.seen = seq = self.words[self.request]
        base = 0x1000 + seq % 2 * self.action_size
        return seq, HEADER.unpack_from(self.map, base + 16)[7]

    def write(self, body: bytes, seq: int, episode: int) -> bool:
        """Show an observation; whether the agent wants the bell."""
        self.number = number = self.number + 1
        base = 0x1000 + 2 * self.action_size + number % 3 * self.size
        self.longs[base >> 3] = number
        now = time.monotonic_ns()
        HEADER.pack_into(self.map, base + 16, b"GBR1", OBS, 8, 0, len(body), seq, now, episode, 0)
        self.map[base + 64 : base + 64 + len(body)] = body
        self.longs[(base >> 3) + 1] = number
        self.longs[0x180 >> 3] = number
        self.words[0x100 >> 2] = seq
        with self.fence:
            return self.words[0xC0 >> 2] != 0


if __name__ == "__main__":
    gc.disable()  # nothing here is a cycle
    game = Game()
    game.open()
    game.play()
