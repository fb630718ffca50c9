"""Section 6, latest frame: a game that does not wait."""

from __future__ import annotations

import time

from tropism.bridges.compliance.kit import Kit
from tropism.bridges.compliance.play import Answer, Play
from tropism.bridges.compliance.registry import Fail, check, expect
from tropism.bridges.protocol.header import Type

FRAMES = 5


@check("6")
def latest_frames(kit: Kit) -> None:
    """After RESET frames come by themselves, numbered 1, 2, 3, ..., of the episode of the RESET."""
    play = _live(kit)
    for number in range(1, FRAMES + 1):
        header = _frame(play).frame.header
        expect(header.seq == number, f"frame {number}", f"frame {header.seq}")
        expect(header.episode == 1, "episode 1", header.episode)


@check("6")
def latest_silent_before_reset(kit: Kit) -> None:
    """No frame comes before the first RESET."""
    kit.open_with("latest", mode="latest").wire.expect_silence()


@check("6")
def latest_applied(kit: Kit) -> None:
    """Each frame tells the seq of the newest ACTION that it shows the effect of; ACTION is not answered."""
    play = _live(kit)
    play.seq = 2
    play.wire.send(Type.ACTION, play.encode(), seq=2, episode=1)
    deadline = time.monotonic() + kit.patience
    while time.monotonic() < deadline:
        answer = _frame(play)
        expect(answer.seen.applied <= 2, "applied of at most 2", answer.seen.applied)
        if answer.seen.applied == 2 or answer.over:
            return
    raise Fail(f"a frame with applied 2 within {kit.patience:.0f} s", "none")


@check("6")
def latest_new_episode(kit: Kit) -> None:
    """A RESET begins an episode while frames flow; numbers of frames go on."""
    play = _live(kit)
    last = _frame(play).frame.header.seq
    play.ask_reset()
    deadline = time.monotonic() + kit.patience
    while time.monotonic() < deadline:
        header = _frame(play).frame.header
        expect(header.seq == last + 1, f"frame {last + 1}", f"frame {header.seq}")
        last = header.seq
        if header.episode == play.episode:
            return
        expect(header.episode == 1, "frames of the old or the new episode", header.episode)
    raise Fail("frames of the new episode", "none")


@check("6")
def latest_steps(kit: Kit) -> None:
    """`step` begins with 0 after RESET and never goes back."""
    play = _live(kit)
    steps = [_frame(play).seen.step for _ in range(FRAMES)]
    expect(steps[0] == 0, "step 0 first", steps[0])
    expect(steps == sorted(steps), "steps that do not go back", steps)


def _live(kit: Kit) -> Play:
    play = kit.open_with("latest", mode="latest")
    play.ask_reset()
    return play


def _frame(play: Play) -> Answer:
    return play.read(play.wire.expect(Type.OBS))
