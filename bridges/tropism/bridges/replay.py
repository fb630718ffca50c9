"""A recorded session stands in for the game: it answers the same requests in the same way.

python -m tropism.bridges.replay session.gbr --listen tcp://127.0.0.1:5005
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from tropism.bridges.errors import BridgeError, RecordingError
from tropism.bridges.link import Link
from tropism.bridges.protocol.header import Type, name_of
from tropism.bridges.protocol.messages import Message, read_json, write_json
from tropism.bridges.record import Direction
from tropism.bridges.recording import Recording
from tropism.errors import TropismError

log = logging.getLogger(__name__)
ASKING = (Type.RESET, Type.STEP, Type.CALL)


class Replay:
    """Plays the game of a recording in lock-step; for every agent from the beginning. A context manager.

    Args:
        path: of the recording.
        strict: refuse an agent whose actions, seeds or arguments are not the recorded ones; otherwise it gets the
            recorded answers whatever they are.
        on_agent_lost: "exit", "wait" or None, as for `Game`.
        **options: of `Game`: `address`, `listen`, `token`.

    Attributes:
        spec: the specification of the game.
        address: dialled or listened at.

    Raises:
        RecordingError: the file is no recording, or was altered.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        strict: bool = True,
        on_agent_lost: str | None = None,
        **options: Any,
    ) -> None:
        self._recording, self._strict = Recording(path), strict
        self.spec = self._recording.spec
        wait = None if on_agent_lost is None else on_agent_lost == "wait"
        caps = frozenset({"call", "crc", "render", "seed", "shm", "zlib"})
        self._link = Link(self.spec, caps, wait=wait, **options)
        self.address = self._link.address

    def run(self) -> None:
        """Answer requests until the agent is gone and no other is waited for.

        Raises:
            RecordingError: the agent asked for something else than was recorded, or for more, and no other agent is
                waited for.
        """
        while not self._link.over:
            if self._link.connect():
                self._play(exchanges(self._recording))

    def close(self) -> None:
        """Say goodbye to the agent; a second call does nothing."""
        self._link.close("the recording is over")

    def __enter__(self) -> Replay:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _play(self, script: Iterator[tuple[Message, list[Message]]]) -> None:
        number = 0
        while self._link.open:
            asked = self._link.receive()
            if asked is None or asked.type not in ASKING:
                continue
            number += 1
            try:
                self._answer(asked, self._expected(asked, script, number))
            except BridgeError as error:  # also a request that is no JSON
                self._link.refuse(error)
                if self._link.over:
                    raise

    def _expected(self, asked: Message, script: Iterator, number: int) -> list[Message]:
        recorded, answers = next(script, (None, []))
        if recorded is None:
            raise RecordingError(f"the recording is over after {number - 1} requests")
        same_type = asked.type == recorded.type
        if not same_type or (self._strict and not _same(asked, recorded)):
            what = "another one" if same_type else name_of(recorded.type)
            text = f"request {number} is {name_of(asked.type)}, but {what} was recorded"
            raise RecordingError(text)
        return answers

    def _answer(self, asked: Message, answers: list[Message]) -> None:
        for answer in answers:
            body, seq, episode = answer.body, 0, 0
            if answer.type == Type.OBS:  # `applied` is the number of the request
                seq, episode = asked.seq, asked.episode
                body = b"".join((body[:8], seq.to_bytes(8, "little"), body[16:]))
            elif answer.type == Type.REPLY:
                number = read_json(asked.body, asked.type).get("id")
                body = write_json({**read_json(body, answer.type), "id": number})
            self._link.send(answer.type, body, seq, episode)


def exchanges(recording: Recording) -> Iterator[tuple[Message, list[Message]]]:
    """Each request of a recording with what the game sent after it."""
    asked: Message | None = None
    answers: list[Message] = []
    for direction, _, message in recording:
        if direction == Direction.TO_GAME and message.type in ASKING:
            if asked is not None:
                yield asked, answers
            asked, answers = message, []
        elif direction == Direction.TO_AGENT and message.type in (Type.OBS, Type.EVENT, Type.REPLY):
            answers.append(message)
    if asked is not None:
        yield asked, answers


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tropism.bridges.replay", description=__doc__)
    parser.add_argument("file", help="a recording (.gbr)")
    parser.add_argument("--listen", metavar="ADDRESS", help="wait there instead of dialling")
    parser.add_argument("--loose", action="store_true", help="answer whatever the agent does")
    options = parser.parse_args(arguments)
    token = os.environ.get("TROPISM_BRIDGE_TOKEN") or None
    try:
        with Replay(
            options.file, strict=not options.loose, listen=options.listen, token=token
        ) as replay:
            if options.listen:
                print(f"listening at {replay.address}", flush=True)  # noqa: T201 - a command
            replay.run()
    except KeyboardInterrupt:
        return 130
    except TropismError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _same(asked: Message, recorded: Message) -> bool:
    if asked.type == Type.STEP:
        return bytes(asked.body) == bytes(recorded.body)
    one, other = (read_json(message.body, message.type) for message in (asked, recorded))
    return {**one, "id": None} == {**other, "id": None}  # calls may be numbered differently


if __name__ == "__main__":
    sys.exit(main())
