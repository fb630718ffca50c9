"""BonkLink v1, the format: what MetaBonk's plugin sends and takes, field by field.

Layouts are described in docs/bridge-legacy.md. Nothing here reads a socket; streams are cut into packets by
`bonklink_stream`. Facts after https://github.com/vladdiethecoder/MetaBonk, no code of it.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, replace
from typing import NamedTuple

from tropism.bridges.errors import InvalidValue, ProtocolError
from tropism.bridges.legacy.fields import I32, Cursor, pack_string

PORT = 5560
"""The port that is usual with the original agent; the plugin's own default is 5555."""
ENEMIES_MAX, OPTIONS_MAX = 256, 64
HINP, EXTENSION = b"HINP", b"TRB1"

_FIXED = struct.Struct("<9f2B")
_ENEMY = struct.Struct("<4f")
_HUMAN = struct.Struct("<4f4B2f")
_ACTION = struct.Struct("<4f4B")
_CLICK = struct.Struct("<2i")
_OUTCOME = struct.Struct("<II4Bd")
_REQUEST = struct.Struct("<IBBHq")

Pair = tuple[float, float]
Triple = tuple[float, float, float]


class Enemy(NamedTuple):
    """One enemy: where it is and its health."""

    position: Triple
    health: float


class HumanInput(NamedTuple):
    """What a human at the game did: the HINP trailer. `click` is in [0, 1], from the top left."""

    move: Pair = (0.0, 0.0)
    look: Pair = (0.0, 0.0)
    fire: bool = False
    ability: bool = False
    interact: bool = False
    ui_click: bool = False
    click: Pair = (0.0, 0.0)


class Outcome(NamedTuple):
    """The extension's trailer of a state.

    Attributes:
        applied: `seq` of the newest request whose effect this state shows.
        episode: how many resets this connection has seen.
        terminated: the episode has come to its end; stays until the next reset.
        truncated: the episode was cut off; stays until the next reset.
        seed_ignored: the last reset asked for a seed that the game could not obey.
        total: sum of the rewards of the episode so far, so that no skipped packet loses any.
    """

    applied: int = 0
    episode: int = 0
    terminated: bool = False
    truncated: bool = False
    seed_ignored: bool = False
    total: float = 0.0


class Request(NamedTuple):
    """The extension's trailer of an action: its number, and whether it is a reset."""

    seq: int
    reset: bool = False
    seed: int | None = None


@dataclass(frozen=True)
class State:
    """One state of the game; floats are 32 bits on the wire, `game_time` is in seconds."""

    position: Triple = (0.0, 0.0, 0.0)
    velocity: Triple = (0.0, 0.0, 0.0)
    health: float = 100.0
    max_health: float = 100.0
    game_time: float = 0.0
    is_playing: bool = False
    is_paused: bool = False
    enemies: tuple[Enemy, ...] = ()
    menu: str = ""
    level_up: tuple[str, ...] = ()
    human: HumanInput | None = None
    outcome: Outcome | None = None


@dataclass(frozen=True)
class Action:
    """One action; axes in [-1, 1], `click` in pixels of the capture, from the *bottom* left."""

    move: Pair = (0.0, 0.0)
    aim: Pair = (0.0, 0.0)
    fire: bool = False
    ability: bool = False
    interact: bool = False
    click: tuple[int, int] | None = None
    request: Request | None = None

    def clamped(self) -> Action:
        """The same with its axes in [-1, 1], as the game takes it."""
        return replace(self, move=_clamp(self.move), aim=_clamp(self.aim))


def encode_state(state: State) -> bytes:
    """A state as the plugin writes it; trailers only where they are not None.

    Raises:
        InvalidValue: more enemies or options than a reader accepts.
    """
    if len(state.enemies) > ENEMIES_MAX or len(state.level_up) > OPTIONS_MAX:
        raise InvalidValue(f"at most {ENEMIES_MAX} enemies and {OPTIONS_MAX} options to level up")
    numbers = (*state.position, *state.velocity, state.health, state.max_health, state.game_time)
    parts = [_FIXED.pack(*numbers, state.is_playing, state.is_paused)]
    parts.append(I32.pack(len(state.enemies)))
    parts += [_ENEMY.pack(*enemy.position, enemy.health) for enemy in state.enemies]
    parts += [pack_string(state.menu), I32.pack(len(state.level_up))]
    parts += [pack_string(option) for option in state.level_up]
    if state.human is not None:
        parts.append(HINP + I32.pack(1) + _pack_human(state.human))
    if state.outcome is not None:
        parts.append(EXTENSION + _pack_outcome(state.outcome))
    return b"".join(parts)


