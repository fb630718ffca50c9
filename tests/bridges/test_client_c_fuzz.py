"""The C client fed with mutated streams: under sanitizers it neither crashes, nor hangs, nor takes much memory."""

import hashlib
import random
import struct
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from tests.bridges.c_games import HERE, SANITIZED, build, needs_cc

from tropism.bridges.protocol.bodies import ActionCodec
from tropism.bridges.protocol.header import Flag, Type, pack_header
from tropism.bridges.protocol.messages import encode, write_json
from tropism.bridges.protocol.spec import Spec
from tropism.bridges.transports.shm.region import find_directory
from tropism.bridges.transports.shm.ring import Plan

pytestmark = needs_cc
MANY, NONCE = 4096, 12345
NUMBERS = (0, 1, 2, 7, 8, 31, 32, 63, 64, 127, 128, 255, 256, 2**16, 2**24, 2**31, 2**32 - 1)
ENVIRONMENT = {"ASAN_OPTIONS": "max_allocation_size_mb=40:detect_leaks=1"}
LONGEST_MS = 1000


class Streams:
    """What an agent might send to the game of `fuzz.c`, right at first and then spoilt.

    Args:
        spec: the body of its SPEC.
        path: of the file for shared memory.
    """

    def __init__(self, spec, path):
        self.spec, self.path = Spec.from_bytes(spec), path
        self.hash = hashlib.sha256(spec).digest()
        self.actions = ActionCodec(self.spec)
        self.plan = Plan.of(self.spec)
        self.right = [
            self._session(False, False),
            self._session(True, False),
            self._session(False, True),
        ]

    def _json(self, kind, seq=0, episode=0, **facts):
        return encode(kind, write_json(facts), seq, episode)

    def _session(self, latest, shared):
        """A file of shared memory, and the messages of a session."""
        caps = ["call", "crc", "latest", "shm"]
        mode = "latest" if latest else "lockstep"
        act = [{"go": -2, "say": "abca", "bits": [1, 0, 1]}]
        body = bytes(self.actions.encode(act))
        kind = Type.ACTION if latest else Type.STEP
        memory, offer = b"", []
        if shared:
            memory = self._memory(body)
            facts = {"path": self.path, "size": len(memory), "nonce": str(NONCE)}
            offer = [self._json(Type.SHM_OFFER, **facts)]
        nonce = "0123456789abcdef" * 4
        return memory, [
            self._json(Type.HELLO, proto=[1, 0], min_major=1, role="agent", caps=caps, nonce=nonce, auth=False),
            self._json(Type.WELCOME, caps=caps, max_message=2**24, mode=mode, session="s"),
            *offer,
            self._json(Type.READY, spec=self.hash.hex()[:32]),
            self._json(Type.RESET, 1, 1, seed=2**53 - 1, options={"level": -1.5e3, "name": "ü\u20ac\n"}),
            encode(kind, body, 3, 1, crc=True),
            encode(Type.PING, b"ping"),
            self._json(Type.CALL, id=-7, name="e\tcho", args=[1, {"a": [True, None, "\U0001d11e"]}]),
            self._json(Type.EVENT, name="won", data={"x": 0.5}),
            encode(kind, body, 4, 1),
            self._json(Type.RESET, 5, 2, seed=None, options=None),
            encode(kind, bytes(self.actions.encode([None])), 6, 2),
            self._json(Type.CLOSE, reason="done"),
        ]  # fmt: skip

    def _memory(self, body):
        """With STEP 2 in its slot."""
        memory = bytearray(self.plan.size)
        head = self.plan.head(self.hash[:16], NONCE)
        memory[: len(head)] = head
        struct.pack_into("<I", memory, 0x080, 2)
        struct.pack_into("<QQ", memory, 0x1000, 2, 2)
        memory[0x1010:0x1030] = pack_header(Type.STEP, len(body), 2, 1, Flag.SHM)
        memory[0x1040 : 0x1040 + len(body)] = body
        return bytes(memory)

    def spoilt(self, rng):
        """A file of shared memory and a stream, with some damage."""
        memory, messages = rng.choice(self.right)
        messages = list(messages)
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            damage = rng.choice((self._body, self._order, self._header, self._memory_damage))
            memory, messages = damage(rng, memory, messages)
        stream = bytearray(b"".join(messages))
        if rng.random() < 0.3:
            stream = _bytes(rng, stream)
        return memory, bytes(stream)

    def _body(self, rng, memory, messages):
        """Damage within a body, whose length and checksum are made right again."""
        at = rng.randrange(len(messages))
        message = messages[at]
        body = bytes(_bytes(rng, bytearray(message[32:])))
        flags = message[5] & ~Flag.CRC
        head = message[:5] + bytes([flags]) + message[6:8] + struct.pack("<I", len(body))
        messages[at] = head + message[12:28] + bytes(4) + body
        return memory, messages

    def _order(self, rng, memory, messages):
        a, b = rng.randrange(len(messages)), rng.randrange(len(messages))
        change = rng.randrange(3)
        if change == 0:
            messages[a], messages[b] = messages[b], messages[a]
        elif change == 1:
            messages.insert(a, messages[b])
        else:
            del messages[a]
        return memory, messages or [b""]

    def _header(self, rng, memory, messages):
        at = rng.randrange(len(messages))
        message = bytearray(messages[at])
        if len(message) >= 32:
            offset, form = rng.choice(
                ((4, "<B"), (5, "<B"), (8, "<I"), (12, "<I"), (24, "<I"), (28, "<I"))
            )
            value = rng.choice(NUMBERS) % (256 if form == "<B" else 2**32)
            struct.pack_into(form, message, offset, value)
        messages[at] = bytes(message)
        return memory, messages

    def _memory_damage(self, rng, memory, messages):
        if memory:
            memory = bytearray(memory)
            places = (*range(0, 0x40, 4), 0x80, 0x1000, 0x1008, *range(0x1010, 0x1080))
            struct.pack_into("<I", memory, rng.choice(places), rng.choice(NUMBERS))
            memory = bytes(memory)
        return memory, messages


