"""What the golden vectors say, as plain data: the bytes of them are frozen for every version 1 of the protocol."""

import json
import zlib

import numpy as np
from gymnasium import spaces
from gymnasium.spaces import GraphInstance

from tropism.bridges.protocol.bodies import ActionCodec, ObsCodec, Outcome, Status
from tropism.bridges.protocol.header import HEADER, Flag, Type
from tropism.bridges.protocol.messages import encode
from tropism.bridges.protocol.spec import AgentSpec, Spec

NONCE = "00112233445566778899aabbccddeeff" * 2
TIME = 0x0123456789ABCDEF
HELLO = {
    "proto": [1, 0],
    "min_major": 1,
    "role": "game",
    "name": "golden",
    "version": "2.3",
    "pid": 4242,
    "caps": ["crc", "latest", "shm", "zlib"],
    "nonce": NONCE,
    "session": "",
}
WELCOME = {"caps": ["crc", "zlib"], "max_message": 16777216, "mode": "lockstep", "session": "s1"}
JSON_MESSAGES = [
    (Type.HELLO, 0, 0, HELLO),
    (Type.AUTH, 0, 0, {"mac": "ab" * 32}),
    (Type.WELCOME, 0, 0, WELCOME),
    (Type.SHM_OFFER, 0, 0, {"path": "/dev/shm/x", "size": 65536, "nonce": "18446744073709551615"}),
    (Type.SHM_ACK, 0, 0, {"ok": True}),
    (Type.READY, 0, 0, {"spec": "0123456789abcdef" * 2}),
    (Type.RESET, 1, 1, {"seed": 9007199254740991, "options": {"level": "späte Ernte"}}),
    (Type.EVENT, 0, 1, {"name": "won", "data": [1, None, "ü", {"x": 0.5}]}),
    (Type.CALL, 0, 1, {"id": 7, "name": "render", "args": None}),
    (Type.REPLY, 0, 1, {"id": 7, "result": {"d": "u1", "s": [1, 2, 3], "b64": "AAECAwQF"}}),
    (Type.ERROR, 0, 0, {"code": "version", "text": "1.0 and 2.0", "detail": None}),
    (Type.CLOSE, 0, 0, {"reason": "done"}),
]
RAW_MESSAGES = [(Type.PING, b"\0\1\2ping"), (Type.PONG, b"\0\1\2ping"), (Type.BELL, b"")]


def messages():
    """Pairs of a name and (bytes, facts)."""
    for type_, seq, episode, value in JSON_MESSAGES:
        body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
        yield _message(type_.name.lower(), type_, body, seq, episode, json=value)
    for type_, body in RAW_MESSAGES:
        yield _message(type_.name.lower(), type_, body, 0, 0)
    body = b'{"name":"long","data":"' + b"a" * 500 + b'"}'
    yield _message("event-crc", Type.EVENT, body, 0, 4294967295, json=json.loads(body), crc=True)
    both = {"crc": True, "compress": True}
    yield _message("event-crc-zlib", Type.EVENT, body, 0, 2, json=json.loads(body), **both)
    yield _message("unknown", 99, b"skip me", 4294967295, 0)


def _message(name, type_, body, seq, episode, json=None, crc=False, compress=False):
    raw = encode(type_, body, seq, episode, crc=crc, compress=compress, time=TIME)
    facts = {
        "type": int(type_),
        "flags": raw[5],
        "seq": seq,
        "episode": episode,
        "time": str(TIME),
        "body": body.hex() if json is None else None,
        "json": json,
    }
    return f"message-{name}", (raw, facts)


def broken():
    """Pairs of a name and (bytes, facts): a stream that begins like this is refused with that code."""

    def head(magic=b"GBR1", type_=20, flags=0, stream=0, length=0, crc=0):
        return HEADER.pack(magic, type_, flags, stream, length, 1, TIME, 1, crc)

    good = encode(Type.EVENT, b"{}" * 50, crc=True, compress=True, time=TIME)
    bomb = encode(Type.EVENT, zlib.compress(b"\0" * (16777216 + 1), 9), time=TIME)
    yield "bad-magic", (head(b"HTTP"), {"code": "protocol"})
    yield "bad-endian", (head(b"1RBG"), {"code": "protocol"})
    yield "bad-flag", (head(flags=16), {"code": "protocol"})
    yield "bad-shm-flag", (head(flags=Flag.SHM), {"code": "protocol"})
    yield "bad-stream", (head(stream=1), {"code": "protocol"})
    yield "bad-length", (head(length=16777217), {"code": "too-large"})
    yield "bad-crc-without-flag", (head(crc=1), {"code": "protocol"})
    yield "bad-crc", (good[:28] + b"\0\0\0\0" + good[32:], {"code": "protocol"})
    cut = encode(Type.EVENT, good[32:-3], time=TIME)
    yield "bad-zlib", (cut[:5] + b"\4" + cut[6:], {"code": "protocol"})
    yield "bad-bomb", (bomb[:5] + b"\4" + bomb[6:], {"code": "too-large"})
    yield "bad-unsupported", (head(type_=99, flags=1), {"code": "unsupported"})


def _box(shape, dtype, low=0, high=1):
    return spaces.Box(low, high, shape, dtype)


