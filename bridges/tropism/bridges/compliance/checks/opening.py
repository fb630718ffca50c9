"""Section 4: HELLO, versions, capabilities, WELCOME, READY."""

from __future__ import annotations

import re
import time

from tropism.bridges.compliance.kit import Kit
from tropism.bridges.compliance.opening import key_of, ready, welcome
from tropism.bridges.compliance.registry import Skip, check, expect
from tropism.bridges.protocol.header import Type

OPENING = 5.0
"""Seconds that each side gives the other for the opening."""
SLACK = 3.0


@check("4")
def hello_order(kit: Kit) -> None:
    """The dialler sends HELLO first, without waiting; the listener waits for it and then sends its own."""
    wire = kit.connect()
    if kit.we_dial:
        wire.expect_silence()
    kit.greet(wire)


@check("4")
def hello_keys(kit: Kit) -> None:
    """HELLO has proto, min_major, role, name, caps and nonce, each of its type."""
    hello = kit.greet(kit.connect()).theirs
    proto = key_of(hello, "proto", list)
    whole = len(proto) == 2 and all(type(n) is int and n >= 0 for n in proto)
    expect(whole, "proto [major, minor]", proto)
    least = key_of(hello, "min_major", int)
    expect(1 <= least <= proto[0], "min_major from 1 to the major spoken", least)
    expect(hello.get("role") == "game", 'role "game"', repr(hello.get("role")))
    caps = key_of(hello, "caps", list)
    expect(all(isinstance(cap, str) for cap in caps), "caps as strings", caps)
    for key in ("name", "nonce"):
        key_of(hello, key, str)


@check("5")
def hello_nonce(kit: Kit) -> None:
    """The nonce is 64 lower-case hexadecimal digits, fresh in each session."""
    nonces = [kit.greet(kit.connect()).theirs.get("nonce") for _ in range(2)]
    for nonce in nonces:
        good = isinstance(nonce, str) and re.fullmatch("[0-9a-f]{64}", nonce) is not None
        expect(good, "64 lower-case hexadecimal digits", repr(nonce))
    expect(nonces[0] != nonces[1], "another nonce in another session", "the same nonce twice")


@check("1")
def hello_session(kit: Kit) -> None:
    """A launched game sends the name of the session back in HELLO."""
    if not kit.target.session:
        raise Skip("the game was not launched here, so it was told no session")
    session = kit.greet(kit.connect()).theirs.get("session")
    expect(session == kit.target.session, f"session {kit.target.session!r}", repr(session))


@check("4")
def hello_unknown_keys(kit: Kit) -> None:
    """Keys of HELLO and WELCOME that a game does not know are ignored."""
    kit.open(hello={"colour": {"deep": [1, None]}}, welcome={"colour": "blue"})


@check("4")
def hello_unknown_caps(kit: Kit) -> None:
    """Capabilities that a game does not know are ignored."""
    kit.open(hello={"caps": ["telepathy", "seed", "x" * 200]})


@check("4")
def hello_no_caps(kit: Kit) -> None:
    """A session without any capability can be opened and played."""
    wire = kit.connect()
    kit.greet_and_prove(wire, caps=[])
    ready(wire, welcome(wire, []))
    wire.send(Type.RESET, {"seed": 0, "options": None}, seq=1, episode=1)
    wire.expect(Type.OBS, 2 * kit.patience)


@check("4")
def version_newer_minor(kit: Kit) -> None:
    """A peer of a newer minor version is welcome: minor versions are never compared."""
    kit.open(hello={"proto": [1, 999]})


@check("4")
def version_newer_major_that_speaks_ours(kit: Kit) -> None:
    """A peer of major 2 that still speaks major 1 is welcome: both speak the lower major."""
    kit.open(hello={"proto": [2, 0], "min_major": 1})


