"""Section 6: EVENT, PING, CALL."""

from __future__ import annotations

import math

from tropism.bridges.compliance.kit import Kit
from tropism.bridges.compliance.play import Play
from tropism.bridges.compliance.registry import Skip, check, expect
from tropism.bridges.protocol.header import Type


@check("6")
def ping(kit: Kit) -> None:
    """PING is answered by PONG with the same bytes, up to 64 of any kind."""
    play = kit.open()
    for data in (b"", b"\x00\xff" * 32, b"twice"):
        _pong(play, data)


@check("6")
def ping_in_an_episode(kit: Kit) -> None:
    """PING is answered between requests, and changes nothing."""
    play = kit.begin()
    for number in range(1, 4):
        _pong(play, bytes([number]))
        got = play.step().seen.step
        expect(got == number, f"step {number}", got)


@check("3")
def ping_too_long(kit: Kit) -> None:
    """A PING of more than 64 bytes is a protocol error."""
    play = kit.open()
    play.wire.send(Type.PING, bytes(65))
    play.wire.expect_refusal("protocol")
    kit.still_plays()


@check("3")
def event_unknown(kit: Kit) -> None:
    """An EVENT that the game does not know needs no answer and does no harm."""
    play = kit.begin()
    play.wire.send(Type.EVENT, {"name": "weather", "data": {"rain": [1, None, "x"]}})
    play.wire.expect_silence()
    play.step()


@check("3")
def event_form(kit: Kit) -> None:
    """Events of the game have a name, and come only after READY."""
    play = kit.begin()
    play.trajectory(0, 10)
    for event in play.wire.events:
        name = event.json().get("name")
        expect(isinstance(name, str), "EVENT with a name", repr(name))
    before = [frame.type for frame in play.wire.seen[:2]]
    expect(Type.EVENT not in before, "no EVENT before READY", before)


@check("3")
def call_unknown(kit: Kit) -> None:
    """CALL of an unknown name is answered by REPLY with its id and an error; the session goes on."""
    play = _calling(kit)
    reply = play.call("no-such-name", {"x": 1}, number=2**40)
    expect(isinstance(reply.get("error"), str), "REPLY with an error as text", reply)
    play.step()


@check("6")
def call_ids(kit: Kit) -> None:
    """Each CALL is answered by the REPLY with its id."""
    play = _calling(kit)
    for number in (3, 3, 1, 0):
        play.call("no-such-name", None, number)


@check("6")
def call_before_the_next_obs(kit: Kit) -> None:
    """CALL is answered by REPLY before the next OBS."""
    play = _calling(kit)
    play.wire.send(Type.CALL, {"id": 5, "name": "no-such-name", "args": None})
    play.ask_step()
    play.wire.expect(Type.REPLY)
    play.answer()


@check("3")
def call_malformed(kit: Kit) -> None:
    """A CALL without id or name is a protocol error."""
    play = _calling(kit)
    play.wire.send(Type.CALL, {"args": 1})
    play.wire.expect_refusal("protocol")
    kit.still_plays()


@check("4")
def call_render(kit: Kit) -> None:
    """A game with `render` answers CALL render with an array of the shape that SPEC says, or null."""
    play = kit.begin()
    if "render" not in play.caps:
        raise Skip("the game does not have the capability 'render'")
    reply = play.call("render")
    expect("result" in reply, "REPLY with a result", f"{reply}"[:200])
    picture = reply["result"]
    if not isinstance(picture, dict) or "b64" not in picture:
        kit.note = f"render gives {type(picture).__name__}, no pixels"
        return
    shape = picture.get("s")
    expect(picture.get("d") == "u1", "elements of type u1", picture.get("d"))
    wanted = play.spec.render
    expect(wanted is None or shape == list(wanted), f"shape {wanted}", shape)
    size = (math.prod(shape) + 2) // 3 * 4 if isinstance(shape, list) else -1
    expect(len(picture["b64"]) == size, f"{size} characters of base64", len(picture["b64"]))


def _pong(play: Play, data: bytes) -> None:
    play.wire.send(Type.PING, data)
    body = play.wire.expect(Type.PONG).body
    expect(body == data, f"PONG with {data!r}", repr(body))


def _calling(kit: Kit) -> Play:
    play = kit.begin()
    if "call" not in play.caps:
        raise Skip("the game does not have the capability 'call'")
    return play