DTYPES = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"]
ALL_TYPES = spaces.Dict([(np.dtype(d).name, _box((3,), np.dtype(d).type)) for d in DTYPES])
LOW = np.array([-1, -np.inf, 0.5], np.float32)
SIMPLE = spaces.Dict(
    [
        ("z", spaces.Discrete(5, start=-2)),
        ("a", spaces.MultiDiscrete([[3, 4], [5, 6]], start=[[0, -1], [2, 0]])),
        ("bits", spaces.MultiBinary([2, 3])),
        ("say", spaces.Text(5, min_length=0, charset="abcü€𝄞")),
        ("pair", spaces.Tuple([spaces.Discrete(2), spaces.Box(LOW, np.inf, (3,))])),
        ("scalar", spaces.Box(-np.inf, np.inf, (), np.float64)),
        ("none", _box((0,), np.float32)),
    ]
)
VARIABLE = {
    "t": "dict",
    "of": [
        ["rows", {"t": "seq", "of": {"t": "box", "d": "f4", "s": [3], "lo": 0, "hi": "inf"},
                  "max": 4, "stack": True}],
        ["words", {"t": "seq", "of": {"t": "text", "min": 0, "max": 3, "chars": "xyz"},
                   "max": 3, "stack": False}],
        ["one", {"t": "oneof", "of": [{"t": "discrete", "n": 3, "start": 0},
                                      {"t": "box", "d": "i2", "s": [5], "lo": -9, "hi": 9}]}],
        ["graph", {"t": "graph", "nodes": {"t": "box", "d": "f4", "s": [2], "lo": 0, "hi": 9},
                   "edges": {"t": "discrete", "n": 4, "start": 0}, "max_nodes": 3, "max_edges": 5}],
        ["points", {"t": "graph", "nodes": {"t": "multibinary", "s": [3]}, "edges": None,
                    "max_nodes": 3, "max_edges": 5}],
    ],
}  # fmt: skip


def games():
    """Specifications, with the bodies to send: `(name, spec, [actions], [(outcomes, facts)])`."""
    vector = spaces.Box(-1, 1, (3,))
    obs = np.array([-1, 0.5, 0.25], np.float32)
    spec = Spec("vector", [AgentSpec("agent", vector, spaces.Discrete(5, start=-2))])
    reset = ([Outcome(0.0, observation=obs)], {"status": Status.RUNNING})
    facts = {"step": 2**40, "applied": 3, "game_time": 2**60, "status": Status.TERMINATED}
    last = ([Outcome(-0.1, True, True, True, -obs)], {**facts, "info": {"ü": [1]}})
    yield "vector", spec, [[np.int64(-2)], [None]], [reset, last]

    frame = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    pixels = spaces.Box(0, 255, (4, 5, 3), np.uint8)
    spec = Spec("pixels", [AgentSpec("eye", pixels, vector)], hold=True, render=(4, 5, 3))
    yield "pixels", spec, [[obs]], [([Outcome(1.5, observation=frame)], {})]

    every = {key: np.array([0, 1, 1], s.dtype) for key, s in ALL_TYPES.spaces.items()}
    spec = Spec("types", [AgentSpec("agent", ALL_TYPES, ALL_TYPES)], about={"made": "by hand"})
    yield "types", spec, [[every]], [([Outcome(observation=every)], {})]

    simple = {
        "z": np.int64(-1),
        "a": np.array([[2, -1], [6, 5]]),
        "bits": np.array([[1, 0, 1], [0, 1, 1]], np.int8),
        "say": "ü€𝄞a",
        "pair": (np.int64(1), obs + 2),
        "scalar": np.array(-2.5),
        "none": np.zeros(0, np.float32),
    }
    spec = Spec("simple", [AgentSpec("agent", SIMPLE, SIMPLE)])
    yield "simple", spec, [[simple]], [([Outcome(observation=simple)], {})]

    variable = {
        "rows": np.arange(6, dtype=np.float32).reshape(2, 3),
        "words": ("xy", "", "zzz"),
        "one": (1, np.array([-9, 8, -7, 6, -5], np.int16)),
        "graph": GraphInstance(
            np.arange(6, dtype=np.float32).reshape(3, 2),
            np.array([3, 1]),
            np.array([[0, 2], [1, 1]], np.int32),
        ),
        "points": GraphInstance(np.array([[0, 1, 1]], np.int8), None, None),
    }
    spec = Spec("variable", [AgentSpec("agent", VARIABLE, VARIABLE)])
    yield "variable", spec, [[variable]], [([Outcome(observation=variable)], {})]

    team = Spec("team", [AgentSpec(f"p{i}", vector, spaces.Discrete(3)) for i in range(3)])
    some = [Outcome(1.0, observation=obs), Outcome(alive=False), Outcome(0, True, False, True, obs)]
    facts = {"step": 5, "status": Status.RUNNING, "info": {"p0": {}, "p1": {}, "p2": {"x": 1}}}
    yield "team", team, [[np.int64(0), None, np.int64(2)]], [(some, facts)]


def bodies(name, spec, actions, observations):
    """Pairs of a name and (bytes, facts) of one game."""
    for i, action in enumerate(actions):
        facts = {"actions": [plain(a) for a in action]}
        yield f"{name}-step-{i}", (bytes(ActionCodec(spec).encode(action)), facts)
    for i, (outcomes, facts) in enumerate(observations):
        agents = [{**o._asdict(), "observation": plain(o.observation)} for o in outcomes]
        full = {"step": 0, "applied": 0, "game_time": 0, "status": 2, "info": {}, **facts}
        body = bytes(ObsCodec(spec).encode(outcomes, **facts))
        full["game_time"] = str(full["game_time"])
        yield f"{name}-obs-{i}", (body, {**full, "status": int(full["status"]), "agents": agents})


def plain(value):
    """A value as JSON: arrays as lists, graphs as objects, tuples as lists."""
    if isinstance(value, GraphInstance):
        return {key: plain(part) for key, part in value._asdict().items()}
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, tuple):
        return [plain(part) for part in value]
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