@check("4")
def version_too_new(kit: Kit) -> None:
    """A peer that speaks no major version of ours is refused by ERROR version naming both versions."""
    wire = kit.connect()
    kit.say_hello(wire, proto=[9, 0], min_major=9)
    said = wire.expect_refusal("version", must_say=True, passing=(Type.HELLO,))
    words = f"{said.get('text')} {said.get('detail')}"
    expect("9" in words and "1" in words, "a text that names both versions, 9.0 and 1.x", words)


@check("4")
def role_the_same(kit: Kit) -> None:
    """Two peers of the same role do not open a session."""
    wire = kit.connect()
    kit.say_hello(wire, role="game")
    wire.expect_refusal(passing=(Type.HELLO,))
    kit.still_plays()


@check("4")
def hello_without_version(kit: Kit) -> None:
    """A HELLO that lacks what it must have is a protocol error."""
    wire = kit.connect()
    kit.say_hello(wire, proto=None, nonce=None)
    wire.expect_refusal("protocol", "version", passing=(Type.HELLO,))
    kit.still_plays()


@check("3")
def hello_not_json(kit: Kit) -> None:
    """A body that is not the JSON it must be is a protocol error."""
    for body in (b"{", b"[1]", b"\xff\xfe{}"):
        wire = kit.connect()
        kit.await_dialler(wire)
        wire.send(Type.HELLO, body)
        wire.expect_refusal("protocol", passing=(Type.HELLO,))
    kit.still_plays()


@check("4")
def order_step_instead_of_hello(kit: Kit) -> None:
    """A message out of order is a protocol error: STEP where HELLO must come."""
    wire = kit.connect()
    kit.await_dialler(wire)
    wire.send(Type.STEP, bytes(16), seq=1)
    wire.expect_refusal("protocol")
    kit.still_plays()


@check("4")
def order_reset_before_ready(kit: Kit) -> None:
    """A message out of order is a protocol error: RESET before READY."""
    play = kit.open(ready=False)
    play.ask_reset()
    play.wire.expect_refusal("protocol")
    kit.still_plays()


@check("4")
def order_second_hello(kit: Kit) -> None:
    """A message out of order is a protocol error: HELLO in a session."""
    play = kit.begin()
    play.wire.send(Type.HELLO, play.greeting.ours)
    play.wire.expect_refusal("protocol")
    kit.still_plays()


@check("7")
def ready_wrong_hash(kit: Kit) -> None:
    """A READY with another hash than that of SPEC is refused."""
    play = kit.open(ready=False)
    play.wire.send(Type.READY, {"spec": "0" * 32})
    play.wire.expect_refusal("spec", "protocol")
    kit.still_plays()


@check("6")
def silent_after_ready(kit: Kit) -> None:
    """After READY the game waits for requests: no OBS before RESET."""
    kit.open().wire.expect_silence()


@check("4")
def opening_stalled(kit: Kit) -> None:
    """A game gives its agent five seconds for the opening, then hangs up."""
    wire = kit.connect()
    kit.await_dialler(wire)
    began = time.monotonic()
    wire.expect_refusal("timeout", patience=OPENING + SLACK)
    took = time.monotonic() - began
    expect(took > OPENING - 2.0, "five seconds of patience", f"the end after {took:.1f} s")


@check("4")
def opening_stalled_inside_a_message(kit: Kit) -> None:
    """Half a HELLO does not hold a game for longer than the five seconds of the opening."""
    wire = kit.connect()
    kit.await_dialler(wire)
    wire.send(Type.HELLO, b'{"proto": [1,', length=500)
    wire.expect_refusal("timeout", "protocol", patience=OPENING + SLACK)
    kit.still_plays()


@check("4")
def busy(kit: Kit) -> None:
    """A listener that has a session answers another peer's HELLO with ERROR busy; the session goes on."""
    if not kit.we_dial:
        raise Skip("the game dials, so nobody else can reach it")
    play = kit.begin()
    other = kit.connect_beside()
    other.send(Type.HELLO, play.greeting.ours)
    other.expect_refusal("busy", must_say=True)
    play.step()