def _bytes(rng, data):
    """Some bytes flipped, put in, cut out, doubled or cut off."""
    for _ in range(rng.choice((1, 1, 2, 8))):
        at, size = rng.randrange(len(data) + 1), rng.choice((1, 1, 2, 4, 8, 40))
        change = rng.randrange(6)
        if change == 0 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif change == 1 and at < len(data):
            data[at] = rng.choice(b'\0\x7f\x80\xff"\\{}[],:0-u')
        elif change == 2:
            data[at:at] = rng.randbytes(size)
        elif change == 3:
            del data[at : at + size]
        elif change == 4:
            data[at:at] = data[at : at + size] * rng.choice((1, 2, 50))
        elif rng.random() < 0.2:
            del data[at:]
    return data


def feed(program, tmp_path, count, seed, spoil=True):
    """How many sessions ended in each of the ten ways, requests taken, and the longest time in milliseconds."""
    with TemporaryDirectory(dir=find_directory()) as folder:  # in memory: it is written very often
        return _feed(program, Path(folder) / "memory", tmp_path / "streams", count, seed, spoil)


def _feed(program, memory_path, file, count, seed, spoil):
    spec = subprocess.run([program], capture_output=True, check=False).stdout
    streams, rng = Streams(spec, str(memory_path)), random.Random(seed)
    with file.open("wb") as out:
        for number in range(count):
            right = streams.right[number % 3]
            memory, stream = streams.spoilt(rng) if spoil else (right[0], b"".join(right[1]))
            out.write(struct.pack("<II", len(memory), len(stream)) + memory + stream)
    command = [program, str(file), str(memory_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    *ended, taken, slowest = (int(word) for word in done.stdout.split())
    assert sum(ended) == count
    return ended, taken, slowest


@pytest.fixture(scope="module")
def program():
    return build(HERE / "fuzz.c", *SANITIZED)


def test_the_streams_are_right_before_they_are_spoilt(program, tmp_path):
    ended, taken, _ = feed(program, tmp_path, 3, 0, spoil=False)
    assert ended[2] == 3  # all closed
    assert taken == 3 * 7 + 1  # and one request in shared memory


@pytest.mark.parametrize("seed", [1])
def test_mutated_streams_harm_nobody(program, tmp_path, seed, record_property):
    ended, taken, slowest = feed(program, tmp_path, MANY, seed)
    record_property("streams", sum(ended))
    record_property("slowest_ms", slowest)
    assert (
        min(ended[2], ended[3], ended[5]) > MANY / 50
    )  # closed, lost, protocol errors: all were met
    assert taken > MANY
    assert slowest < LONGEST_MS


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10, 20))
def test_a_hundred_thousand_mutated_streams_harm_nobody(program, tmp_path, seed, record_property):
    ended, _, slowest = feed(program, tmp_path, 10_000, seed)
    record_property("streams", sum(ended))
    record_property("slowest_ms", slowest)
    assert sum(ended[:2]) == 0
    assert slowest < LONGEST_MS
