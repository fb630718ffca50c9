"""Small mutations of a right game, each with the check that is meant to catch it."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import socket
import time
import zlib

import numpy as np
from tests.bridges.small_game import LENGTH, Refusal, SmallGame
from tests.bridges.small_games import Live, Pair, Shared

from tropism.bridges.protocol.bodies import Outcome
from tropism.bridges.protocol.header import Flag, Header, Type, pack_header

RIGHT = SmallGame
BROKEN: list[tuple[str, type[SmallGame]]] = []
"""Check and game."""
_counter = itertools.count()


def breaks(*checks: str, right: type[SmallGame] = RIGHT, **members: object) -> None:
    """A right game with some members replaced; each of the checks must fail on it."""
    BROKEN.extend((check, type(f"Broken_{check}", (right,), dict(members))) for check in checks)


def refuse_if(condition, code="protocol"):
    """A method `check_hello` that refuses more than it should."""

    def check_hello(self, hello):
        if condition(hello):
            raise Refusal(code)
        RIGHT.check_hello(self, hello)

    return check_hello


def body_with(change):
    """A method `body` whose bytes are changed afterwards."""

    def body(self):
        data = bytearray(RIGHT.body(self))
        return bytes(change(data) or data)

    return body


def put(offset, value):
    return body_with(lambda data: data.__setitem__(offset, value))


def nothing(self, *arguments):
    """A method that does not do its work."""


# --- opening --------------------------------------------------------------------------------------


def _speak_first(self):
    self.send(Type.HELLO, self.hello())
    RIGHT.run(self)


def _lenient_json(self, body, what):
    try:
        return RIGHT.read_json(self, body, what)
    except Exception:
        return {}


def _skip_to(self, what):
    while True:
        header, body = self.receive()
        if header.type == what:
            return self.read_json(body, what)


def _changed_hello(**changes):
    return lambda self: {**RIGHT.hello(self), **changes}


def _chatty(self, ready):
    RIGHT.check_ready(self, ready)
    self.began = True
    self.observe()


KEYS = {"proto", "min_major", "role", "name", "version", "pid", "caps", "nonce", "session"}
breaks("hello-order", run=_speak_first)
breaks("hello-keys", hello=_changed_hello(min_major="1"))
breaks("hello-keys", hello=_changed_hello(role="agent"))
breaks("hello-keys", hello=_changed_hello(caps="seed"))
breaks("hello-nonce", fresh_nonce=lambda self: "0" * 64)
breaks("hello-unknown-keys", check_hello=refuse_if(lambda hello: set(hello) - KEYS))
breaks("hello-unknown-caps", check_hello=refuse_if(lambda hello: "telepathy" in hello["caps"]))
breaks("hello-no-caps", check_hello=refuse_if(lambda hello: not hello["caps"]))
breaks("version-newer-minor", check_hello=refuse_if(lambda hello: hello["proto"][1], "version"))
breaks(
    "version-newer-major-that-speaks-ours",
    check_hello=refuse_if(lambda hello: hello["proto"][0] != 1, "version"),
)
breaks("version-too-new", "role-the-same", check_hello=nothing)
breaks(
    "version-too-new", refuse=lambda self, code: self.send(Type.ERROR, {"code": code, "text": "no"})
)
breaks("hello-without-version", check_hello=nothing, proof=lambda self, role, nonce: "")
breaks("hello-not-json", read_json=_lenient_json, check_hello=nothing)
breaks("order-step-instead-of-hello", expect=_skip_to)
breaks("order-reset-before-ready", check_ready=nothing, expect=_skip_to)
breaks("order-second-hello", on_hello=nothing)
breaks("ready-wrong-hash", check_ready=nothing)
breaks("silent-after-ready", check_ready=_chatty)
breaks("busy", let_in=nothing)


# --- proof ----------------------------------------------------------------------------------------


def _only_strings(self, auth, nonce):
    if isinstance(auth.get("mac"), str) and auth["mac"]:
        RIGHT.check_proof(self, auth, nonce)


def _either_role(self, auth, nonce):
    if auth.get("mac") not in (self.proof("agent", nonce), self.proof("game", nonce)):
        raise Refusal("auth")


def _tell(self, code):
    self.send(Type.ERROR, {"code": code, "text": "wrong", "detail": "expected " + self.token})


def _reveal(self):
    self.send(Type.SPEC, self.spec.to_bytes())
    RIGHT.open_session(self)


breaks("auth-right", proof=lambda self, role, nonce: "00" * 32)
breaks("auth-wrong", "auth-of-another-nonce", "auth-malformed", check_proof=nothing)
breaks("auth-of-another-role", check_proof=_either_role)
breaks("auth-malformed", check_proof=_only_strings)
breaks("auth-wrong", refuse=_tell)
breaks("auth-wrong", refuse=lambda self, code: None)
breaks("auth-missing", expect=_skip_to)
breaks("auth-missing", open_session=_reveal)
breaks("auth-not-asked-for", take_welcome=lambda self: (self.receive(), self.receive()))
breaks("auth-no-token-at-all", check_ready=lambda self, ready: self.exactly(0 if self.token else 1))


# --- what an OBS consists of ----------------------------------------------------------------------


class _Twins(type(RIGHT.spec)):
    """Two agents of one name."""

    def to_bytes(self):
        spec = json.loads(RIGHT.spec.to_bytes())
        return json.dumps({**spec, "agents": spec["agents"] * 2}).encode()


class _Odd(type(RIGHT.spec)):
    """A space that the page does not have."""

    def to_bytes(self):
        return RIGHT.spec.to_bytes().replace(b'"discrete"', b'"quantum"')


def _retyped(kind):
    spec = RIGHT.spec
    return kind(spec.name, spec.agents, render=spec.render)


def _outside(self):
    return {**RIGHT.observation(self), "x": np.full(3, 9, np.float32)}


breaks("spec-spaces", spec=_retyped(_Odd))
breaks("spec-unique-ids", spec=_retyped(_Twins))
breaks("obs-length", body=body_with(lambda data: data + bytes(8)))
breaks("obs-length", body=body_with(lambda data: data[:-8]))
breaks("obs-padding", body=put(48 + 5, 7))
breaks("obs-padding", body=put(56 + 13, 7))
breaks("obs-in-space", observation=_outside)
breaks("obs-flags", body=put(40, 2))
breaks("obs-flags", body=put(44, 1))
breaks("obs-status", body=put(24, 9))
breaks("obs-agents", body=put(28, 2))
breaks("obs-info", body=body_with(lambda data: data[:-8] + b"\x02\0\0\0\0\0\0\0[]"))


# --- lock-step ------------------------------------------------------------------------------------


def _twice(self):
    RIGHT.observe(self)
    self.send(Type.OBS, RIGHT.body(self), self.last, self.episode)


def _numbered(seq=0, episode=0):
    def observe(self):
        self.send(Type.OBS, self.body(), self.last + seq, self.episode + episode)

    return observe


def _paid_reset(self):
    return RIGHT.outcome(self)._replace(reward=1.0)


def _by_the_clock(self):
    return {**RIGHT.observation(self), "x": np.full(3, time.monotonic() % 1, np.float32)}


def _random(self):
    return {
        **RIGHT.observation(self),
        "x": np.frombuffer(os.urandom(3), np.uint8) / np.float32(255),
    }


def _small_seed(self, asked):
    seed = RIGHT.read_seed(self, asked)
    if seed is not None and seed >= 2**32:
        raise Refusal("protocol")
    return seed


def _not_now(busy):
    def on_reset(self, header, body):
        if not busy(self):
            RIGHT.on_reset(self, header, body)

    return on_reset


def _drop_what_came(self):
    """Takes its time, and what has come meanwhile is lost."""
    time.sleep(0.1)
    with contextlib.suppress(BlockingIOError):
        self.sock.recv(1 << 16, socket.MSG_DONTWAIT)
    RIGHT.observe(self)


def _no_counting(self, action):
    self.step = 1


def _go_on(self, seed):
    step = self.step
    RIGHT.begin(self, seed)
    self.step = step


breaks("reset-answered", "step-answered", observe=_twice)
breaks("reset-answered", "step-answered", observe=_numbered(seq=1))
breaks("reset-answered", "step-answered", observe=_numbered(episode=1))
breaks("reset-step-zero", outcome=_paid_reset)
breaks("reset-step-zero", body=put(0, 3))
breaks("reset-alive", outcome=lambda self: Outcome(alive=False))
breaks("step-counts", advance=_no_counting)
breaks("step-applied", applied=lambda self: 0)
breaks("step-nothing-in-between", observation=_by_the_clock)
breaks("seed-repeats", observation=_random)
breaks("seed-ignored", info=lambda self: {"seed_ignored": True})
breaks("seed-ignored", caps=("call",), observation=_random)
breaks("seed-largest", read_seed=_small_seed)
breaks("seed-null", read_seed=lambda self, asked: int(asked["seed"]))
breaks("seed-negative", read_seed=lambda self, asked: abs(int(asked.get("seed", 0) or 0)))
breaks("reset-in-the-middle", on_reset=_not_now(lambda self: self.step > 0))
breaks("reset-in-the-middle", begin=_go_on)
breaks("reset-twice", on_reset=_not_now(lambda self: self.began and self.step == 0))
breaks("reset-during-a-step", observe=_drop_what_came)
breaks("end-alive", outcome=lambda self: RIGHT.outcome(self)._replace(alive=self.step < LENGTH))
breaks("end-status", status=lambda self: 2)
breaks(
    "end-dead-afterwards",
    outcome=lambda self: RIGHT.outcome(self)._replace(alive=True, observation=self.observation()),
)
breaks("end-then-reset", on_reset=_not_now(lambda self: self.over))


# --- requests -------------------------------------------------------------------------------------


def _lenient_actions(self, body):
    try:
        return RIGHT.read_actions(self, body)
    except Exception:
        return [0]


def _begin_at_once(self):
    RIGHT.await_ready(self)
    self.began = True


def _silent_step(self, header, body):
    with contextlib.suppress(Refusal):
        RIGHT.on_step(self, header, body)


def _remember(self, action):
    self.house.last = self.last
    RIGHT.advance(self, action)


breaks("stale-step", "stale-reset", is_stale=lambda self, seq: False)
breaks("seq-wraps", is_stale=lambda self, seq: seq <= self.last)
breaks(
    "seq-begins-anew",
    advance=_remember,
    is_stale=lambda self, seq: seq <= getattr(self.house, "last", 0),
)
breaks(
    "action-too-short",
    "action-too-long",
    "action-wrong-count",
    "action-wrong-flag",
    read_actions=_lenient_actions,
)
breaks("action-out-of-space", on_step=_silent_step)
breaks("action-step-before-reset", await_ready=_begin_at_once)


# --- messages -------------------------------------------------------------------------------------


def _lenient_header(**fixed):
    """A method `read_header` that takes some fields as right whatever they are."""

    def read_header(self, data):
        data = bytearray(data)
        for offset, value in fixed["put"]:
            data[offset : offset + len(value)] = value
        return RIGHT.read_header(self, bytes(data))

    return read_header


def _patient_header(self, data):
    """Waits for whatever length is announced."""
    length = int.from_bytes(data[8:12], "little")
    return (
        Header(data[4], data[5], 0, length, 0, 0, 0, 0)
        if length > 2**24
        else RIGHT.read_header(self, data)
    )


def _one_read(self, size):
    data = self.sock.recv(size)
    if len(data) != size:
        raise EOFError
    return data


def _one_gulp(self, size):
    """What comes together with a message is lost."""
    if not self.pending and size:
        self.pending = self.sock.recv(1 << 16)
        if not self.pending:
            raise EOFError
    data, self.pending = self.pending[:size], self.pending[size:]
    if size != 32 or not data[8:12].strip(b"\0"):
        self.pending = b""
    return data


def _impatient(self, size):
    self.sock.settimeout(0.1 if size == 16 + 8 else 5.0)
    return RIGHT.exactly(self, size)


def _with_checksum(self, what, length, seq, episode):
    return pack_header(
        what, length, seq, episode, Flag.ZLIB if what == Type.PONG else 64 * (what == Type.OBS)
    )


def _backwards(self, what, length, seq, episode):
    return pack_header(what, length, seq, episode, time=10**9 - next(_counter))


def _no_checks(self, header, raw):
    return zlib.decompress(raw) if header.flags & Flag.ZLIB else raw


def _no_limit(self, header, raw):
    self.check_flags(header.flags & 8)
    try:
        return zlib.decompress(raw) if header.flags & Flag.ZLIB else raw
    except zlib.error:
        return b"{}"


def _never(self, header, raw):
    if header.flags & 6:
        raise Refusal("protocol")
    return raw


def _dies(self):
    self.house.close()


def _dies_inside(self, size):
    try:
        return RIGHT.exactly(self, size)
    except EOFError:
        if size != 32:
            self.house.close()
        raise


breaks("header-flags", header=_with_checksum)
breaks("header-clock", header=_backwards)
breaks("header-in-pieces", exactly=_one_read)
breaks("header-together", exactly=_one_gulp, pending=b"")
breaks("half-message", exactly=_impatient)
breaks("magic-wrong", "magic-swapped", read_header=_lenient_header(put=[(0, b"GBR1")]))
breaks("flags-unknown", read_header=_lenient_header(put=[(5, b"\0")]))
breaks("stream-wrong", read_header=_lenient_header(put=[(6, b"\0\0")]))
breaks("crc-without-flag", read_header=_lenient_header(put=[(28, b"\0\0\0\0")]))
breaks("length-oversized", "length-above-the-agreed", read_header=_patient_header)
breaks("type-unknown", on_unknown=lambda self, header: self.on_unexpected(header))
breaks("type-unknown-must-understand", on_unknown=nothing)
breaks("type-unknown-must-understand", on_unknown=lambda self, header: self.on_close(header, b""))
breaks("type-of-the-game", on_obs=nothing)
breaks(
    "garbage-at-first", "garbage-in-a-session", read_header=lambda self, data: self.exactly(2**20)
)
breaks("half-message-then-the-end", exactly=_dies_inside)
breaks("crc-right", "zlib-right", read_body=_never)
breaks("crc-wrong", read_body=_no_checks)
breaks("zlib-broken", "zlib-too-large", read_body=_no_limit, on_event=nothing)
breaks("flags-not-granted", "flags-shared-memory", check_flags=nothing)


# --- the rest -------------------------------------------------------------------------------------


def _slow_call(self, header, body):
    self.waiting = header, body


def _call_after_obs(self):
    RIGHT.observe(self)
    if self.waiting is not None:
        RIGHT.on_call(self, *self.waiting)


def _tired(self, seed):
    RIGHT.begin(self, seed)
    if self.episode > 30:
        raise EOFError


def _anonymous(self, action):
    self.send(Type.EVENT, {"data": 1})
    RIGHT.advance(self, action)


def _advance_too(self, header, body):
    self.step += 1
    RIGHT.on_ping(self, header, body)


def _fixed_id(self, header, body):
    self.send(Type.REPLY, {"id": 3, "error": "no"})


def _lost_forever(self, *_):
    self.house.close()
    raise EOFError


breaks("ping", on_ping=lambda self, header, body: self.send(Type.PONG, body[:8]))
breaks("ping", on_ping=nothing)
breaks("ping-in-an-episode", on_ping=_advance_too)
breaks("ping-too-long", on_ping=lambda self, header, body: self.send(Type.PONG, body))
breaks("event-unknown", on_event=RIGHT.on_close)
breaks("event-form", advance=_anonymous)
breaks("call-unknown", on_call=RIGHT.on_close)
breaks("call-unknown", answer=lambda self, name: {"result": None})
breaks("call-ids", on_call=_fixed_id)
breaks("call-before-the-next-obs", on_call=_slow_call, observe=_call_after_obs, waiting=None)
breaks("call-malformed", on_call=lambda self, *_: self.send(Type.REPLY, {"id": None, "error": "x"}))
breaks("call-render", answer=lambda self, name: {"result": {"d": "u1", "s": [2, 1, 3], "b64": "A"}})
breaks("close-obeyed", on_close=nothing)
breaks("error-obeyed", on_error=nothing)
breaks("close-then-again", on_close=_lost_forever)
breaks(
    "agent-lost-between-steps",
    "agent-lost-during-a-step",
    "agent-lost-during-the-opening",
    "agent-lost-by-reset-of-the-connection",
    lost=_dies,
)
breaks("session-many-resets", begin=_tired)
# --- two agents, shared memory, latest frames -----------------------------------------------------


def _alive_again(self):
    if self.step == LENGTH - 1:
        return Outcome(0.0, False, False, True, self.observation())
    return Pair.first(self)


def _as_memory_says(self):
    self.alarmed = getattr(self, "alarmed", False)
    return self.alarmed


def _alarm(self, header, body):
    self.alarmed = True


def _off_by_one(self):
    seen = RIGHT.observation(self)
    return {**seen, "c": seen["c"] + self.through}


def _only_memory(self, header, body):
    if self.through or self.map is None:
        Shared.on_step(self, header, body)


def _give_up(self, offer):
    raise Refusal("protocol")


def _frames_numbered(number):
    def observe(self):
        self.shown += 1
        self.send(Type.OBS, self.body(), number(self), self.episode)

    return observe


def _frame_at_once(self, ready):
    self.send(Type.OBS, self.body(), 1, 0)


def _old_episode(self):
    self.shown += 1
    self.send(Type.OBS, self.body(), self.shown, 1)


breaks("end-stays", right=Pair, first=_alive_again)
breaks("shm-accepted", right=Shared, accepted=lambda self, nonce: nonce)
breaks("shm-accepted", right=Shared, map_file=_give_up)
breaks("shm-steps", right=Shared, place=lambda self, number: 0)
breaks("shm-steps", right=Shared, finish=nothing)
breaks("shm-same-bytes", right=Shared, observation=_off_by_one)
breaks("shm-requests-on-the-connection", right=Shared, on_step=_only_memory)
breaks("shm-bell", right=Shared, ring=nothing)
breaks("shm-without-bell", right=Shared, looks=_as_memory_says, on_bell=_alarm)
breaks(
    "shm-wrong-nonce",
    "shm-wrong-magic",
    "shm-wrong-layout",
    "shm-wrong-size",
    right=Shared,
    is_right=lambda self, whole, offer: True,
)
breaks("shm-no-file", right=Shared, map_file=_give_up)
breaks("latest-frames", right=Live, observe=_frames_numbered(lambda self: self.last))
breaks("latest-silent-before-reset", right=Live, check_ready=_frame_at_once)
breaks("latest-applied", right=Live, applied=lambda self: 1)
breaks("latest-new-episode", right=Live, observe=_old_episode)
breaks("latest-new-episode", right=Live, observe=_frames_numbered(lambda self: self.step + 1))
breaks("latest-steps", right=Live, body=put(0, 5))
