"""Section 9: shared memory offered rightly and wrongly, steps through it and beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tropism.bridges.compliance.kit import Kit
from tropism.bridges.compliance.memory import ACCEPTED, AGENT_WAITS, Memory
from tropism.bridges.compliance.opening import ready
from tropism.bridges.compliance.play import Play
from tropism.bridges.compliance.registry import Skip, check, expect
from tropism.bridges.compliance.wire import Frame, describe
from tropism.bridges.protocol.header import Type

STEPS = 10


@check("9")
def shm_accepted(kit: Kit) -> None:
    """A right SHM_OFFER is taken: the nonce + 1 in `accepted`, then SHM_ACK {"ok": true}."""
    _, memory = _open(kit)
    answer = memory.offer()
    if answer.get("ok") is False and isinstance(answer.get("reason"), str):
        raise Skip(f"the game refuses shared memory: {answer['reason']}")
    expect(answer.get("ok") is True, 'SHM_ACK {"ok": true}', answer)
    wanted = (memory.nonce + 1) % 2**64
    expect(memory.get("<Q", ACCEPTED) == wanted, f"accepted {wanted}", memory.get("<Q", ACCEPTED))


@check("9")
def shm_steps(kit: Kit) -> None:
    """A STEP in its slot is answered by an OBS in the next slot, with all numbers right."""
    _, memory = _shared(kit)
    memory.reset()
    first = memory.get("<Q", 0x180)
    for number in range(1, STEPS + 1):
        answer = memory.step()
        expect(answer.seen.step == number, f"step {number}", answer.seen.step)
        newest = memory.get("<Q", 0x180)
        expect(newest == first + number, f"newest {first + number}", newest)
        if answer.over:
            return


@check("9")
def shm_same_bytes(kit: Kit) -> None:
    """The same seed and actions give the same bytes through shared memory as on the connection."""
    play = kit.open()
    play.need_seeds()
    plain = [play.world(answer) for answer in play.trajectory(4, STEPS)]
    play, memory = _shared(kit)
    play.seed_actions(4)
    shared = [play.world(memory.reset(4))]
    shared += [play.world(memory.step()) for _ in plain[1:]]
    same = next((i for i, (a, b) in enumerate(zip(plain, shared, strict=True)) if a != b), None)
    expect(same is None, "the same bytes", f"other ones in the answer to request {same}")


@check("9")
def shm_requests_on_the_connection(kit: Kit) -> None:
    """Requests are taken in order of seq from wherever they come."""
    play, memory = _shared(kit)
    memory.reset()
    memory.step()
    play.ask_step()
    frame = play.wire.next(0.3)
    if isinstance(frame, Frame):
        expect(frame.header.seq == play.seq, f"OBS {play.seq}", describe(frame))
        answer = play.read(frame)
    else:
        answer = memory.read_answer()
    expect(answer.seen.step == 2, "step 2", answer.seen.step)
    expect(memory.step().seen.step == 3, "step 3", "another")


@check("9")
def shm_bell(kit: Kit) -> None:
    """A game that writes while `agent_waits` is not 0 sends BELL."""
    play, memory = _shared(kit)
    memory.reset()
    memory.put("<I", AGENT_WAITS, 1)
    memory.write_step()
    play.wire.expect(Type.BELL)
    memory.read_answer()


@check("9")
def shm_without_bell(kit: Kit) -> None:
    """A game that waits looks again after at most 50 ms, so that a lost BELL costs no more."""
    _, memory = _shared(kit)
    memory.reset()
    memory.write_step(bell=False)
    memory.read_answer()


@check("9")
def shm_wrong_nonce(kit: Kit) -> None:
    """A file with another nonce than the offer's is refused, and the session goes on without."""
    _refused(kit, lambda memory: memory.put("<Q", 0x010, memory.nonce ^ 1))


@check("9")
def shm_wrong_magic(kit: Kit) -> None:
    """A file that does not begin with GBRS is refused, and the session goes on without."""
    _refused(kit, lambda memory: memory.put("4s", 0, b"XXXX"))


@check("9")
def shm_wrong_layout(kit: Kit) -> None:
    """A layout other than 1 is refused, and the session goes on without."""
    _refused(kit, lambda memory: memory.put("<I", 0x004, 2))


@check("9")
def shm_wrong_size(kit: Kit) -> None:
    """A file of another size than the offer's is refused, and the session goes on without."""
    _refused(kit, lambda _: None, size=1 << 30)


@check("9")
def shm_no_file(kit: Kit) -> None:
    """A file that is not there is refused, and the session goes on without."""
    _refused(kit, lambda _: None, path="/nonexistent/tropism")


def _open(kit: Kit) -> tuple[Play, Memory]:
    """A session in which shared memory may be offered."""
    play = kit.open_with("shm", ready=False)
    return play, Memory(play)


def _shared(kit: Kit) -> tuple[Play, Memory]:
    """A session with shared memory."""
    play, memory = _open(kit)
    answer = memory.offer()
    if answer.get("ok") is not True:
        raise Skip(f"the game refuses shared memory: {answer.get('reason')}")
    ready(play.wire, play.spec_frame)
    return play, memory


def _refused(kit: Kit, spoil: Callable[[Memory], Any], **changes: Any) -> None:
    """The game must refuse a file spoilt like this, and play on without."""
    play, memory = _open(kit)
    spoil(memory)
    answer = memory.offer(**changes)
    expect(answer.get("ok") is False, 'SHM_ACK {"ok": false}', answer)
    expect(isinstance(answer.get("reason"), str), "a reason as text", answer)
    ready(play.wire, play.spec_frame)
    play.reset()
    play.step()
