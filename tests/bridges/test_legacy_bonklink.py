"""BonkLink v1, the format: golden bytes, truncation at every byte, bad lengths, streams in any chunks."""

import io
import random
import struct
from dataclasses import replace

import numpy as np
import pytest
from tests.bridges.bonklink_original import parse_state, read_action

from tropism.bridges.errors import BridgeError, InvalidValue, MessageTooLarge, ProtocolError
from tropism.bridges.legacy.bonklink import (
    Action,
    Enemy,
    HumanInput,
    Outcome,
    Request,
    State,
    click_at,
    decode_action,
    decode_state,
    encode_action,
    encode_state,
)
from tropism.bridges.legacy.bonklink_frames import decode_frame, encode_raw
from tropism.bridges.legacy.bonklink_stream import (
    FRAME_MAX,
    SKIP_MAX,
    STATE_MAX,
    ActionDecoder,
    Packet,
    PacketDecoder,
    encode_packet,
    frame_action,
)

HUMAN = HumanInput((1.0, -1.0), (0.5, 0.0), True, False, True, True, (0.25, 0.75))
OUTCOME = Outcome(7, 2, True, False, True, -1.5)
FULL = State(
    (1.0, 2.0, -3.0),
    (0.5, 0.0, -0.5),
    75.0,
    100.0,
    12.25,
    True,
    False,
    (Enemy((4.0, 0.0, 8.0), 10.0), Enemy((0.0, 0.0, 0.0), 0.5)),
    "Gameplay",
    ("Bön", "x" * 200),
)
# position, velocity, health, its maximum, time; playing, paused; enemies; menu; options
FULL_HEX = (
    "0000803f 00000040 000040c0  0000003f 00000000 000000bf  00009642 0000c842 00004441  01 00"
    "02000000  00008040 00000000 00000041 00002041  00000000 00000000 00000000 0000003f"
    "08 47616d65706c6179"
    "02000000  04 42c3b66e  c801" + "78" * 200
)
EMPTY_HEX = "00" * 24 + "0000c842 0000c842 00000000  00 00  00000000  00  00000000"
# "HINP", version 1, move, look, fire, ability, interact, click, where
HINP_HEX = "48494e50 01000000 0000803f 000080bf 0000003f 00000000 01000101 0000803e 0000403f"
# "TRB1", applied, episode, terminated, truncated, seed ignored, 0, total
OUTCOME_HEX = "54524231 07000000 02000000 01000100 000000000000f8bf"
STATES = {
    "empty": (State(), EMPTY_HEX),
    "full": (FULL, FULL_HEX),
    "human": (replace(FULL, human=HUMAN), FULL_HEX + HINP_HEX),
    "outcome": (replace(FULL, outcome=OUTCOME), FULL_HEX + OUTCOME_HEX),
    "both": (replace(FULL, human=HUMAN, outcome=OUTCOME), FULL_HEX + HINP_HEX + OUTCOME_HEX),
}
AXES_HEX = "0000003f 000080bf 00000000 0000803e"
REQUEST_HEX = "54524231 09000000 01 01 0000 fbffffffffffffff"
MOVE = Action((0.5, -1.0), (0.0, 0.25), True, False, True)
ACTIONS = {
    "plain": (MOVE, AXES_HEX + "01000100"),
    "click": (replace(MOVE, click=(160, -1)), AXES_HEX + "01000101 a0000000 ffffffff"),
    "request": (replace(MOVE, request=Request(9, True, -5)), AXES_HEX + "01000100" + REQUEST_HEX),
}


@pytest.mark.parametrize("name", STATES)
def test_state_has_its_golden_bytes(name):
    state, text = STATES[name]
    assert encode_state(state).hex() == bytes.fromhex(text).hex()
    assert decode_state(bytes.fromhex(text)) == state


@pytest.mark.parametrize("name", ACTIONS)
def test_action_has_its_golden_bytes(name):
    action, text = ACTIONS[name]
    assert encode_action(action).hex() == bytes.fromhex(text).hex()
    assert decode_action(bytes.fromhex(text)) == action


