"""Raw streams give away what they receive: nobody who keeps a body sees another in it, or keeps more than it."""

import random

import numpy as np
import pytest

from tropism.bridges.errors import ProtocolError
from tropism.bridges.protocol.header import HEADER_SIZE, Type
from tropism.bridges.protocol.messages import encode
from tropism.bridges.transports.stream import BUFFER, LONG, RawStream, put

LENGTHS = (0, 1, 100, LONG - 1, LONG, LONG + 1, 21_176, BUFFER - HEADER_SIZE, BUFFER, 100_000)


def given(stream, data):
    """All messages after these bytes."""
    rest = memoryview(data)
    while rest:
        room = stream.room()
        assert len(room)
        count = min(len(room), len(rest))
        room[:count] = rest[:count]
        stream.received(count)
        rest = rest[count:]
        while (message := stream.next()) is not None:
            yield message


@pytest.mark.parametrize("chunk", [None, 37, 5000, 30_000, 1_000_000])
@pytest.mark.parametrize("alike", [True, False])
def test_bodies_that_are_kept_do_not_change(alike, chunk):
    rng, stream = random.Random(5), RawStream()
    lengths = [rng.choice(LENGTHS) for _ in range(96)]
    bodies = [rng.randbytes(length) for length in (sorted(lengths) if alike else lengths)]
    pieces = [encode(Type.OBS, body, seq) for seq, body in enumerate(bodies)]
    if chunk is not None:  # else a message at a time, as from a game that is asked
        sent = b"".join(pieces)
        pieces = [sent[at : at + chunk] for at in range(0, len(sent), chunk)]
    kept = [message.body for piece in pieces for message in given(stream, piece)]
    assert [bytes(body) for body in kept] == bodies
    for body in kept:  # as who writes into an observation does
        memoryview(body)[:] = bytes(len(body))
    assert [bytes(m.body) for piece in pieces for m in given(stream, piece)] == bodies
    assert not any(map(any, kept))


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("before", [100, LONG, 21_176])
def test_a_body_that_is_kept_keeps_nothing_else(before, length):
    stream = RawStream()
    for size in (before, before, length, length, length):
        (message,) = given(stream, encode(Type.OBS, bytes(size)))
        whole = message.body.obj if isinstance(message.body, memoryview) else message.body
        assert len(whole) <= size + HEADER_SIZE


def test_frames_of_one_length_are_not_copied():
    stream = RawStream()
    for seq in range(5):
        frame = encode(Type.OBS, bytes(21_176), seq)
        room = np.asarray(stream.room())
        (message,) = given(stream, frame)
        assert np.shares_memory(room, np.asarray(message.body)) == (seq > 1)


def test_lengths_that_vary_are_received_at_once():
    stream, rng = RawStream(), random.Random(3)
    for length in (LONG, LONG, LONG, 60_000, *(rng.randrange(LONG, 60_000) for _ in range(50))):
        message = encode(Type.OBS, bytes(length))
        assert length == 60_000 or len(stream.room()) >= len(message)
        assert len(list(given(stream, message))) == 1


def test_bytes_that_came_too_early_are_not_lost():
    stream = RawStream()
    put(stream, encode(Type.OBS, bytes(LONG), 1) + encode(Type.EVENT, b"{}", 2))
    assert [stream.next().seq, stream.next().seq] == [1, 2]


@pytest.mark.parametrize("length", [0, 100, LONG])
@pytest.mark.parametrize(
    ("offset", "complaint"),
    [(5, "unknown flags"), (6, "stream"), (28, "checksum but without its flag")],
    ids=["flags", "stream", "checksum"],
)
def test_a_header_that_is_not_the_usual_one_has_no_short_way(length, offset, complaint):
    data = bytearray(encode(Type.OBS, bytes(length)))
    data[offset] = 0x80
    with pytest.raises(ProtocolError, match=complaint):
        list(given(RawStream(), data))
