"""Mutated streams: the decoder and the readers of bodies raise typed errors and nothing else, fast and small."""

import copy
import json
import random
import tracemalloc

import pytest
from tests.bridges.vectors import cases

from tropism.bridges.errors import BridgeError
from tropism.bridges.protocol.bodies import ActionCodec, ObsCodec
from tropism.bridges.protocol.header import Type
from tropism.bridges.protocol.messages import Decoder, encode, read_json
from tropism.bridges.protocol.spec import Spec

MAX_MESSAGE = 100_000


def corpus():
    """Streams of several whole messages, with the codecs of the game they belong to."""
    for name, spec, actions, observations in cases.games():
        bodies = [
            (Type.STEP if "actions" in facts else Type.OBS, body)
            for _, (body, facts) in cases.bodies(name, spec, actions, observations)
        ]
        messages = [(Type.SPEC, spec.to_bytes()), *bodies, (Type.RESET, b'{"seed":1}')]
        for how in ({}, {"crc": True}, {"compress": True}):
            stream = b"".join(encode(t, body, 1, 1, time=0, **how) for t, body in messages)
            yield stream, ObsCodec(spec), ActionCodec(spec)


def mutate(stream, rng):
    data = bytearray(stream)
    for _ in range(rng.randint(1, 8)):
        at = rng.randrange(len(data))
        match rng.randrange(5):
            case 0:
                data[at] ^= 1 << rng.randrange(8)
            case 1:
                data[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
            case 2:
                del data[at : at + rng.randint(1, 40)]
                data += b"\0" * (not data)
            case 3:
                data[at:at] = rng.randbytes(rng.randint(1, 40))
            case 4:
                end = at + rng.randint(1, 200)
                data[at:at] = data[at:end]
    return bytes(data)


def play(stream, obs, actions, rng):
    """Decode all of it as a peer would; says how far it came."""
    decoder = Decoder(MAX_MESSAGE)
    at, count = 0, 0
    while at < len(stream):
        size = rng.choice((1, 7, 64, 5000))
        decoder.feed(stream[at : at + size])
        at += size
        while (message := decoder.next()) is not None:
            count += 1
            read(message, obs, actions)
    decoder.eof()
    return count


def read(message, obs, actions):
    match message.type:
        case Type.SPEC:
            Spec.from_bytes(message.body, MAX_MESSAGE)
        case Type.STEP | Type.ACTION:
            actions.decode(message.body)
        case Type.OBS:
            obs.decode(message.body)
        case Type.PING | Type.PONG | Type.BELL:
            pass
        case _:
            read_json(message.body, message.type)


def fuzz(runs, seed):
    rng = random.Random(seed)
    streams = list(corpus())
    refused = 0
    for _ in range(runs):
        stream, obs, actions = rng.choice(streams)
        try:
            play(mutate(stream, rng), obs, actions, rng)
        except BridgeError:
            refused += 1
    return refused


def test_whole_streams_are_taken():
    for stream, obs, actions in corpus():
        assert play(stream, obs, actions, random.Random(0)) >= 4


@pytest.mark.parametrize("runs", [5_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_mutated_streams_raise_typed_errors_only(runs, record_property):
    refused = fuzz(runs, seed=runs)
    record_property("streams", runs)
    record_property("refused", refused)
    assert refused > runs / 2


def test_hostile_lengths_allocate_nothing_to_speak_of():
    tracemalloc.start()
    try:
        fuzz(300, seed=1)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20 * MAX_MESSAGE


JUNK = [None, True, -1, 0, 1, 2**31, 2**53, 10**30, 0.5, -1e308, "", "inf", "box", "i1", [], {}]
JUNK += [[0], [2**30] * 9, {"b64": "AAAA"}, {"b64": 1}, {"t": "seq"}, [["a", {"t": "text"}]]]


def mutate_json(value, rng):
    """Replace, delete or double one thing anywhere inside."""
    place, key = rng.choice(list(places(value)))
    match rng.randrange(4):
        case 0:
            del place[key]
        case 1 if isinstance(place, list):
            place.insert(key, copy.deepcopy(place[key]))
        case 2:
            place[key] = copy.deepcopy(rng.choice(list(places(value)))[0])
        case _:
            place[key] = copy.deepcopy(rng.choice(JUNK))


def places(value):
    """Every (container, key) of parsed JSON."""
    if not isinstance(value, dict | list):
        return
    for key in value if isinstance(value, dict) else range(len(value)):
        yield value, key
        yield from places(value[key])


@pytest.mark.parametrize("runs", [2_000, pytest.param(50_000, marks=pytest.mark.slow)])
def test_mutated_specifications_are_built_or_refused(runs):
    rng, refused = random.Random(runs), 0
    specs = [json.loads(spec.to_bytes()) for _, spec, _, _ in cases.games()]
    for _ in range(runs):
        value = copy.deepcopy(rng.choice(specs))
        for _ in range(rng.randint(1, 3)):
            if any(True for _ in places(value)):
                mutate_json(value, rng)
        try:
            spec = Spec.from_bytes(json.dumps(value).encode(), MAX_MESSAGE)
            read_zeros(spec)
        except BridgeError:
            refused += 1
    assert runs / 2 < refused < runs


def read_zeros(spec):
    """Whatever was taken must have layouts that work."""
    for layout in (*spec.observations, *spec.actions):
        buffer = bytearray(layout.size)
        layout.encode_into(buffer, 0, layout.decode(buffer))
