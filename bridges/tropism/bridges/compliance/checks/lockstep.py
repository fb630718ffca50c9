"""Section 6, lock-step: one answer for each request, and nothing happens in between."""

from __future__ import annotations

import time
from collections.abc import Iterator

from tropism.bridges.compliance.kit import Kit
from tropism.bridges.compliance.play import Answer, Play
from tropism.bridges.compliance.registry import Fail, check, expect
from tropism.bridges.protocol.header import Type

STEPS = 20
PAUSE = 0.3


@check("6")
def reset_answered(kit: Kit) -> None:
    """RESET is answered by one OBS with its seq and episode."""
    play = kit.open()
    play.reset()
    play.wire.expect_silence()


@check("6")
def step_answered(kit: Kit) -> None:
    """STEP is answered by one OBS with its seq and episode."""
    play = kit.begin()
    for _ in range(STEPS):
        if play.step().over:
            play.reset()
    play.wire.expect_silence()


@check("8")
def reset_step_zero(kit: Kit) -> None:
    """The answer to RESET has step 0, and no reward or flag but alive."""
    answer = kit.open().reset()
    expect(answer.seen.step == 0, "step 0", answer.seen.step)
    for agent in answer.seen.agents:
        zero = not (agent.reward or agent.terminated or agent.truncated)
        expect(zero, "reward 0.0, not terminated, not truncated", agent[:3])


@check("8")
def reset_alive(kit: Kit) -> None:
    """After RESET somebody is alive."""
    agents = kit.open().reset().seen.agents
    expect(any(agent.alive for agent in agents), "an agent that is alive", "none")


@check("8")
def step_counts(kit: Kit) -> None:
    """`step` counts the steps since the reset."""
    play = kit.open()
    for number, answer in enumerate(play.trajectory(0, STEPS)):
        expect(answer.seen.step == number, f"step {number}", answer.seen.step)


@check("8")
def step_applied(kit: Kit) -> None:
    """`applied` is the seq of the newest request that an OBS shows the effect of."""
    for answer in kit.open().trajectory(0, STEPS):
        seq = answer.frame.header.seq
        expect(answer.seen.applied == seq, f"applied {seq}", answer.seen.applied)


@check("6")
def step_nothing_in_between(kit: Kit) -> None:
    """The game does not advance its simulation between requests: pauses change nothing."""
    first = kit.open()
    first.need_seeds()
    swift = _worlds(first, first.trajectory(5, STEPS))
    second = kit.open()
    second.need_seeds()
    slow = []
    second.seed_actions(5)
    answer = second.reset(5)
    for number in range(len(swift)):
        slow.append(second.world(answer))
        if number in (0, 2):
            time.sleep(PAUSE)
        if number + 1 < len(swift):
            answer = second.step()
    _same(swift, slow, "the same bytes with pauses between the steps")


@check("6")
def seed_repeats(kit: Kit) -> None:
    """The same seed and the same actions give the same bytes, in another session too."""
    runs = []
    for _ in range(2):
        play = kit.open()
        play.need_seeds()
        runs += [_worlds(play, play.trajectory(3, STEPS)) for _ in range(2)]
    for run in runs[1:]:
        _same(runs[0], run, "the same bytes from the same seed and actions")


@check("6")
def seed_ignored(kit: Kit) -> None:
    """A game that did not obey the seed says so: "seed_ignored" is true in the info; one with `seed` obeys."""
    play = kit.open()
    said = play.reset(1).seen.info.get("seed_ignored")
    expect(said in (None, True, False), "seed_ignored true or missing", repr(said))
    if "seed" in play.caps:
        expect(not said, "a seed obeyed, as the capability 'seed' says", "seed_ignored")
    elif not said:
        a, b = (_worlds(play, play.trajectory(2, STEPS)) for _ in range(2))
        _same(a, b, "the same bytes, or seed_ignored, from the same seed")


@check("3")
def seed_largest(kit: Kit) -> None:
    """Seeds go up to 2^53 - 1."""
    kit.open().reset(2**53 - 1)


@check("3")
def seed_null(kit: Kit) -> None:
    """A seed may be null: go on as the game likes."""
    play = kit.open()
    play.reset(None)
    play.step()


@check("3")
def seed_negative(kit: Kit) -> None:
    """A RESET whose body breaks the page is a protocol error."""
    for body in (b'{"seed": -1}', b'{"seed": 1.5}', b"seed"):
        play = kit.begin()
        play.wire.send(Type.RESET, body, seq=2, episode=2)
        play.wire.expect_refusal("protocol")
    kit.still_plays()


@check("6")
def reset_in_the_middle(kit: Kit) -> None:
    """A game answers a RESET whatever it was doing: in the middle of an episode."""
    play = kit.begin()
    for _ in range(3):
        play.step()
    answer = play.reset()
    expect(answer.seen.step == 0, "step 0", answer.seen.step)


@check("6")
def reset_twice(kit: Kit) -> None:
    """A RESET right after a RESET is answered like the first."""
    play = kit.begin()
    for _ in range(3):
        play.reset()
    play.step()


@check("6")
def reset_during_a_step(kit: Kit) -> None:
    """A RESET that comes while a step is under way is answered; the answer to the step may come before."""
    play = kit.begin()
    play.ask_step()
    play.ask_reset()
    frame = play.wire.expect(Type.OBS)
    if frame.header.seq == play.seq - 1:
        frame = play.wire.expect(Type.OBS)
    numbers = (frame.header.seq, frame.header.episode)
    expect(numbers == (play.seq, play.episode), f"OBS of {(play.seq, play.episode)}", numbers)
    play.step()


def _worlds(play: Play, answers: list[Answer]) -> list[bytes]:
    return [play.world(answer) for answer in answers]


def _same(a: list[bytes], b: list[bytes], expected: str) -> None:
    """Fail at the first answer that differs."""
    pairs: Iterator[tuple[bytes, bytes]] = zip(a, b, strict=False)
    for number, (one, other) in enumerate(pairs):
        if one != other:
            at = next((i for i, (x, y) in enumerate(zip(one, other, strict=False)) if x != y), 0)
            raise Fail(expected, f"other ones in the answer to request {number}, from byte {at} on")
    expect(len(a) == len(b), expected, f"{len(a)} answers, then {len(b)}")
