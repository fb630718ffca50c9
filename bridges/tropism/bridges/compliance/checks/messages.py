"""Section 2: headers right and wrong, checksums, compression, bytes that are no message."""

from __future__ import annotations

import random
import zlib

from tropism.bridges.compliance.kit import Kit
from tropism.bridges.compliance.registry import Skip, check, expect
from tropism.bridges.protocol.header import HEADER_SIZE, Flag, Type, pack_header

UNKNOWN = 99
"""A type that version 1 of the protocol does not have."""


@check("2")
def header_flags(kit: Kit) -> None:
    """A game uses checksums and compression only if they were granted, and no unknown flag."""
    play = kit.begin()
    play.step()
    for frame in play.wire.seen:
        used = frame.header.flags & (Flag.CRC | Flag.ZLIB | Flag.SHM)
        expect(not used, f"{frame} without flags that were not granted", f"flags {used:#x}")


@check("2")
def header_clock(kit: Kit) -> None:
    """`time` is a monotonic clock: it never goes back within a session."""
    play = kit.open()
    play.trajectory(0, 10)
    times = [frame.header.time for frame in play.wire.seen]
    expect(times == sorted(times), "times that never go back", times[:12])


@check("2")
def header_in_pieces(kit: Kit) -> None:
    """Messages may arrive byte by byte."""
    play = _streaming(kit).begin()
    body = play.encode()
    message = pack_header(Type.STEP, len(body), 2, 1) + body
    for at in range(HEADER_SIZE + 4):
        play.wire.send_bytes(message[at : at + 1])
    play.wire.send_bytes(message[HEADER_SIZE + 4 :])
    play.seq = 2
    play.answer()


@check("2")
def header_together(kit: Kit) -> None:
    """Several messages may arrive at once."""
    play = _streaming(kit).begin()
    ping = pack_header(Type.PING, 3) + b"one"
    body = play.encode()
    step = pack_header(Type.STEP, len(body), 2, 1) + body
    play.wire.send_bytes(ping + ping + step)
    for _ in range(2):
        play.wire.expect(Type.PONG)
    play.seq = 2
    play.answer()


@check("2")
def magic_wrong(kit: Kit) -> None:
    """A wrong magic is a protocol error; the game never searches for the next message."""
    play = kit.begin()
    play.wire.send_bytes(b"XXXX" + pack_header(Type.PING, 0)[4:])
    play.wire.send(Type.PING, b"after")
    play.wire.expect_refusal("protocol")
    kit.still_plays()


@check("2")
def magic_swapped(kit: Kit) -> None:
    """A magic in the wrong byte order is refused."""
    play = kit.begin()
    play.wire.send_bytes(b"1RBG" + pack_header(Type.PING, 0)[4:])
    play.wire.expect_refusal("protocol")
    kit.still_plays()


@check("2")
def flags_unknown(kit: Kit) -> None:
    """Flags other than the four must be 0: anything else is a protocol error."""
    _refused(kit, Type.PING, flags=64)


@check("2")
def stream_wrong(kit: Kit) -> None:
    """`stream` is 0: anything else is a protocol error."""
    play = kit.begin()
    header = bytearray(pack_header(Type.PING, 0))
    header[6] = 1
    play.wire.send_bytes(bytes(header))
    play.wire.expect_refusal("protocol")
    kit.still_plays()


@check("2")
def crc_without_flag(kit: Kit) -> None:
    """`crc` is 0 unless flag 2 is set: anything else is a protocol error."""
    _refused(kit, Type.PING, crc=1234)


@check("2")
def length_oversized(kit: Kit) -> None:
    """A length of 4,294,967,295 is refused before anything of the body comes."""
    play = kit.begin()
    play.wire.send_bytes(pack_header(Type.EVENT, 0xFFFFFFFF))
    play.wire.expect_refusal("too-large", "protocol")
    kit.still_plays()


@check("2")
def length_above_the_agreed(kit: Kit) -> None:
    """A length above the `max_message` of WELCOME is refused."""
    play = kit.begin()
    play.wire.send_bytes(pack_header(Type.EVENT, 16_777_217))
    play.wire.expect_refusal("too-large", "protocol")
    kit.still_plays()


@check("2")
def type_unknown(kit: Kit) -> None:
    """A message of a type that the game does not know is skipped."""
    play = kit.begin()
    play.wire.send(UNKNOWN, b"what is this")
    play.step()


@check("2")
def type_unknown_must_understand(kit: Kit) -> None:
    """A message of unknown type that must be understood is answered by ERROR unsupported."""
    play = kit.begin()
    play.wire.send(UNKNOWN, b"what is this", flags=Flag.MUST_UNDERSTAND)
    play.wire.expect_refusal("unsupported", must_say=True)
    kit.still_plays()


