"""Headers, messages and the decoder: what is written, what is refused, and streams cut anywhere."""

import struct
import zlib

import numpy as np
import pytest

from tropism.bridges.errors import (
    BadChecksum,
    BadMagic,
    EndianMismatch,
    InvalidValue,
    MessageTooLarge,
    ProtocolError,
    UnsupportedMessage,
)
from tropism.bridges.protocol.header import (
    Flag,
    Header,
    Type,
    is_newer,
    next_seq,
    pack_header,
    parse_header,
)
from tropism.bridges.protocol.jsons import (
    DEEPEST,
    DTYPES,
    array_from_json,
    array_to_json,
    read_json,
    write_json,
)
from tropism.bridges.protocol.messages import Decoder, encode


def test_the_header_stands_as_the_page_says():
    raw = pack_header(Type.OBS, 7, seq=1, episode=2, flags=2, time=3, crc=4)
    assert raw == bytes.fromhex(
        "47425231 12 02 0000 07000000 01000000 0300000000000000 02000000 04000000"
    )
    assert parse_header(raw) == Header(18, 2, 0, 7, 1, 3, 2, 4)


def test_the_time_of_a_header_is_the_monotonic_clock():
    first, second = (parse_header(pack_header(Type.PING, 0)).time for _ in range(2))
    assert 0 < first <= second


@pytest.mark.parametrize(
    ("place", "value", "error", "says"),
    [
        (0, b"HTTP", BadMagic, "48 54 54 50"),
        (0, b"1RBG", EndianMismatch, "byte order"),
        (5, b"\x10", ProtocolError, "0x10"),
        (6, b"\1\0", ProtocolError, "stream 1"),
        (8, struct.pack("<I", 101), MessageTooLarge, "OBS of 101 bytes, the most is 100"),
        (28, b"\1\0\0\0", ProtocolError, "checksum"),
    ],
)
def test_a_wrong_header_is_refused_by_name(place, value, error, says):
    raw = bytearray(pack_header(Type.OBS, 100))
    raw[place : place + len(value)] = value
    with pytest.raises(error, match=says):
        parse_header(raw, 100)


def test_numbers_of_requests_wrap_around():
    assert next_seq(0) == 1
    assert next_seq(0xFFFFFFFF) == 1
    assert is_newer(1, 0xFFFFFFFF)
    assert is_newer(5, 4)
    assert not is_newer(4, 5)
    assert not is_newer(4, 4)
    assert not is_newer(0xFFFFFFFF, 1)


STREAM = [
    (Type.HELLO, b'{"role":"game"}', 0, 0, {}),
    (Type.BELL, b"", 0, 0, {}),
    (Type.OBS, bytes(range(256)) * 8, 0xFFFFFFFF, 9, {"crc": True}),
    (Type.STEP, b"a" * 3000, 1, 9, {"compress": True}),
    (Type.CLOSE, b"{}", 0, 0, {"crc": True, "compress": True}),
]


@pytest.mark.parametrize("chunk", [1, 2, 31, 32, 33, 1000, 10**6])
def test_a_stream_may_be_cut_anywhere(chunk):
    stream = b"".join(encode(t, b, s, e, **how) for t, b, s, e, how in STREAM)
    decoder, got = Decoder(), []
    for start in range(0, len(stream), chunk):
        decoder.feed(stream[start : start + chunk])
        while (message := decoder.next()) is not None:
            got.append((message.type, message.seq, message.episode, message.body))
    decoder.eof()
    assert got == [(t, s, e, b) for t, b, s, e, _ in STREAM]


def test_an_unknown_message_is_skipped_and_counted():
    decoder = Decoder()
    decoder.feed(encode(99, b"what" * 10) + encode(Type.PING, b"x"))
    assert decoder.next().type == Type.PING
    assert decoder.skipped == 1


def test_an_unknown_message_that_must_be_understood_is_refused_before_its_body_came():
    decoder = Decoder()
    decoder.feed(encode(99, b"what", must_understand=True)[:32])
    with pytest.raises(UnsupportedMessage, match="type 99"):
        decoder.next()


def test_a_flag_that_was_not_granted_is_refused():
    decoder = Decoder(allowed=Flag.MUST_UNDERSTAND)
    decoder.feed(encode(Type.PING, b"x", crc=True))
    with pytest.raises(ProtocolError, match="not granted"):
        decoder.next()


def test_a_length_is_refused_before_the_body_is_sent():
    decoder = Decoder(max_message=1000)
    decoder.feed(pack_header(Type.OBS, 1001))
    with pytest.raises(MessageTooLarge):
        decoder.next()


def test_a_wrong_checksum_is_refused():
    raw = bytearray(encode(Type.PING, b"hello", crc=True))
    raw[-1] ^= 1
    decoder = Decoder()
    decoder.feed(raw)
    with pytest.raises(BadChecksum):
        decoder.next()


