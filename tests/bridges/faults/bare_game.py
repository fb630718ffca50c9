"""A game of the standard library alone, so that it starts in a moment; its actions are misdeeds.

Run it as a script, by an agent that launches it, or with `--listen tcp://…` or `--listen unix://…`, which prints where.
It is written after docs/bridge-protocol.md and shares no code with the package.
"""

import argparse
import base64
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

HELLO, AUTH, WELCOME, SPEC, SHM_OFFER, SHM_ACK, READY = 1, 3, 4, 5, 6, 7, 8
RESET, STEP, OBS, BELL, ERROR, CLOSE = 16, 17, 18, 34, 48, 63
HEADER = struct.Struct("<4sBBHIIQII")
MISDEEDS = (
    "play",
    "kill",
    "leave",
    "fail",
    "hang",
    "slow",
    "late",
    "half_header",
    "half_body",
    "half_body_close",
)
MISDEEDS += ("garbage", "huge", "unknown", "must", "nan", "inf", "high", "low")
SLOW_S = 0.05
LIMIT = 1000.0
"""The upper bound of observations; the lower one is 0."""
VALUES = {"nan": float("nan"), "inf": float("inf"), "high": 2 * LIMIT, "low": -1.0}


def act(name):
    """The action that does this."""
    return MISDEEDS.index(name)