def decode_state(data: bytes) -> State:
    """Read a state; what follows the trailers known here is ignored, as the plugin's readers do.

    Raises:
        ProtocolError: truncated, a count out of range, or text that is not UTF-8.
    """
    cursor = Cursor(data)
    *numbers, playing, paused = cursor.unpack(_FIXED, "state")
    enemies = tuple(_enemy(cursor) for _ in range(cursor.count(ENEMIES_MAX, "number of enemies")))
    menu = cursor.string("menu")
    options = cursor.count(OPTIONS_MAX, "number of options to level up")
    level_up = tuple(cursor.string("option to level up") for _ in range(options))
    human, outcome = _trailers(cursor)
    x, y, z, vx, vy, vz, health, most, time = numbers
    head = ((x, y, z), (vx, vy, vz), health, most, time, bool(playing), bool(paused))
    return State(*head, enemies, menu, level_up, human, outcome)


def encode_action(action: Action) -> bytes:
    """An action without its size: 20 bytes, 28 with a click, 20 more with a request.

    Raises:
        InvalidValue: an axis is not finite.
    """
    axes = (*action.move, *action.aim)
    if not all(map(math.isfinite, axes)):
        raise InvalidValue(f"the axes {axes} are not finite")
    buttons = (action.fire, action.ability, action.interact, action.click is not None)
    body = _ACTION.pack(*axes, *buttons)
    if action.click is not None:
        body += _CLICK.pack(*action.click)
    if action.request is not None:
        body += EXTENSION + _pack_request(action.request)
    return body


def decode_action(data: bytes) -> Action:
    """Read an action without its size; what follows it and is no known trailer is ignored.

    Raises:
        ProtocolError: truncated.
        InvalidValue: an axis is not finite.
    """
    cursor = Cursor(data)
    *axes, fire, ability, interact, clicks = cursor.unpack(_ACTION, "action")
    if not all(map(math.isfinite, axes)):
        raise InvalidValue(f"the axes {axes} are not finite")
    click = cursor.unpack(_CLICK, "click") if clicks else None
    request = _read_request(cursor) if data[cursor.offset :][:4] == EXTENSION else None
    buttons = (bool(fire), bool(ability), bool(interact))
    return Action((axes[0], axes[1]), (axes[2], axes[3]), *buttons, click, request)


def click_at(x: float, y: float, width: int, height: int) -> tuple[int, int]:
    """A point in [0, 1] from the *top* left as the game wants it: pixels from the *bottom* left."""
    column = min(max(int(x * width), 0), width - 1)
    row = min(max(int(y * height), 0), height - 1)
    return column, height - 1 - row


def _enemy(cursor: Cursor) -> Enemy:
    x, y, z, health = cursor.unpack(_ENEMY, "enemy")
    return Enemy((x, y, z), health)


def _trailers(cursor: Cursor) -> tuple[HumanInput | None, Outcome | None]:
    human = outcome = None
    version = 1
    if _tag(cursor) == HINP:
        _, version = cursor.raw(4, "HINP"), cursor.unpack(I32, "version of HINP")[0]
        human = _read_human(cursor) if version >= 1 else None
    # what a later HINP would add is not known, so neither is where the next trailer begins
    if version == 1 and _tag(cursor) == EXTENSION:
        outcome = _read_outcome(cursor)
    return human, outcome


def _tag(cursor: Cursor) -> bytes:
    if 0 < cursor.left < 4:
        raise ProtocolError(f"{cursor.left} bytes after the state, a trailer has at least 4")
    return cursor.data[cursor.offset : cursor.offset + 4]


def _pack_human(human: HumanInput) -> bytes:
    buttons = (human.fire, human.ability, human.interact, human.ui_click)
    return _HUMAN.pack(*human.move, *human.look, *buttons, *human.click)


def _read_human(cursor: Cursor) -> HumanInput:
    mx, my, lx, ly, fire, ability, interact, clicks, cx, cy = cursor.unpack(_HUMAN, "HINP trailer")
    buttons = (bool(fire), bool(ability), bool(interact), bool(clicks))
    return HumanInput((mx, my), (lx, ly), *buttons, (cx, cy))


def _pack_outcome(outcome: Outcome) -> bytes:
    *head, total = outcome
    return _OUTCOME.pack(*head, 0, total)


def _read_outcome(cursor: Cursor) -> Outcome:
    cursor.raw(4, "TRB1")
    fields = cursor.unpack(_OUTCOME, "TRB1 trailer of a state")
    applied, episode, terminated, truncated, ignored, _, total = fields
    return Outcome(applied, episode, bool(terminated), bool(truncated), bool(ignored), total)


def _pack_request(request: Request) -> bytes:
    seeded = request.seed is not None
    return _REQUEST.pack(request.seq, request.reset, seeded, 0, request.seed or 0)


def _read_request(cursor: Cursor) -> Request:
    cursor.raw(4, "TRB1")
    seq, reset, seeded, _, seed = cursor.unpack(_REQUEST, "TRB1 trailer of an action")
    return Request(seq, bool(reset), seed if seeded else None)


def _clamp(pair: Pair) -> Pair:
    x, y = (min(max(value, -1.0), 1.0) for value in pair)
    return x, y
