"""How a session comes to shared memory: SHM_OFFER and SHM_ACK, between SPEC and READY."""

from __future__ import annotations

import re
import secrets

from tropism.bridges.errors import (
    ProtocolError,
    ShmCorrupt,
    ShmUnavailable,
    UnexpectedMessage,
)
from tropism.bridges.protocol.header import Type
from tropism.bridges.protocol.jsons import is_count
from tropism.bridges.protocol.messages import Message, read_json, write_json
from tropism.bridges.transports.connection import Connection
from tropism.bridges.transports.handshake import Agreement, ready_steps
from tropism.bridges.transports.opening import Opening, Steps
from tropism.bridges.transports.shm.channel import ShmChannel
from tropism.bridges.transports.shm.region import Region
from tropism.bridges.transports.shm.ring import ACCEPTED, SLOTS, Plan, Ring, plan_of

NONCES = 2**64
_DIGITS = re.compile("[0-9]{1,20}")


def offer(
    connection: Connection,
    agreement: Agreement,
    *,
    copy: bool = True,
    spin_us: float | None = None,
) -> ShmChannel:
    """Offer shared memory as the agent, before `ready`.

    Args:
        connection: of the session.
        agreement: from `open_agent`.
        copy: whether received bodies are copied; see `ShmChannel`.
        spin_us: see `ShmChannel`.

    Raises:
        ShmUnavailable: it cannot be had, here or in the game; the session goes on over the connection.
        BridgeError: as `open_agent`.
    """
    if "shm" not in agreement.caps:
        raise ShmUnavailable("shared memory was not agreed upon")
    plan = Plan.of(agreement.spec)
    region = Region.create(plan.size)
    try:
        nonce = secrets.randbelow(NONCES)
        head = plan.head(agreement.spec.hash, nonce)
        region.memory[: len(head)] = head
        _negotiate(connection, agreement, region, nonce)
        region.unlink()
        ring = Ring(region.memory, plan, head, is_agent=True, copy=copy)
        return ShmChannel(connection, region, ring, is_agent=True, spin_us=spin_us)
    except BaseException:
        region.close()
        raise


def answer(
    connection: Connection,
    agreement: Agreement,
    offered: Message,
    *,
    copy: bool = True,
    spin_us: float | None = None,
) -> ShmChannel | None:
    """Answer an offer as the game.

    Args:
        connection: of the session.
        agreement: from `open_game`.
        offered: the SHM_OFFER.
        copy: whether received bodies are copied; see `ShmChannel`.
        spin_us: see `ShmChannel`.

    Returns:
        None if the memory cannot be had; the agent was told, and the session goes on over the connection.

    Raises:
        ProtocolError: the offer is none.
    """
    with Opening(connection, "game", False, None, agreement.time_left).refusing():
        path, size, nonce = _read(offered)
    try:
        region = Region.attach(path, size)
    except (ShmUnavailable, ShmCorrupt) as error:
        return _decline(connection, error)
    try:
        plan = plan_of(region.memory, nonce, agreement.spec.hash)
        ring = Ring(
            region.memory, plan, plan.head(agreement.spec.hash, nonce), is_agent=False, copy=copy
        )
        _accept(region, nonce)
        connection.send(Type.SHM_ACK, write_json({"ok": True}))
        return ShmChannel(connection, region, ring, is_agent=False, spin_us=spin_us)
    except ShmCorrupt as error:
        region.close()
        return _decline(connection, error)
    except BaseException:
        region.close()
        raise


def channel_steps(
    connection: Connection, agreement: Agreement, spin_us: float | None = None
) -> Steps[Connection | ShmChannel]:
    """End the opening as the game, after `game_steps`.

    Returns:
        What the steps go over: shared memory if it was offered and can be had, else the connection.
    """
    channel: Connection | ShmChannel = connection
    try:
        while (offered := (yield from ready_steps(connection, agreement))) is not None:
            if channel is not connection:
                raise UnexpectedMessage("a second SHM_OFFER")
            channel = answer(connection, agreement, offered, spin_us=spin_us) or connection
    except BaseException:
        channel.close()
        raise
    return channel


def _negotiate(connection: Connection, agreement: Agreement, region: Region, nonce: int) -> None:
    opening = Opening(connection, "agent", False, None, agreement.time_left)
    with opening.refusing():
        opening.send(
            Type.SHM_OFFER, {"path": region.path, "size": region.size, "nonce": str(nonce)}
        )
        reply = read_json(opening.expect(Type.SHM_ACK).body, Type.SHM_ACK)
        accepted = int.from_bytes(region.memory[ACCEPTED : ACCEPTED + 8], "little")
        if reply.get("ok") is True and accepted != (nonce + 1) % NONCES:
            raise ShmCorrupt("the game says that it maps the memory, but has not written there")
    if reply.get("ok") is not True:
        raise ShmUnavailable(f"the game declines: {reply.get('reason')}")


def _read(offered: Message) -> tuple[str, int, int]:
    facts = read_json(offered.body, Type.SHM_OFFER)
    path, size, nonce = facts.get("path"), facts.get("size"), facts.get("nonce")
    if not isinstance(path, str) or not isinstance(nonce, str) or not _DIGITS.fullmatch(nonce):
        raise ProtocolError("SHM_OFFER: needs a `path` and a `nonce` of decimal digits")
    if not isinstance(size, int) or not is_count(size) or size < SLOTS or size % 64:
        raise ProtocolError(f"SHM_OFFER: {size!r} is no size")
    if int(nonce) >= NONCES:
        raise ProtocolError("SHM_OFFER: `nonce` has more than 64 bits")
    return path, size, int(nonce)


def _accept(region: Region, nonce: int) -> None:
    region.memory[ACCEPTED : ACCEPTED + 8] = ((nonce + 1) % NONCES).to_bytes(8, "little")


def _decline(connection: Connection, error: Exception) -> None:
    connection.send(Type.SHM_ACK, write_json({"ok": False, "reason": str(error)}))
