"""Shared memory as an agent makes it, written out from section 9 of docs/bridge-protocol.md and nothing else."""

from __future__ import annotations

import contextlib
import mmap
import os
import secrets
import struct
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from tropism.bridges.compliance.play import Answer, Play
from tropism.bridges.compliance.registry import Fail, Skip, expect
from tropism.bridges.compliance.wire import Frame, describe
from tropism.bridges.protocol.header import HEADER_SIZE, Flag, Type, pack_header, parse_header

ACTION_SLOTS, OBSERVATION_SLOTS = 2, 3
SLOT_HEAD, INFO, SLOTS = 64, 4096, 0x1000
REQUEST, AGENT_WAITS, RESPONSE, GAME_WAITS = 0x080, 0x0C0, 0x100, 0x140
NEWEST, ACCEPTED = 0x180, 0x1C0
_FENCE = threading.Lock()


class Memory:
    """One file, mapped.

    Args:
        play: the session it is for.
    """

    def __init__(self, play: Play) -> None:
        self.play, self.nonce = play, secrets.randbits(64)
        self.action_slot = _rounded(SLOT_HEAD + play.actions.size)
        self.observation_slot = _rounded(SLOT_HEAD + play.observations.size + INFO)
        slots = ACTION_SLOTS * self.action_slot + OBSERVATION_SLOTS * self.observation_slot
        self.size, self.path = SLOTS + slots, _place() / f"tropism_check_{secrets.token_hex(16)}"
        self.map = self._create()
        self._write_head()

    def offer(self, **changes: Any) -> dict[str, Any]:
        """Offer it, and unlink it when the game has answered; its answer."""
        body = {"path": str(self.path), "size": self.size, "nonce": str(self.nonce), **changes}
        self.play.wire.send(Type.SHM_OFFER, body)
        try:
            return self.play.wire.expect(Type.SHM_ACK).json()
        finally:
            self.unlink()

    def reset(self, seed: int | None = 0) -> Answer:
        """RESET on the connection, and its answer from the memory or, where it was put there, from the connection."""
        play = self.play
        play.ask_reset(seed)
        deadline = time.monotonic() + play.wire.patience
        while self.get("<I", RESPONSE) != play.seq and time.monotonic() < deadline:
            frame = play.wire.next(0.01)
            if isinstance(frame, Frame):
                expect(frame.header.type == Type.OBS, "OBS", describe(frame))
                return play.read(frame)
        return self.read_answer()

    def step(self) -> Answer:
        """STEP and its answer, both through the memory."""
        self.write_step()
        return self.read_answer()

    def write_step(self, bell: bool = True) -> None:
        """Put a STEP into its slot, show it, and ring if the game waits for that."""
        play = self.play
        play.seq += 1
        body = play.encode()
        start = SLOTS + play.seq % ACTION_SLOTS * self.action_slot
        header = pack_header(Type.STEP, len(body), play.seq, play.episode, Flag.SHM)
        self.put("<Q", start, play.seq)
        self.map[start + 16 : start + 16 + HEADER_SIZE] = header
        self.map[start + SLOT_HEAD : start + SLOT_HEAD + len(body)] = body
        self.put("<Q", start + 8, play.seq)
        self.put("<I", REQUEST, play.seq)
        with _FENCE:
            pass
        if bell and self.get("<I", GAME_WAITS):
            play.wire.send(Type.BELL)

    def read_answer(self) -> Answer:
        """The OBS that answers the last STEP, from the newest slot."""
        self._await(RESPONSE, self.play.seq)
        newest = self.get("<Q", NEWEST)
        start = SLOTS + ACTION_SLOTS * self.action_slot
        start += newest % OBSERVATION_SLOTS * self.observation_slot
        numbers = (self.get("<Q", start), self.get("<Q", start + 8))
        expect(numbers == (newest, newest), f"begin and end {newest} in the slot", numbers)
        header = parse_header(self.map[start + 16 : start + 16 + HEADER_SIZE])
        said = (header.type, header.seq, header.episode, header.flags & Flag.SHM)
        wanted = (Type.OBS, self.play.seq, self.play.episode, Flag.SHM)
        expect(said == wanted, f"type, seq, episode, flag 8: {tuple(map(int, wanted))}", said)
        expect(
            header.length <= self.observation_slot - SLOT_HEAD, "a length within the slot", header
        )
        body = bytes(self.map[start + SLOT_HEAD : start + SLOT_HEAD + header.length])
        return self.play.read(Frame(header, body, body))

    def _await(self, offset: int, number: int) -> None:
        deadline = time.monotonic() + self.play.wire.patience
        while self.get("<I", offset) != number:
            if time.monotonic() > deadline:
                raise Fail(f"response {number} in shared memory", f"{self.get('<I', offset)}")
            time.sleep(0.0005)

    # --- bytes -----------------------------------------------------------------------------------

    def put(self, form: str, offset: int, value: Any) -> None:
        """Write a number or text."""
        struct.pack_into(form, self.map, offset, value)

    def get(self, form: str, offset: int) -> Any:
        """Read a number."""
        return struct.unpack_from(form, self.map, offset)[0]

    def unlink(self) -> None:
        """Remove its name."""
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()

    def _create(self) -> mmap.mmap:
        try:
            file = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        except OSError as error:
            raise Skip(f"no shared memory here: {error}") from error
        try:
            os.posix_fallocate(file, 0, self.size)
            return mmap.mmap(file, self.size)
        except OSError as error:
            self.unlink()
            raise Skip(f"no shared memory here: {error}") from error
        finally:
            os.close(file)

    def _write_head(self) -> None:
        self.map[:4] = b"GBRS"
        self.put("<I", 0x004, 1)
        self.put("<Q", 0x008, self.size)
        self.put("<Q", 0x010, self.nonce)
        self.map[0x018:0x028] = self.play.spec.hash
        for offset, value in (
            (0x028, ACTION_SLOTS),
            (0x02C, self.action_slot),
            (0x030, OBSERVATION_SLOTS),
            (0x034, self.observation_slot),
        ):
            self.put("<I", offset, value)


def _rounded(size: int) -> int:
    return (size + 63) // 64 * 64


def _place() -> Path:
    """Where files in memory are, if there is such a place."""
    chosen = os.environ.get("TROPISM_BRIDGE_SHM_DIR")
    if chosen:
        return Path(chosen)
    memory = Path("/dev/shm")
    return memory if os.access(memory, os.W_OK) else Path(tempfile.gettempdir())
