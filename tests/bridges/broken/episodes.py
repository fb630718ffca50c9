"""Games whose observations, episodes or answers to requests are wrong."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time

import numpy as np
from tests.bridges.broken.breaking import RIGHT, body_with, breaks, put
from tests.bridges.small_game import LENGTH, Refusal

from tropism.bridges.protocol.bodies import Outcome
from tropism.bridges.protocol.header import Type

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