@check("3")
def type_of_the_game(kit: Kit) -> None:
    """A message that only a game sends is a protocol error when an agent sends it."""
    play = kit.begin()
    play.wire.send(Type.OBS, bytes(play.observations.size), seq=1, episode=1)
    play.wire.expect_refusal("protocol")
    kit.still_plays()


@check("2")
def garbage_at_first(kit: Kit) -> None:
    """4 KB of random bytes instead of a message end the connection, and not the game."""
    wire = kit.connect()
    kit.await_dialler(wire)
    wire.send_bytes(random.Random(1).randbytes(4096))
    wire.expect_refusal("protocol", "too-large")
    kit.still_plays()


@check("2")
def garbage_in_a_session(kit: Kit) -> None:
    """Random bytes in a session end it, and not the game."""
    play = kit.begin()
    play.wire.send_bytes(b"\x00" * 7 + random.Random(2).randbytes(4096))
    play.wire.expect_refusal("protocol", "too-large")
    kit.still_plays()


@check("2")
def half_message(kit: Kit) -> None:
    """Half a message, a pause and the other half are one message."""
    play = _streaming(kit).begin()
    body = play.encode()
    play.wire.send_bytes(pack_header(Type.STEP, len(body), 2, 1) + body[:5])
    play.wire.expect_silence()
    play.wire.send_bytes(body[5:])
    play.seq = 2
    play.answer()


@check("10")
def half_message_then_the_end(kit: Kit) -> None:
    """A connection that ends inside a message ends the session, and not the game."""
    for size in (10, HEADER_SIZE + 5):
        play = _streaming(kit).begin()
        message = pack_header(Type.STEP, 400, 2, 1) + bytes(400)
        play.wire.send_bytes(message[:size])
    kit.still_plays()


@check("2")
def crc_right(kit: Kit) -> None:
    """If `crc` was granted, a message with its checksum is taken, and those of the game are right."""
    play = kit.open_with("crc")
    play.ask_reset(flags=Flag.CRC, crc=zlib.crc32(b'{"seed": 0, "options": null}'))
    play.answer(2 * kit.patience)


@check("2")
def crc_wrong(kit: Kit) -> None:
    """A wrong checksum is a protocol error."""
    play = kit.open_with("crc")
    play.ask_reset(flags=Flag.CRC, crc=12345)
    play.wire.expect_refusal("protocol")
    kit.still_plays()


@check("2")
def zlib_right(kit: Kit) -> None:
    """If `zlib` was granted, a compressed message is taken."""
    play = kit.open_with("zlib")
    body = zlib.compress(b'{"seed": 0, "options": null}')
    play.wire.send(Type.RESET, body, seq=1, episode=1, flags=Flag.ZLIB)
    play.wire.expect(Type.OBS, 2 * kit.patience)


@check("2")
def zlib_broken(kit: Kit) -> None:
    """A body that cannot be inflated is a protocol error."""
    play = kit.open_with("zlib")
    play.wire.send(Type.RESET, b"not compressed", seq=1, episode=1, flags=Flag.ZLIB)
    play.wire.expect_refusal("protocol")
    kit.still_plays()


@check("2")
def zlib_too_large(kit: Kit) -> None:
    """A body that inflates to more than `max_message` is refused."""
    play = kit.open_with("zlib")
    bomb = zlib.compress(bytes(20_000_000))
    play.wire.send(Type.EVENT, bomb, flags=Flag.ZLIB)
    play.wire.expect_refusal("too-large", "protocol")
    kit.still_plays()


@check("2")
def flags_not_granted(kit: Kit) -> None:
    """Checksums and compression that were not granted are a protocol error."""
    _refused(kit, Type.PING, flags=Flag.CRC)
    _refused(kit, Type.PING, zlib.compress(b"x"), flags=Flag.ZLIB)


@check("9")
def flags_shared_memory(kit: Kit) -> None:
    """A message on the connection does not claim that its body is in shared memory."""
    _refused(kit, Type.PING, flags=Flag.SHM)


def _refused(kit: Kit, type: Type, body: bytes = b"", **header: int) -> None:  # noqa: A002
    play = kit.begin()
    play.wire.send(type, body, **header)
    play.wire.expect_refusal("protocol")
    kit.still_plays()


def _streaming(kit: Kit) -> Kit:
    if not kit.target.stream:
        raise Skip("over WebSocket a message comes whole or not at all")
    return kit
