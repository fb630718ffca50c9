"""Specifications, and bodies of STEP and OBS: by hand from the page, and what is refused."""

import pickle
import struct

import numpy as np
import pytest
from gymnasium import spaces
from tests.bridges.vectors.cases import plain

from tropism.bridges.errors import InvalidValue, ProtocolError, SpecMismatch
from tropism.bridges.protocol.bodies import ActionCodec, ObsCodec, Outcome, Status
from tropism.bridges.protocol.layout import Layout
from tropism.bridges.protocol.leaves import Leaf
from tropism.bridges.protocol.spec import AgentSpec, Spec

VECTOR = spaces.Box(-1, 1, (3,))
VALUE = np.array([0, 0.5, 1], np.float32)
TEAM = Spec("team", [AgentSpec(name, VECTOR, spaces.Discrete(3)) for name in ("a", "b")])
BOTH = [Outcome(1.0, True, False, True, VALUE), Outcome(-2.0, alive=False)]


def test_leaves_begin_at_multiples_of_eight():
    space = spaces.Tuple(
        [spaces.Box(0, 1, (5,), np.uint8), spaces.Text(2), spaces.Discrete(2), VECTOR]
    )
    layout = Layout(space, "x")
    assert layout.size == 48
    assert layout.leaves == (
        Leaf("x[0]", "u1", (5,), 0),
        Leaf("x[1]", "text", (8,), 8),
        Leaf("x[2]", "i8", (), 24),
        Leaf("x[3]", "f4", (3,), 32),
    )


def test_an_observation_stands_as_the_page_says():
    by_hand = struct.pack("<QQQII", 4, 9, 7, 2, 2)
    by_hand += struct.pack("<dBBB5x", 1.0, 1, 0, 1) + struct.pack("<dBBB5x", -2.0, 0, 0, 0)
    by_hand += struct.pack("<fff4x", 0, 0.5, 1) + bytes(16)
    by_hand += struct.pack("<II", 7, 0) + b'{"x":1}'
    codec = ObsCodec(TEAM)
    assert codec.encode(BOTH, 4, 9, 7, Status.RUNNING, {"x": 1}) == by_hand
    assert codec.size == len(by_hand) - 7
    back = codec.decode(by_hand)
    assert back[:4] == (4, 9, 7, Status.RUNNING)
    assert back.info == {"x": 1}
    assert back.agents[0][:4] == (1.0, True, False, True)
    assert back.agents[0].observation.tolist() == [0, 0.5, 1]
    assert back.agents[1] == BOTH[1]


def test_actions_stand_as_the_page_says():
    by_hand = struct.pack("<IIQqQq", 2, 0, 1, 2, 0, 0)
    codec = ActionCodec(TEAM)
    assert codec.encode([np.int64(2), None]) == by_hand
    assert codec.decode(by_hand) == [2, None]
    assert codec.size == len(by_hand)


def test_a_used_buffer_keeps_nothing():
    obs, actions = ObsCodec(TEAM), ActionCodec(TEAM)
    slot = bytearray(obs.size + 100)
    obs.encode_into(slot, [BOTH[0], BOTH[0]], tail=b'{"long":1}')
    length = obs.encode_into(slot, BOTH)
    assert slot[:length] == obs.encode(BOTH)
    slot = bytearray(actions.size)
    actions.encode_into(slot, [1, 2])
    assert slot[: actions.encode_into(slot, [None, 1])] == actions.encode([None, 1])


def test_views_share_the_buffer_and_copies_do_not():
    raw = bytearray(ObsCodec(TEAM).encode(BOTH))
    view = ObsCodec(TEAM).decode(raw, copy=False).agents[0].observation
    copy = ObsCodec(TEAM).decode(raw).agents[0].observation
    raw[64:68] = struct.pack("<f", 9.0)
    assert view[0] == 9.0
    assert copy[0] == 0.0
    assert copy.flags.writeable


def test_numpy_facts_are_taken():
    outcome = Outcome(np.float32(0.5), np.True_, np.False_, np.True_, VALUE)
    back = ObsCodec(TEAM).decode(ObsCodec(TEAM).encode([outcome, BOTH[1]])).agents[0]
    assert back[:4] == (0.5, True, False, True)


OBS = bytes(ObsCodec(TEAM).encode(BOTH, info={"x": 1}))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (24, 7),
        (28, 1),
        (40, 2),
        (41, 2),
        (42, 255),
        (96, 8),
        (96, 6),
        (100, 1),
        (104, ord("[")),
        (110, 0),
    ],
)
def test_a_wrong_observation_is_refused(place, value):
    raw = bytearray(OBS)
    raw[place] = value
    with pytest.raises(ProtocolError):
        ObsCodec(TEAM).decode(raw)