def test_the_checksum_is_of_the_body_as_sent():
    raw = encode(Type.OBS, b"a" * 1000, crc=True, compress=True)
    assert parse_header(raw).crc == zlib.crc32(raw[32:])
    assert zlib.decompress(raw[32:]) == b"a" * 1000


@pytest.mark.parametrize(
    ("deflated", "error"),
    [
        (zlib.compress(b"a" * 1000), None),
        (zlib.compress(b"a" * 1001), MessageTooLarge),
        (zlib.compress(b"a" * 10**6, 9), MessageTooLarge),
        (zlib.compress(b"a" * 1000)[:-1], ProtocolError),
        (zlib.compress(b"a" * 1000) + b"x", ProtocolError),
        (b"", ProtocolError),
        (b"nonsense", ProtocolError),
    ],
)
def test_a_compressed_body_is_inflated_within_bounds(deflated, error):
    decoder = Decoder(max_message=1000)
    decoder.feed(pack_header(Type.OBS, len(deflated), flags=Flag.ZLIB) + deflated)
    if error is None:
        assert decoder.next().body == b"a" * 1000
    else:
        with pytest.raises(error):
            decoder.next()


def test_after_an_error_nothing_more_is_read():
    decoder = Decoder()
    decoder.feed(b"X" * 32 + encode(Type.PING))
    for _ in range(2):
        with pytest.raises(BadMagic):
            decoder.next()


@pytest.mark.parametrize(
    ("length", "says"),
    [
        (10, "EOF inside header, 10/32 bytes"),
        (32, "EOF inside body of OBS, 0/500 bytes"),
        (132, "EOF inside body of OBS, 100/500 bytes"),
    ],
)
def test_the_end_of_a_stream_inside_a_message_is_told(length, says):
    decoder = Decoder()
    decoder.feed(encode(Type.OBS, bytes(500))[:length])
    assert decoder.next() is None
    with pytest.raises(ProtocolError, match=says):
        decoder.eof()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[1]",
        b"null",
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": 1e999}',
        b'{"a": 1',
        b'{"a": 1} x',
        b"\xef\xbb\xbf{}",
        b'{"a": "\xff"}',
        b'{"a": "\\ud800"}',
        b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a": ' + b"9" * 100_000 + b"}",
    ],
)
def test_what_is_no_json_object_is_refused(body):
    with pytest.raises(ProtocolError, match="RESET"):
        read_json(body, Type.RESET)


def test_json_is_compact_and_keeps_letters():
    assert write_json({"ü": [1, None, 0.5]}) == '{"ü":[1,null,0.5]}'.encode()
    assert read_json(b'{"a":"\\ud83d\\ude00"}', Type.EVENT) == {"a": "😀"}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), b"x", {1, 2}, "\ud800"])
def test_what_json_cannot_say_is_refused(value):
    with pytest.raises(InvalidValue):
        write_json({"a": value})


@pytest.mark.parametrize("code", DTYPES)
def test_an_array_in_json_comes_back(code):
    array = np.array([[0, 1, 1], [1, 0, 1]], DTYPES[code])
    back = array_from_json(read_json(write_json(array_to_json(array)), Type.REPLY))
    assert back.dtype == array.dtype
    assert back.tolist() == array.tolist()


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"d": "u1", "s": [3], "b64": "AAA="},
        {"d": "u1", "s": [-1], "b64": ""},
        {"d": "u9", "s": [0], "b64": ""},
        {"d": "u1", "s": [0], "b64": None},
        {"d": "u1", "s": [1], "b64": "A"},
    ],
)
def test_a_bad_array_in_json_is_refused(value):
    with pytest.raises(ProtocolError):
        array_from_json(value)


@pytest.mark.parametrize("pair", ["[]", '{"a":}'])
def test_json_that_would_exhaust_the_stack_of_its_reader_is_refused(pair):
    def nested(depth):
        inner = "[]" * (depth > 0)
        for _ in range(depth - 1):
            inner = f"[{inner}]" if pair == "[]" else f'{{"a":{inner}}}'
        return f'{{"x":{inner or 0},"y":"[[[[","z":[{"0," * 300}0]}}'.encode()

    assert read_json(nested(DEEPEST - 1), Type.EVENT)
    for depth in (DEEPEST, 400, 900, 100_000):
        with pytest.raises(ProtocolError, match="EVENT: its"):
            read_json(nested(depth), Type.EVENT)


def test_many_flat_parts_are_not_deep():
    assert len(read_json(write_json({"x": [[]] * 1000}), Type.EVENT)["x"]) == 1000


@pytest.mark.parametrize("shape", [[1] * 100, [0, 2**52, 2**52]])
def test_an_array_of_an_impossible_shape_is_refused(shape):
    text = "AA==" if all(shape) else ""
    with pytest.raises(ProtocolError, match="an array in JSON"):
        array_from_json({"d": "u1", "s": shape, "b64": text})