class Wire:
    """Messages over a socket, raw or in WebSocket frames."""

    def __init__(self, sock, websocket=False):
        self.sock, self.websocket = sock, websocket
        if websocket:
            self._upgrade()

    @classmethod
    def dial(cls, address):
        scheme, _, rest = address.partition("://")
        if scheme == "unix":
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(rest)
        else:
            host, _, port = rest.rpartition(":")
            sock = socket.create_connection((host, int(port)))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return cls(sock, scheme == "ws")

    def exactly(self, size):
        data = b""
        while len(data) < size:
            chunk = self.sock.recv(size - len(data))
            if not chunk:
                raise EOFError
            data += chunk
        return data

    def rest(self):
        """Everything up to the end of the connection."""
        data = b""
        while chunk := self.sock.recv(65536):
            data += chunk
        return data

    def framed(self, data):
        """The bytes of one message as they travel; the mask of a WebSocket is zeros, which change nothing."""
        if not self.websocket:
            return data
        size = len(data)
        if size < 126:
            head = struct.pack(">BB", 130, 128 + size)
        elif size < 65536:
            head = struct.pack(">BBH", 130, 254, size)
        else:
            head = struct.pack(">BBQ", 130, 255, size)
        return head + bytes(4) + data

    def send(self, kind, body=b"", seq=0, episode=0, **header):
        self.sock.sendall(self.framed(message(kind, body, seq, episode, **header)))

    def receive(self):
        """Type, number, episode and body."""
        head = self._frame() if self.websocket else self.exactly(32)
        _, kind, _, _, length, seq, _, episode, _ = HEADER.unpack(head[:32])
        body = head[32:] if self.websocket else self.exactly(length)
        return kind, seq, episode, body

    def _frame(self):
        first, size = self.exactly(2)
        wide = {126: 2, 127: 8}.get(size, 0)
        data = self.exactly(int.from_bytes(self.exactly(wide), "big") if wide else size)
        if first & 15 == 8:
            raise EOFError
        return data

    def _upgrade(self):
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        lines = ("GET / HTTP/1.1", "Host: game", "Upgrade: websocket", "Connection: Upgrade")
        lines += (f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", "", "")
        self.sock.sendall("\r\n".join(lines).encode())
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += self.exactly(1)


def message(kind, body=b"", seq=0, episode=0, flags=0, length=None, magic=b"GBR1"):
    """Header and body; the header may lie."""
    body = json.dumps(body).encode() if isinstance(body, dict) else body
    length = len(body) if length is None else length
    return HEADER.pack(magic, kind, flags, 0, length, seq, time.monotonic_ns(), episode, 0) + body


class Memory:
    """The shared memory of a session. It always asks for the bell."""

    def __init__(self, offer):
        file = os.open(offer["path"], os.O_RDWR)
        self.map = mmap.mmap(file, offer["size"])
        os.close(file)
        self.put("<Q", 0x1C0, (int(offer["nonce"]) + 1) % 2**64)
        self.action_size, self.size = self.get("<I", 0x2C), self.get("<I", 0x34)
        self.number, self.fence = 0, threading.Lock()
        self.put("<I", 0x140, 1)

    def put(self, form, offset, value):
        struct.pack_into(form, self.map, offset, value)

    def get(self, form, offset):
        return struct.unpack_from(form, self.map, offset)[0]

    def request(self):
        """Number, episode and body of the newest request."""
        base = 0x1000 + self.get("<I", 0x80) % 2 * self.action_size
        _, _, _, _, length, seq, _, episode, _ = HEADER.unpack_from(self.map, base + 16)
        return seq, episode, self.map[base + 64 : base + 64 + length]

    def show(self, whole, seq):
        """Write a message; returns whether the agent wants the bell."""
        self.number += 1
        base = 0x1000 + 2 * self.action_size + self.number % 3 * self.size
        self.put("<Q", base, self.number)
        self.map[base + 16 : base + 48] = whole[:32]
        self.map[base + 64 : base + 32 + len(whole)] = whole[32:]
        self.put("<Q", base + 8, self.number)
        self.put("<Q", 0x180, self.number)
        self.put("<I", 0x100, seq)
        with self.fence:
            return self.get("<I", 0xC0) != 0


class BareGame:
    """One session."""

    def __init__(self, wire, options):
        self.wire, self.options = wire, options
        self.memory = None
        self.step = self.seq = self.episode = 0
        box = {"t": "box", "d": options.dtype, "s": [options.size], "lo": 0, "hi": LIMIT}
        obs, act = (
            {"t": "dict", "of": [["x", box]]},
            {"t": "discrete", "n": len(MISDEEDS), "start": 0},
        )
        self.spec = {"name": "bare", "agents": [{"id": "a", "obs": obs, "act": act}]}

    def run(self):
        self.open()
        while True:
            kind, seq, episode, body = self.wire.receive()
            if kind == BELL:
                self.ring()
            elif kind in (RESET, STEP):
                self.request(kind, seq, episode, body)
            elif kind == CLOSE:
                return

    # --- opening --------------------------------------------------------------------------------

    def open(self):
        token = os.environ.get("TROPISM_BRIDGE_TOKEN", "")
        nonce, dialled = secrets.token_hex(32), self.options.listen is None
        hello = {
            "proto": [1, 0],
            "min_major": 1,
            "role": "game",
            "name": "bare",
            "caps": ["seed", "shm"],
        }
        hello |= {"nonce": nonce, "session": "", "auth": bool(token)} | json.loads(
            self.options.hello
        )
        if dialled:
            self.wire.send(HELLO, hello)
        theirs = self.expect(HELLO)
        if not dialled:
            self.wire.send(HELLO, hello)
        if token:
            self.prove(
                bytes.fromhex(token), f"tropism-bridge-1|%s|{theirs['nonce']}|{nonce}", dialled
            )
        self.expect(WELCOME)
        self.wire.send(SPEC, self.spec)
        while (found := self.expect(READY, SHM_OFFER)).keys() >= {"path"}:
            self.memory = Memory(found)
            self.wire.send(SHM_ACK, {"ok": True})

    def prove(self, token, text, dialled):
        if not dialled:
            self.expect(AUTH)
        mac = hmac.new(token, (text % "game").encode(), hashlib.sha256).hexdigest()
        self.wire.send(AUTH, {"mac": mac})
        if dialled:
            self.expect(AUTH)

    def expect(self, *types):
        kind, _, _, body = self.wire.receive()
        if kind not in types:
            raise SystemExit(f"message of type {kind}: {body.decode()}")
        return json.loads(body)

    # --- requests -------------------------------------------------------------------------------

    def ring(self):
        seq, episode, body = self.memory.request()
        if seq != self.seq and episode == self.episode:
            self.request(STEP, seq, episode, body)

    def request(self, kind, seq, episode, body):
        self.seq, self.episode = seq, episode
        self.step = 0 if kind == RESET else self.step + 1
        what = struct.unpack_from("<q", body, 16)[0] if kind == STEP else 0
        name = MISDEEDS[what] if 0 <= what < len(MISDEEDS) else "play"
        getattr(self, f"do_{name}", self.do_play)(name)

    def body(self, value=None):
        form = {"f4": "f", "f8": "d"}[self.options.dtype]
        x = struct.pack(
            f"<{self.options.size}{form}",
            *[self.step if value is None else value] * self.options.size,
        )
        head = struct.pack(
            "<QQQIIdBBB5x", self.step, self.seq, 0, 2, 1, float(self.step > 0), 0, 0, 1
        )
        return head + x + bytes(-len(x) % 8) + bytes(8)

    def observe(self, value=None):
        self.show(self.body(value), self.seq, self.episode)

    def show(self, body, seq, episode):
        if self.memory is None:
            self.wire.send(OBS, body, seq, episode)
        elif self.memory.show(message(OBS, body, seq, episode, flags=8), seq):
            self.wire.send(BELL)

    # --- what it is asked to do -----------------------------------------------------------------

    def do_play(self, name):
        self.observe(VALUES.get(name))

    def do_kill(self, name):
        os.kill(os.getpid(), 9)

    def do_leave(self, name):
        os._exit(0)

    def do_fail(self, name):
        os.write(2, b"the disk is full\n")
        os._exit(3)

    def do_hang(self, name):
        os.write(2, b"hanging\n")
        time.sleep(60)

    def do_slow(self, name):
        time.sleep(SLOW_S)
        self.observe()

    def do_late(self, name):
        """Answer when the next request has come already."""
        late = self.body(), self.seq, self.episode
        kind, seq, episode, body = self.wire.receive()
        self.show(*late)
        self.ring() if kind == BELL else self.request(kind, seq, episode, body)

    def do_half_header(self, name):
        self._half(10, stays=False)

    def do_half_body(self, name):
        self._half(32 + len(self.body()) // 2, stays=True)

    def do_half_body_close(self, name):
        self._half(32 + len(self.body()) // 2, stays=False)

    def _half(self, size, stays):
        """Send so many bytes of the answer, on the connection, and then nothing more or the end."""
        whole = message(OBS, self.body(), self.seq, self.episode)
        framed = self.wire.framed(whole)
        self.wire.sock.sendall(framed[: len(framed) - len(whole) + size])
        if not stays:
            self.wire.sock.shutdown(socket.SHUT_RDWR)
        time.sleep(60)

    def do_garbage(self, name):
        """And a right answer behind it, which nobody may find."""
        garbage = bytes(range(60, 160))
        right = self.wire.framed(message(OBS, self.body(), self.seq, self.episode))
        self.wire.sock.sendall(self.wire.framed(garbage) + right)
        time.sleep(60)

    def do_huge(self, name):
        self.wire.send(OBS, self.body(), self.seq, self.episode, length=0xFFFFFFFF)
        time.sleep(60)

    def do_unknown(self, name):
        self.wire.send(99, b"from the future")
        self.observe()

    def do_must(self, name):
        self.wire.send(99, b"from the future", flags=1)
        time.sleep(60)


def stranger(address, how):
    """Connect once and say something else than HELLO; what the other side says goes to standard error."""
    plain = address.replace("ws://", "tcp://") if how == "garbage" else address
    wire = Wire.dial(plain)
    data = {
        "garbage": b"\x99" + secrets.token_bytes(4095),
        "swapped": wire.framed(message(HELLO, {}, magic=b"1RBG")),
    }[how]
    wire.sock.sendall(data)
    start = time.monotonic()
    try:
        said = wire.rest()
    except ConnectionError as error:
        said = str(error).encode()
    took = time.monotonic() - start
    sys.stderr.write(f"refused after {took:.3f} s: {said[32:].decode('ascii', 'ignore')}\n")
    sys.stderr.flush()
    wire.sock.close()


def accept(address):
    """Listen, tell where, and take the first who comes."""
    scheme, _, rest = address.partition("://")
    if scheme == "unix":
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(rest)
        listener.listen()
        where = address
    else:
        listener = socket.create_server(("127.0.0.1", 0))
        where = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
    print(where, flush=True)  # noqa: T201
    return Wire(listener.accept()[0])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen")
    parser.add_argument("--hello", default="{}", help="JSON that replaces parts of HELLO")
    parser.add_argument("--size", type=int, default=3, help="numbers in an observation")
    parser.add_argument("--dtype", default="f4")
    parser.add_argument(
        "--first", choices=["garbage", "swapped"], help="what to say on a connection before"
    )
    parser.add_argument("--only", action="store_true", help="leave after that")
    options = parser.parse_args()
    address = os.environ.get("TROPISM_BRIDGE_ADDR")
    if options.first and address:
        stranger(address, options.first)
    if options.only:
        raise SystemExit(0)
    wire = Wire.dial(address) if options.listen is None else accept(options.listen)
    try:
        BareGame(wire, options).run()
    except (EOFError, ConnectionError):
        raise SystemExit("the agent is gone") from None


if __name__ == "__main__":
    main()
