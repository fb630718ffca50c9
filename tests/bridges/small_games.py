"""Small games that can do more: two agents, shared memory, latest frames."""

from __future__ import annotations

import mmap
import os
import select
import struct

import numpy as np
from gymnasium import spaces
from tests.bridges.small_game import LENGTH, OBSERVATION, Refusal, SmallGame

from tropism.bridges.protocol.bodies import Outcome
from tropism.bridges.protocol.header import Flag, Type, pack_header, parse_header
from tropism.bridges.protocol.spec import AgentSpec, Spec


class Pair(SmallGame):
    """Two agents; the first ends in the middle."""

    spec = Spec("pair", [AgentSpec(name, OBSERVATION, spaces.Discrete(2)) for name in ("a", "b")])
    caps = ("call", "seed")

    def read_actions(self, body) -> list:
        return [self.actions.decode(body)[1]]

    def body(self) -> bytes:
        second = self.outcome()
        self.over = self.step >= LENGTH
        numbers = {"step": self.step, "applied": self.applied(), "status": self.status()}
        return bytes(self.codec.encode([self.first(), second], **numbers, info=self.info()))

    def first(self) -> Outcome:
        half = LENGTH // 2
        if self.step > half:
            return Outcome(alive=False)
        return Outcome(0.0, self.step == half, False, True, self.observation())


class Shared(SmallGame):
    """Shared memory, section 9 of the page."""

    caps = ("call", "seed", "shm")
    map: mmap.mmap | None = None
    written = taken = 0
    through = False  # whether the request under way came through the memory

    def await_ready(self) -> None:
        header, body = self.receive()
        if header.type == Type.SHM_OFFER:
            self.send(Type.SHM_ACK, self.map_file(self.read_json(body, Type.SHM_OFFER)))
            header, body = self.receive()
        if header.type != Type.READY:
            raise Refusal("protocol")
        self.check_ready(self.read_json(body, Type.READY))

    def map_file(self, offer: dict) -> dict:
        try:
            file = os.open(offer["path"], os.O_RDWR)
        except OSError as error:
            return {"ok": False, "reason": str(error)}
        try:
            whole = mmap.mmap(file, os.fstat(file).st_size)
        finally:
            os.close(file)
        if not self.is_right(whole, offer):
            return {"ok": False, "reason": "not the file that was offered"}
        self.map = whole
        self.put("<Q", 0x1C0, self.accepted(int(offer["nonce"])))
        self.action_slot, self.slot = self.get("<I", 0x2C), self.get("<I", 0x34)
        return {"ok": True}

    def is_right(self, whole, offer) -> bool:
        magic, layout, size, nonce = struct.unpack_from("<4sIQQ", whole)
        sizes = len(whole) == size == offer["size"]
        return magic == b"GBRS" and layout == 1 and sizes and str(nonce) == offer["nonce"]

    def accepted(self, nonce: int) -> int:
        return (nonce + 1) % 2**64

    def put(self, form, offset, value) -> None:
        struct.pack_into(form, self.map, offset, value)

    def get(self, form, offset):
        return struct.unpack_from(form, self.map, offset)[0]

    def turn(self) -> None:
        if self.map is None:
            super().turn()
        elif self.looks() and self.get("<I", 0x80) != self.taken:
            self.take()
        elif select.select([self.sock], [], [], 0.005)[0]:
            super().turn()

    def looks(self) -> bool:
        return True

    def take(self) -> None:
        self.taken = self.get("<I", 0x80)
        start = 0x1000 + self.taken % 2 * self.action_slot
        header = parse_header(self.map[start + 16 : start + 48])
        self.through = True
        self.on_step(header, self.map[start + 64 : start + 64 + header.length])
        self.through = False

    def on_bell(self, header, body) -> None:
        pass

    def observe(self) -> None:
        if not self.through:
            super().observe()
            return
        self.written += 1
        body = self.body()
        start = 0x1000 + 2 * self.action_slot + self.place(self.written) * self.slot
        self.put("<Q", start, self.written)
        header = pack_header(Type.OBS, len(body), self.last, self.episode, Flag.SHM)
        self.map[start + 16 : start + 48] = header
        self.map[start + 64 : start + 64 + len(body)] = body
        self.finish(start)
        self.put("<Q", 0x180, self.written)
        self.put("<I", 0x100, self.last)
        self.ring()

    def place(self, number: int) -> int:
        return number % 3

    def finish(self, start: int) -> None:
        self.put("<Q", start + 8, self.written)

    def ring(self) -> None:
        if self.get("<I", 0xC0):
            self.send(Type.BELL)


class Live(SmallGame):
    """Latest frames, about a hundred a second."""

    caps = ("latest", "seed")
    shown = 0

    def turn(self) -> None:
        live = self.began and self.welcome["mode"] == "latest" and not self.over
        if not live or select.select([self.sock], [], [], 0.01)[0]:
            super().turn()
        else:
            self.advance(0)
            self.observe()

    def on_action(self, header, body) -> None:
        self.read_actions(body)
        self.last = header.seq

    def outcome(self) -> Outcome:
        if self.welcome["mode"] == "lockstep":
            return super().outcome()
        return Outcome(0.0, False, False, True, self.observation())

    def observation(self) -> dict:
        return {"x": np.zeros(3, np.float32), "c": np.zeros(3, np.uint8)}

    def observe(self) -> None:
        self.shown += 1
        seq = self.shown if self.welcome["mode"] == "latest" else self.last
        self.send(Type.OBS, self.body(), seq, self.episode)
