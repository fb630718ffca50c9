"""Section 8: how an episode ends, and what comes after."""

from __future__ import annotations

from tropism.bridges.compliance.kit import Kit
from tropism.bridges.compliance.play import Answer, Play
from tropism.bridges.compliance.registry import Fail, Skip, check, expect
from tropism.bridges.compliance.wire import Frame, describe
from tropism.bridges.protocol.header import Type

TERMINATED, TRUNCATED, RESETTING = 3, 4, 5


@check("8")
def end_alive(kit: Kit) -> None:
    """In the step in which an agent is terminated or truncated it still has an observation and is alive."""
    for agent in _ended(kit)[1].seen.agents:
        if agent.terminated or agent.truncated:
            expect(bool(agent.alive), "alive 1 in the step of the end", "alive 0")


@check("6")
def end_status(kit: Kit) -> None:
    """When the episode has ended the status says so: 3 if an agent was terminated in that step, else 4."""
    seen = _ended(kit)[1].seen
    wanted = TERMINATED if any(agent.terminated for agent in seen.agents) else TRUNCATED
    expect(seen.status in (wanted, RESETTING), f"status {wanted}", int(seen.status))


@check("8")
def end_dead_afterwards(kit: Kit) -> None:
    """A STEP after the end is answered too, and by then nobody is alive; or it is refused by ERROR."""
    play, _ = _ended(kit)
    play.ask_step([None] * len(play.spec.agents))
    frame = play.wire.next()
    if not isinstance(frame, Frame) or frame.type not in (Type.OBS, Type.ERROR):
        raise Fail("OBS or ERROR", describe(frame))
    if frame.type == Type.ERROR:
        return
    alive = [agent.alive for agent in play.read(frame).seen.agents]
    expect(not any(alive), "alive 0 after the end", alive)


@check("6")
def end_then_reset(kit: Kit) -> None:
    """After the end of an episode RESET begins another, in which somebody is alive."""
    play, _ = _ended(kit)
    answer = play.reset()
    expect(answer.seen.step == 0, "step 0", answer.seen.step)
    expect(any(agent.alive for agent in answer.seen.agents), "an agent that is alive", "none")
    play.step()


@check("8")
def end_stays(kit: Kit) -> None:
    """An agent that has ended is not alive in later steps of the episode."""
    play = kit.open()
    if len(play.spec.agents) < 2:
        raise Skip("the game has one agent")
    gone: set[int] = set()
    answer = play.reset()
    for _ in range(200):
        for index, agent in enumerate(answer.seen.agents):
            name = play.spec.agents[index].id
            expect(not (index in gone and agent.alive), f"{name} alive 0 after its end", "alive 1")
            if agent.terminated or agent.truncated:
                gone.add(index)
        if answer.over:
            return
        answer = play.step()


def _ended(kit: Kit) -> tuple[Play, Answer]:
    play = kit.open()
    return play, play.to_the_end()
