"""Sections 6 and 8: which requests a game takes, which it leaves, and which it refuses."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from tropism.bridges.compliance.kit import Kit
from tropism.bridges.compliance.play import Play
from tropism.bridges.compliance.registry import Skip, check, expect
from tropism.bridges.compliance.wire import End, Frame, describe
from tropism.bridges.errors import BridgeError
from tropism.bridges.protocol.header import Type


@check("6")
def stale_step(kit: Kit) -> None:
    """A STEP whose seq is not newer than the last request's is ignored: no answer, no step."""
    play = kit.begin()
    play.step()
    body = play.encode()
    for old in (play.seq, play.seq - 1):
        play.wire.send(Type.STEP, body, seq=old, episode=play.episode)
    play.wire.expect_silence()
    number = play.step().seen.step
    expect(number == 2, "step 2 after two steps that were taken", number)


@check("6")
def stale_reset(kit: Kit) -> None:
    """A RESET whose seq is not newer than the last request's is ignored."""
    play = kit.begin()
    play.step()
    play.wire.send(Type.RESET, {"seed": 0, "options": None}, seq=play.seq, episode=play.episode)
    play.wire.expect_silence()
    number = play.step().seen.step
    expect(number == 2, "step 2 of the same episode", number)


@check("6")
def seq_wraps(kit: Kit) -> None:
    """After seq 4,294,967,295 comes 1, and it is newer (serial-number order)."""
    play = kit.begin()
    for seq in (0x7FFFFFF0, 0xFFFFFFE0, 0xFFFFFFFF, 1, 2):
        play.seq = seq - 1
        play.reset()


@check("6")
def seq_begins_anew(kit: Kit) -> None:
    """Requests are numbered from 1 in each session, also after a session with high numbers."""
    play = kit.begin()
    play.seq = 1000
    play.step()
    play = kit.begin()
    play.step()


@check("8")
def action_too_short(kit: Kit) -> None:
    """A STEP whose body is shorter than the layout is a protocol error."""
    _refused(kit, lambda body: body[:-8])


@check("8")
def action_too_long(kit: Kit) -> None:
    """A STEP whose body is longer than the layout is a protocol error."""
    _refused(kit, lambda body: body + bytes(8))


@check("8")
def action_wrong_count(kit: Kit) -> None:
    """A STEP for another number of agents is a protocol error."""
    _refused(kit, lambda body: b"\x07\x01\x00\x00" + body[4:])


@check("8")
def action_wrong_flag(kit: Kit) -> None:
    """Whether an agent acts is 0 or 1; anything else is a protocol error."""
    _refused(kit, lambda body: body[:8] + b"\x05" + body[9:])


@check("8")
def action_out_of_space(kit: Kit) -> None:
    """An action outside of its space is refused by ERROR action, or dealt with; never by silence or a crash."""
    play = kit.begin()
    play.wire.send(Type.STEP, _outside(play), seq=2, episode=1)
    frame = play.wire.next()
    if isinstance(frame, Frame) and frame.type == Type.OBS:
        kit.note = "answered by OBS"
        return
    expect(isinstance(frame, Frame) and frame.type == Type.ERROR, "ERROR action", describe(frame))
    code = frame.json().get("code") if isinstance(frame, Frame) else None
    expect(code in ("action", "protocol"), "ERROR action", describe(frame))
    expect(play.wire.next() is End.CLOSED, "the end of the connection", "it stays open")
    kit.still_plays()


@check("8")
def action_step_before_reset(kit: Kit) -> None:
    """The first request of a session is RESET; a STEP before it gets no OBS of an episode that never began."""
    play = kit.open()
    play.ask_step()
    frame = play.wire.next(1.0)
    refused = not isinstance(frame, Frame) or frame.type == Type.ERROR
    expect(refused, "ERROR protocol", describe(frame))
    kit.still_plays()


def _refused(kit: Kit, spoil: Any) -> None:
    """The game must refuse a STEP with what `spoil` makes of a right body."""
    play = kit.begin()
    play.wire.send(Type.STEP, spoil(play.encode()), seq=2, episode=1)
    play.wire.expect_refusal("protocol", "action")
    kit.still_plays()


def _outside(play: Play) -> bytes:
    """A body whose first leaf holds a value that its space does not."""
    body = bytearray(play.encode())
    space = play.spec.agents[0].action_space
    wrong = _wrong_leaf(space)
    body[16 : 16 + len(wrong)] = wrong
    try:
        action = play.actions.decode(bytes(body))[0]
    except BridgeError:
        return bytes(body)  # so wrong that it cannot even be read
    if space.contains(action):
        raise Skip(f"no action outside of {space} can be sent")
    return bytes(body)


def _wrong_leaf(space: gymnasium.Space) -> bytes:
    """Bytes of a first leaf that cannot be right."""
    while isinstance(space, gymnasium.spaces.Dict | gymnasium.spaces.Tuple) and len(space):
        space = next(iter(space.values())) if isinstance(space, gymnasium.spaces.Dict) else space[0]
    if isinstance(space, gymnasium.spaces.Discrete):
        return np.int64(space.start + space.n + 1000).tobytes()
    if (
        isinstance(space, gymnasium.spaces.Box)
        and space.dtype is not None
        and space.dtype.kind == "f"
    ):
        return np.full(space.shape, np.nan, space.dtype).tobytes()
    if isinstance(space, gymnasium.spaces.MultiDiscrete | gymnasium.spaces.MultiBinary):
        return np.full(space.shape, 111, space.dtype).tobytes()
    return b"\xff\xff\xff\xff"
