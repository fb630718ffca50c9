"""Section 7 and the lengths of section 8: spaces, layouts, and what an OBS consists of."""

from __future__ import annotations

from tropism.bridges.compliance.kit import Kit
from tropism.bridges.compliance.play import Answer, Play
from tropism.bridges.compliance.registry import Fail, check, expect
from tropism.bridges.compliance.wire import Frame
from tropism.bridges.errors import BridgeError
from tropism.bridges.protocol.header import Type


@check("7")
def spec_spaces(kit: Kit) -> None:
    """SPEC is JSON with a name and agents, each with an id and two spaces of the page's table."""
    play = kit.open()
    expect(bool(play.spec.agents), "at least one agent", "none")
    expect(isinstance(play.spec_frame.json().get("name"), str), "a name", "none")


@check("7")
def spec_unique_ids(kit: Kit) -> None:
    """The ids of the agents are unique."""
    agents = kit.open().spec_frame.json().get("agents", [])
    ids = [agent.get("id") for agent in agents]
    expect(len(set(map(str, ids))) == len(ids), "unique ids", ids)


@check("8")
def obs_length(kit: Kit) -> None:
    """The body of OBS is as long as head, agents, layouts and info together."""
    for play, frame in _frames(kit):
        size = play.observations.size
        got = len(frame.body)
        expect(got >= size, f"at least {size} bytes", f"{got} bytes")
        info = int.from_bytes(frame.body[size - 8 : size - 4], "little")
        expect(got == size + info, f"{size} bytes and {info} of info", f"{got} bytes")


@check("7")
def obs_padding(kit: Kit) -> None:
    """All room that is not used is zero: between leaves, after texts and sequences, in the head."""
    for play, answer in _answers(kit):
        sent = answer.frame.body[: play.observations.size]
        again = _encode(play, answer)[: len(sent)]
        wrong = [at for at, (a, b) in enumerate(zip(sent, again, strict=True)) if a != b]
        got = f"{sent[wrong[0]]:#04x} at byte {wrong[0]} of the body" if wrong else ""
        expect(not wrong, "zeros in room that is not used", got)


@check("7")
def obs_in_space(kit: Kit) -> None:
    """Every observation lies in the space that SPEC declares."""
    for play, answer in _answers(kit):
        for agent, outcome in zip(play.spec.agents, answer.seen.agents, strict=True):
            if outcome.alive:
                inside = agent.observation_space.contains(outcome.observation)
                got = f"{outcome.observation!r}"[:200]
                expect(inside, f"{agent.id}: an element of {agent.observation_space}", got)


@check("8")
def obs_flags(kit: Kit) -> None:
    """Flags are 0 or 1, padding after them is 0."""
    for play, frame in _frames(kit):
        for index, agent in enumerate(play.spec.agents):
            flags = frame.body[32 + 16 * index + 8 : 32 + 16 * index + 16]
            good = max(flags[:3]) <= 1 and not any(flags[3:])
            expect(good, f"{agent.id}: flags of 0 or 1, then zeros", flags.hex(" "))


@check("6")
def obs_status(kit: Kit) -> None:
    """The status in OBS is a number from 0 to 6."""
    for _, frame in _frames(kit):
        status = int.from_bytes(frame.body[24:28], "little")
        expect(status <= 6, "a status from 0 to 6", status)


@check("8")
def obs_agents(kit: Kit) -> None:
    """OBS says how many agents SPEC has."""
    for play, frame in _frames(kit):
        count = int.from_bytes(frame.body[28:32], "little")
        expect(count == len(play.spec.agents), f"{len(play.spec.agents)} agents", count)


@check("8")
def obs_info(kit: Kit) -> None:
    """The info is nothing or a JSON object; with several agents it has an object for each id."""
    for play, answer in _answers(kit):
        ids = {agent.id for agent in play.spec.agents}
        info = answer.seen.info
        expect(isinstance(info, dict), "a JSON object", type(info).__name__)
        if len(ids) > 1:
            good = set(info) <= ids and all(isinstance(value, dict) for value in info.values())
            expect(good, f"objects for ids of {sorted(ids)}", f"{info}"[:200])


def _frames(kit: Kit) -> list[tuple[Play, Frame]]:
    """The OBS after a RESET and after each of five steps, not read yet."""
    play = kit.open()
    play.ask_reset()
    frames = [play.wire.expect(Type.OBS, 2 * kit.patience)]
    for _ in range(5):
        head = frames[-1].body[32:]
        play.alive = [head[16 * i + 8 : 16 * i + 11] == b"\0\0\1" for i in range(len(play.alive))]
        if not any(play.alive):
            break
        play.ask_step()
        frames.append(play.wire.expect(Type.OBS))
    return [(play, frame) for frame in frames]


def _answers(kit: Kit) -> list[tuple[Play, Answer]]:
    """The same, read."""
    return [(play, play.read(frame)) for play, frame in _frames(kit)]


def _encode(play: Play, answer: Answer) -> bytes:
    """What the right encoder makes of what was decoded."""
    seen, encode = answer.seen, play.observations.encode
    try:
        return bytes(encode(seen.agents, *seen[:4], seen.info))
    except (BridgeError, ValueError) as error:
        raise Fail("an observation that can be encoded again", str(error)) from error