@pytest.mark.parametrize("length", [0, 31, 64, 103, 110])
def test_a_short_observation_is_refused(length):
    with pytest.raises(ProtocolError):
        ObsCodec(TEAM).decode(OBS[:length])


@pytest.mark.parametrize(("place", "value"), [(0, 1), (4, 1), (8, 2), (31, 1)])
def test_wrong_actions_are_refused(place, value):
    raw = bytearray(ActionCodec(TEAM).encode([1, 2]))
    raw[place] = value
    with pytest.raises(ProtocolError):
        ActionCodec(TEAM).decode(raw)


@pytest.mark.parametrize("change", [b"", b"\0" * 8])
def test_actions_of_another_length_are_refused(change):
    raw = ActionCodec(TEAM).encode([1, 2])
    with pytest.raises(ProtocolError):
        ActionCodec(TEAM).decode(raw + change if change else raw[:-1])


SPACE = spaces.Dict(
    eye=spaces.Box(0, 255, (2, 2), np.uint8),
    rows=spaces.Sequence(VECTOR, stack=True),
    say=spaces.Text(3),
    way=spaces.OneOf([spaces.Discrete(2), VECTOR]),
)
GOOD = {
    "eye": np.ones((2, 2), np.uint8),
    "rows": np.zeros((2, 3), np.float32),
    "say": "hi",
    "way": (0, 1),
}


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("eye", np.zeros((2, 3), np.uint8), r"act.eye: shape \(2, 3\), not \(2, 2\)"),
        ("eye", np.full((2, 2), 256), "act.eye: numbers that uint8 cannot hold"),
        ("eye", np.full((2, 2), 0.5), "act.eye: elements of type float64"),
        ("eye", [[1, 2], [3]], "act.eye"),
        ("eye", None, "act.eye"),
        ("rows", np.zeros((65, 3), np.float32), "act.rows: 65 elements in room for 64"),
        ("rows", np.zeros((2, 4), np.float32), r"act.rows\[\]: shape"),
        ("rows", 3, "act.rows"),
        ("say", "four", "act.say"),
        ("say", 3, "act.say"),
        ("say", "\ud800", "act.say"),
        ("way", (2, 0), "act.way"),
        ("way", 1, "act.way"),
        ("way", (0, 0.5), r"act.way\[0\]"),
        ("wrong", 1, "not a dictionary of"),
    ],
)
def test_an_action_without_a_place_is_refused_by_its_key(key, value, says):
    codec = ActionCodec(Spec("one", [AgentSpec("a", VECTOR, SPACE)]))
    codec.encode([GOOD])
    with pytest.raises(InvalidValue, match=says):
        codec.encode([{**GOOD, key: value}])


def test_numbers_of_other_types_are_taken_if_nothing_is_lost():
    layout = Layout(SPACE)
    buffer = bytearray(layout.size)
    layout.encode_into(buffer, 0, {**GOOD, "eye": [[1, 2], [3, 255]], "way": (1, [0, 1, 0.5])})
    back = layout.decode(buffer)
    assert back["eye"].tolist() == [[1, 2], [3, 255]]
    assert back["way"][1].tolist() == [0, 1, 0.5]


@pytest.mark.parametrize("agents", [[], BOTH[:1], BOTH * 2])
def test_another_number_of_agents_is_refused(agents):
    with pytest.raises(InvalidValue):
        ObsCodec(TEAM).encode(agents)
    with pytest.raises(InvalidValue):
        ActionCodec(TEAM).encode([1] * len(agents))


def test_a_buffer_that_is_too_small_is_refused():
    with pytest.raises(InvalidValue):
        ObsCodec(TEAM).encode_into(bytearray(ObsCodec(TEAM).size), BOTH, tail=b"{}")
    with pytest.raises(InvalidValue):
        ActionCodec(TEAM).encode_into(bytearray(8), [1, 1])


def test_a_boolean_that_is_neither_is_refused():
    layout = Layout(spaces.Box(0, 1, (2,), np.bool_))
    with pytest.raises(ProtocolError, match="boolean"):
        layout.decode(b"\1\2" + bytes(6))


@pytest.mark.parametrize(
    ("raw", "says"),
    [(struct.pack("<I", 9) + bytes(12), "9 bytes"), (b"\1\0\0\0\xff" + bytes(11), "utf-8"),
     (b"\3\0\0\0abc" + bytes(9), "3 letters")],
)  # fmt: skip
def test_a_bad_text_is_refused(raw, says):
    with pytest.raises(ProtocolError, match=says):
        Layout(spaces.Text(2)).decode(raw)


