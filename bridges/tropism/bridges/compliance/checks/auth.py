"""Section 5: each side proves that it knows the secret, and nothing is revealed before."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from tropism.bridges.compliance import opening
from tropism.bridges.compliance.kit import Kit
from tropism.bridges.compliance.registry import Skip, check, expect
from tropism.bridges.compliance.wire import Wire
from tropism.bridges.protocol.header import Type


@check("5")
def auth_right(kit: Kit) -> None:
    """A game with a token proves it by AUTH, the dialler first, and takes the right proof."""
    _need_token(kit)
    wire = kit.connect()
    kit.greet_and_prove(wire)
    opening.welcome(wire, [])


@check("5")
def auth_wrong(kit: Kit) -> None:
    """A wrong proof is answered by ERROR auth and the end of the connection."""
    _refused(kit, lambda _: secrets.token_hex(32))


@check("5")
def auth_of_another_role(kit: Kit) -> None:
    """A proof for the other role, such as the game's own sent back, is refused."""
    _refused(kit, lambda greeting: opening.proof(kit.token, "game", greeting))


@check("5")
def auth_of_another_nonce(kit: Kit) -> None:
    """A proof over another nonce, such as one overheard earlier, is refused."""
    _refused(kit, lambda greeting: opening.proof(kit.token, "agent", _stale(greeting)))


@check("5")
def auth_malformed(kit: Kit) -> None:
    """A mac of the wrong length or type is refused like any other."""
    for mac in ("", None, 5):
        _refused(kit, lambda _, mac=mac: mac)


@check("5")
def auth_missing(kit: Kit) -> None:
    """An agent that leaves AUTH out is answered by ERROR auth, and learns nothing."""
    _need_token(kit)
    wire = _greeted(kit)[0]
    body = {"caps": [], "max_message": opening.MAX_MESSAGE, "mode": "lockstep", "session": ""}
    wire.send(Type.WELCOME, body)
    _check_refusal(kit, wire)


@check("5")
def auth_not_asked_for(kit: Kit) -> None:
    """A game without a token refuses an agent that has one: ERROR auth."""
    before = kit.token
    kit.target.use_token("")
    try:
        wire, greeting = _greeted(kit)
        wire.send(Type.AUTH, {"mac": opening.proof(secrets.token_hex(32), "agent", greeting)})
        _check_refusal(kit, wire)
    finally:
        kit.hang_up()
        kit.target.use_token(before)


@check("5")
def auth_no_token_at_all(kit: Kit) -> None:
    """Without a token on either side there is no AUTH: WELCOME follows HELLO."""
    before = kit.token
    kit.target.use_token("")
    try:
        kit.begin()
    finally:
        kit.hang_up()
        kit.target.use_token(before)


def _need_token(kit: Kit) -> None:
    if not kit.token:
        raise Skip("the game has no token; set TROPISM_BRIDGE_TOKEN on both sides")


def _greeted(kit: Kit) -> tuple[Wire, opening.Greeting]:
    """A connection after HELLO; a game that dials has sent its AUTH as well, if it has a token."""
    wire = kit.connect()
    greeting = kit.greet(wire)
    if not kit.we_dial and kit.token:
        wire.expect(Type.AUTH)
    return wire, greeting


def _refused(kit: Kit, mac: Callable[[opening.Greeting], Any]) -> None:
    """The game must refuse an AUTH with what `mac` makes of the greeting."""
    _need_token(kit)
    wire, greeting = _greeted(kit)
    wire.send(Type.AUTH, {"mac": mac(greeting)})
    _check_refusal(kit, wire)


def _check_refusal(kit: Kit, wire: Wire) -> None:
    """ERROR auth without details, the end, and not a word of SPEC."""
    said = wire.expect_refusal("auth", must_say=True)
    expect(not said.get("detail"), "ERROR auth with no further detail", said)
    kit.hang_up()


def _stale(greeting: opening.Greeting) -> opening.Greeting:
    return greeting._replace(theirs={**greeting.theirs, "nonce": secrets.token_hex(32)})