def test_sizes_are_those_of_the_format():
    assert len(encode_state(State())) == 36 + 2 + 4 + 1 + 4
    assert len(encode_state(replace(FULL, human=HUMAN))) - len(encode_state(FULL)) == 36
    assert [len(encode_action(action)) for action, _ in ACTIONS.values()] == [20, 28, 40]
    assert len(encode_raw(np.zeros((180, 320, 3), np.uint8))) == 172_816


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16_383, 16_384])
def test_strings_of_any_length_come_through(size):
    state = State(menu="ö" * (size // 2) + "x" * (size % 2))
    assert decode_state(encode_state(state)) == state


def test_original_reader_does_not_see_the_extension():
    assert parse_state(encode_state(STATES["both"][0])) == parse_state(
        encode_state(STATES["human"][0])
    )
    assert parse_state(encode_state(STATES["outcome"][0])) == parse_state(encode_state(FULL))


def test_original_game_does_not_see_the_extension():
    asked = frame_action(replace(MOVE, request=Request(1))) + frame_action(MOVE)
    first, rest = read_action(asked)
    assert (first, rest) == (read_action(frame_action(MOVE))[0], frame_action(MOVE))


@pytest.mark.parametrize("name", STATES)
def test_state_truncated_at_any_byte_is_an_error_or_lacks_a_trailer(name):
    data = bytes.fromhex(STATES[name][1])
    shorter = {len(bytes.fromhex(t)): s for s, t in STATES.values()}
    for size in range(len(data)):
        if data[:size] == encode_state(shorter.get(size, State())):
            assert decode_state(data[:size]) == shorter[size]
        else:
            with pytest.raises(ProtocolError):
                decode_state(data[:size])


@pytest.mark.parametrize("name", ACTIONS)
def test_action_truncated_at_any_byte_is_an_error(name):
    data = encode_action(ACTIONS[name][0])
    for size in [size for size in range(len(data)) if name != "request" or not 20 <= size < 24]:
        with pytest.raises(ProtocolError):
            decode_action(data[:size])


@pytest.mark.parametrize("at", [38, 43], ids=["enemies", "options"])
@pytest.mark.parametrize("count", [-1, 257, 2**31 - 1])
def test_impossible_counts_are_errors(at, count):
    data = bytearray(encode_state(State()))
    data[at : at + 4] = struct.pack("<i", count)
    with pytest.raises(ProtocolError, match="not in"):
        decode_state(bytes(data))


def test_impossible_strings_are_errors():
    head = bytes.fromhex(EMPTY_HEX)[:42]
    for text in (b"\x80" * 5 + b"\x01", b"\xff\xff\xff\xff\x0f", b"\x02\xff\xfe", b"\x05abc"):
        with pytest.raises(ProtocolError):
            decode_state(head + text + bytes(4))


def test_unknown_trailers_are_passed_over():
    later = bytearray.fromhex(HINP_HEX)
    later[4] = 2  # a version that may have more fields
    assert decode_state(encode_state(FULL) + b"NEWTxxxx") == FULL
    assert decode_state(encode_state(FULL) + later + b"more") == replace(FULL, human=HUMAN)
    assert decode_action(encode_action(MOVE) + b"NEWTxxxx") == MOVE


def test_values_that_no_peer_would_take_are_refused():
    with pytest.raises(InvalidValue):
        encode_state(State(level_up=("a",) * 65))
    with pytest.raises(InvalidValue):
        encode_action(Action((float("nan"), 0.0)))
    with pytest.raises(InvalidValue):
        decode_action(struct.pack("<4f4B", float("inf"), 0, 0, 0, 0, 0, 0, 0))
    with pytest.raises(InvalidValue):
        encode_packet(b"x", bytes(FRAME_MAX + 1))
    assert Action((2.0, -3.0), (0.5, 0.0)).clamped() == Action((1.0, -1.0), (0.5, 0.0))


def test_clicks_are_counted_from_the_bottom():
    assert click_at(0.0, 0.0, 320, 180) == (0, 179)
    assert click_at(1.0, 1.0, 320, 180) == (319, 0)
    assert click_at(0.5, 0.25, 320, 180) == (160, 134)


# --- streams -------------------------------------------------------------------------------------


def drain(decoder):
    found = []
    while (item := decoder.next()) is not None:
        found.append(item)
    return found


@pytest.mark.parametrize("chunk", [1, 3, 17, 4096])
def test_packets_come_out_of_chunks_of_any_size(chunk):
    packets = [Packet(encode_state(FULL)), Packet(encode_state(State()), b"frame"), Packet(b"x")]
    data = b"".join(encode_packet(*packet) for packet in packets)
    decoder, found = PacketDecoder(), []
    for at in range(0, len(data), chunk):
        decoder.feed(data[at : at + chunk])
        found += drain(decoder)
    decoder.eof()
    assert found == packets


def test_stream_cut_at_any_byte_ends_in_an_error():
    data = encode_packet(encode_state(FULL), b"frame")
    for size in range(1, len(data)):
        decoder = PacketDecoder()
        decoder.feed(data[:size])
        assert decoder.next() is None
        with pytest.raises(ProtocolError, match=f"after {size} bytes"):
            decoder.eof()


@pytest.mark.parametrize(
    ("head", "error"),
    [
        (struct.pack("<i", 0), ProtocolError),
        (struct.pack("<i", -1), ProtocolError),
        (struct.pack("<i", STATE_MAX + 1), MessageTooLarge),
        (struct.pack("<i1si", 1, b"x", -1), ProtocolError),
        (struct.pack("<i1si", 1, b"x", FRAME_MAX + 1), MessageTooLarge),
    ],
)
def test_bad_lengths_are_errors_for_good(head, error):
    decoder = PacketDecoder()
    decoder.feed(head)
    for _ in range(2):
        with pytest.raises(error):
            decoder.next()
        decoder.feed(encode_packet(b"x"))


@pytest.mark.parametrize("chunk", [1, 7, 5000])
@pytest.mark.parametrize(
    "noise",
    [
        struct.pack("<i", 1024) + b"\x01" * 1024,
        struct.pack("<i", 5000) + b"\xff" * 5000,
        struct.pack("<i", 0),
        struct.pack("<i", -5),
        struct.pack("<i", 3) + b"abc",
        struct.pack("<i4f4B", 20, float("nan"), 0, 0, 0, 0, 0, 0, 0),
    ],
    ids=["1024", "5000", "zero", "negative", "short", "nan"],
)
def test_what_is_no_action_is_skipped_without_losing_the_next(noise, chunk):
    data = frame_action(MOVE) + noise + frame_action(Action()) + noise + frame_action(MOVE)
    decoder, found = ActionDecoder(), []
    for at in range(0, len(data), chunk):
        decoder.feed(data[at : at + chunk])
        found += drain(decoder)
    assert found == [MOVE, Action(), MOVE]
    assert decoder.ignored == 2


def test_garbage_instead_of_actions_is_an_error():
    decoder = ActionDecoder()
    decoder.feed(struct.pack("<i", SKIP_MAX + 1))
    with pytest.raises(MessageTooLarge):
        decoder.next()


def test_mutated_streams_raise_bridge_errors_only():
    draw = random.Random(20)
    frame = encode_raw(np.zeros((4, 4, 3), np.uint8))
    whole = encode_packet(encode_state(STATES["both"][0]), frame) * 2
    outcomes = {"fine": 0, "error": 0}
    for _ in range(3000):
        data = bytearray(whole)
        for _ in range(draw.randint(1, 4)):
            data[draw.randrange(len(data))] = draw.randrange(256)
        if draw.random() < 0.25:
            del data[draw.randrange(len(data)) :]
        outcomes[read_everything(bytes(data))] += 1
    assert min(outcomes.values()) > 100


def read_everything(data):
    packets, actions = PacketDecoder(), ActionDecoder()
    packets.feed(data)
    actions.feed(data)
    try:
        for packet in drain(packets):
            decode_state(packet.state)
            decode_frame(packet.frame)
        packets.eof()
        drain(actions)
    except BridgeError:
        return "error"
    return "fine"


# --- frames --------------------------------------------------------------------------------------


def test_raw_frame_is_stored_upside_down():
    picture = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    data = encode_raw(picture)
    assert data == b"MBRF" + struct.pack("<3i", 3, 2, 3) + bytes([*range(9, 18), *range(9)])
    np.testing.assert_array_equal(decode_frame(data), picture)
    np.testing.assert_array_equal(decode_frame(data, bottom_up=False), picture[::-1])


def test_jpeg_frame_is_upright():
    image = pytest.importorskip("PIL.Image")
    picture = np.zeros((32, 48, 3), np.uint8)
    picture[:16] = 255
    buffer = io.BytesIO()
    image.fromarray(picture).save(buffer, "JPEG", quality=95)
    seen = decode_frame(buffer.getvalue())
    assert seen.shape == picture.shape
    assert np.abs(seen.astype(int) - picture).max() < 30
    for size in (2, 10, len(buffer.getvalue()) // 2):
        with pytest.raises(ProtocolError):
            decode_frame(buffer.getvalue()[:size])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GIF89a",
        b"MBRF",
        b"MBRF" + struct.pack("<3i", 2, 2, 4) + bytes(16),
        b"MBRF" + struct.pack("<3i", -2, -2, 3) + bytes(12),
        b"MBRF" + struct.pack("<3i", 2, 2, 3) + bytes(11),
        b"MBRF" + struct.pack("<3i", 2**31 - 1, 2**31 - 1, 3),
    ],
)
def test_broken_frames_are_errors(data):
    with pytest.raises(ProtocolError):
        decode_frame(data)


def test_only_pictures_are_encoded():
    with pytest.raises(InvalidValue):
        encode_raw(np.zeros((2, 2, 3), np.float32))
    with pytest.raises(InvalidValue):
        encode_raw(np.zeros((2, 2, 4), np.uint8))