def test_a_count_beyond_the_room_is_refused():
    layout = Layout({"t": "seq", "of": {"t": "discrete", "n": 2, "start": 0}, "max": 1})
    with pytest.raises(ProtocolError, match="2 elements in room for 1"):
        layout.decode(b"\2" + bytes(15))


def test_a_specification_comes_back_with_its_bytes():
    spec = Spec("name", [AgentSpec("ü", SPACE, VECTOR)], True, (4, 5, 3), {"by": [1]})
    for back in (Spec.from_bytes(spec.to_bytes()), pickle.loads(pickle.dumps(spec))):
        assert back == spec
        assert back.hash == spec.hash
        assert len(back.hash) == 16
        assert back.agents == (AgentSpec("ü", SPACE, VECTOR),)
        assert (back.hold, back.render, back.about) == (True, (4, 5, 3), {"by": [1]})


def test_the_hash_is_of_the_very_bytes_that_came():
    spaced = TEAM.to_bytes().replace(b",", b" , ")
    back = Spec.from_bytes(spaced)
    assert back.to_bytes() == spaced
    assert back.hash != TEAM.hash
    assert back.agents == TEAM.agents


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        (b'"team"', b"7", "name"),
        (b'"id":"b"', b'"id":"a"', "agents"),
        (b'"id":"b"', b'"id":""', "agents"),
        (b'"hold":false', b'"hold":0', "hold"),
        (b'"render":null', b'"render":[1,2]', "render"),
        (b'"render":null', b'"render":[1,2,4]', "render"),
        (b'"about":{}', b'"about":[]', "about"),
        (b'"agents":', b'"agent":', "agents"),
        (b'"d":"f4"', b'"d":"f5"', "agents[0].obs.d"),
        (b'"s":[3]', b'"s":[9000000]', "agents[0].obs"),
        (b'"n":3', b'"n":-3', "agents[0].act"),
    ],
)
def test_a_bad_specification_is_refused_with_its_place(old, new, path):
    assert old in TEAM.to_bytes()
    with pytest.raises(SpecMismatch) as caught:
        Spec.from_bytes(TEAM.to_bytes().replace(old, new))
    assert caught.value.path == path


def test_all_agents_together_must_fit_a_message():
    half = spaces.Box(0, 255, (600_000,), np.uint8)
    spec = Spec("wide", [AgentSpec(i, half, VECTOR) for i in "ab"])
    Spec.from_bytes(spec.to_bytes(), 1_300_000)
    with pytest.raises(SpecMismatch) as caught:
        Spec.from_bytes(spec.to_bytes(), 1_000_000)
    assert caught.value.path == "agents[1].obs"


STACKED = [
    VECTOR,
    spaces.Discrete(3, dtype=np.int32),
    spaces.Dict(a=VECTOR, b=spaces.Discrete(2)),
    spaces.Tuple([VECTOR, spaces.Text(2)]),
    spaces.Text(2),
    spaces.Sequence(VECTOR),
    spaces.Sequence(VECTOR, stack=True),
    spaces.OneOf([VECTOR, spaces.Discrete(2)]),
    spaces.Graph(VECTOR, None),
]


@pytest.mark.parametrize("inner", STACKED, ids=str)
@pytest.mark.parametrize("count", [0, 1, 3])
def test_stacks_of_any_length_and_kind_come_back(inner, count):
    space = spaces.Sequence(inner, stack=True, seed=1)
    layout = Layout(space)
    value = space.sample(mask=(count, None)) if count else layout.decode(bytes(layout.size))
    buffer = bytearray(layout.size)
    layout.encode_into(buffer, 0, value)
    assert buffer[0] == count
    assert plain(layout.decode(buffer)) == plain(value)


@pytest.mark.parametrize(("flag", "field"), [(0, "terminated"), (1, "truncated")])
def test_the_flags_of_a_lone_agent_hold_whatever_the_status(flag, field):
    box = spaces.Box(-1.0, 1.0, (3,), np.float32)
    codec = ObsCodec(Spec("lone", [AgentSpec("a", box, box)]))
    body = bytearray(codec.encode([Outcome(1.0, observation=np.zeros(3, np.float32))]))
    body[40 + flag] = 1
    assert getattr(codec.decode(body).agents[0], field)
    body[40 + flag] = 2
    with pytest.raises(ProtocolError):
        codec.decode(body)
