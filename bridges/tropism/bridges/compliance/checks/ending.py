"""Section 10: CLOSE, agents that are gone, and the sessions after."""

from __future__ import annotations

from tropism.bridges.compliance.kit import Kit
from tropism.bridges.compliance.registry import check, expect
from tropism.bridges.compliance.wire import End, Frame, describe
from tropism.bridges.protocol.header import Type

GRACE = 2.0
"""Seconds for a game to obey CLOSE."""


@check("10")
def close_obeyed(kit: Kit) -> None:
    """After CLOSE the game closes the connection too, within two seconds."""
    play = kit.begin()
    play.wire.send(Type.CLOSE, {"reason": "done"})
    frame = play.wire.next(GRACE)
    if isinstance(frame, Frame) and frame.type == Type.CLOSE:
        frame = play.wire.next(GRACE)
    expect(frame is End.CLOSED, "the end of the connection", describe(frame))


@check("10")
def close_then_again(kit: Kit) -> None:
    """After CLOSE a new session begins with HELLO, by the same process or by the next."""
    play = kit.begin()
    play.wire.send(Type.CLOSE, {"reason": "done"})
    kit.still_plays()


@check("10")
def error_obeyed(kit: Kit) -> None:
    """After an ERROR of the agent the game closes the connection; another session can be opened."""
    play = kit.begin()
    play.wire.send(Type.ERROR, {"code": "internal", "text": "the agent gives up"})
    frame = play.wire.next(GRACE)
    expect(frame is End.CLOSED, "the end of the connection", describe(frame))
    kit.still_plays()


@check("10")
def agent_lost_between_steps(kit: Kit) -> None:
    """A game whose agent is gone waits for the next one or exits: a new session is played from RESET."""
    play = kit.begin()
    play.step()
    kit.hang_up()
    answer = kit.open().reset()
    numbers = (answer.seen.step, answer.frame.header.episode)
    expect(numbers == (0, 1), "(step, episode) (0, 1)", numbers)


@check("10")
def agent_lost_during_a_step(kit: Kit) -> None:
    """An agent that goes while a step is under way takes nothing with it."""
    play = kit.begin()
    play.ask_step()
    kit.hang_up()
    kit.still_plays()


@check("10")
def agent_lost_by_reset_of_the_connection(kit: Kit) -> None:
    """A connection that is reset, as after a crash of the agent, ends the session and not the game."""
    play = kit.begin()
    play.ask_step()
    play.wire.abort()
    kit.still_plays()


@check("4")
def agent_lost_during_the_opening(kit: Kit) -> None:
    """An agent that goes in the middle of the opening takes nothing with it."""
    kit.greet_and_prove(kit.connect())
    kit.hang_up()
    kit.still_plays()


@check("6")
def session_many_resets(kit: Kit) -> None:
    """A session bears fifty episodes."""
    play = kit.open()
    for number in range(50):
        episode = play.reset(number).frame.header.episode
        expect(episode == number + 1, f"episode {number + 1}", episode)
        play.step()
