"""A session in lock-step, played by hand: the kit's side of sections 6 to 8 of docs/bridge-protocol.md."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from tropism.bridges.compliance.opening import Greeting
from tropism.bridges.compliance.registry import Fail, Skip, expect
from tropism.bridges.compliance.wire import Frame, Wire
from tropism.bridges.errors import BridgeError
from tropism.bridges.protocol.bodies import ActionCodec, ObsCodec, Observation
from tropism.bridges.protocol.header import Type
from tropism.bridges.protocol.spec import Spec

MOST_STEPS = 3000
"""Steps played in search of the end of an episode."""


class Answer(NamedTuple):
    """An OBS: the message, and what it says."""

    frame: Frame
    seen: Observation

    @property
    def over(self) -> bool:
        """Whether no agent plays on."""
        return all(a.terminated or a.truncated or not a.alive for a in self.seen.agents)


class Play:
    """A session opened as it should be.

    Attributes:
        wire: its connection.
        greeting: HELLO of both.
        caps: those granted.
        spec: what the game said of its spaces.
        seq: of the last request.
        episode: of the last RESET.
    """

    def __init__(
        self, wire: Wire, greeting: Greeting, caps: Sequence[str], spec: Spec, frame: Frame
    ) -> None:
        self.wire, self.greeting, self.caps = wire, greeting, list(caps)
        self.spec, self.spec_frame = spec, frame
        self.observations, self.actions = ObsCodec(spec), ActionCodec(spec)
        self.seq = self.episode = 0
        self.alive = [True] * len(spec.agents)
        self.seed_actions(0)

    # --- requests --------------------------------------------------------------------------------

    def ask_reset(self, seed: int | None = 0, options: dict | None = None, **header: Any) -> None:
        """Send RESET and do not wait for the answer."""
        self.seq, self.episode = self.seq + 1, self.episode + 1
        body = {"seed": seed, "options": options}
        self.wire.send(Type.RESET, body, seq=self.seq, episode=self.episode, **header)
        self.alive = [True] * len(self.spec.agents)

    def ask_step(self, actions: list | None = None, **header: Any) -> None:
        """Send STEP and do not wait for the answer."""
        self.seq += 1
        self.wire.send(
            Type.STEP, self.encode(actions), seq=self.seq, episode=self.episode, **header
        )

    def encode(self, actions: list | None = None) -> bytes:
        """The body of STEP; None: actions drawn from the spaces, for those who are alive."""
        return bytes(self.actions.encode(self.sample() if actions is None else actions))

    def sample(self) -> list:
        """An action for each agent that is alive, drawn from its space."""
        drawn = [agent.action_space.sample() for agent in self.spec.agents]
        return [action if alive else None for action, alive in zip(drawn, self.alive, strict=True)]

    def seed_actions(self, seed: int) -> None:
        """Let the actions drawn from here on depend on `seed` alone."""
        for agent in self.spec.agents:
            agent.action_space.seed(seed)

    # --- answers ---------------------------------------------------------------------------------

    def answer(self, timeout: float | None = None) -> Answer:
        """The OBS that answers the last request."""
        frame = self.wire.expect(Type.OBS, timeout)
        numbers = (frame.header.seq, frame.header.episode)
        wanted = (self.seq, self.episode)
        expect(numbers == wanted, f"OBS of (seq, episode) {wanted}", f"OBS of {numbers}")
        return self.read(frame)

    def read(self, frame: Frame) -> Answer:
        """An OBS as it stands."""
        try:
            seen = self.observations.decode(frame.body)
        except (BridgeError, ValueError) as error:
            raise Fail("a body of OBS as in section 8", str(error)) from error
        self.alive = [a.alive and not (a.terminated or a.truncated) for a in seen.agents]
        return Answer(frame, seen)

    def reset(self, seed: int | None = 0, options: dict | None = None) -> Answer:
        """RESET and its answer."""
        self.ask_reset(seed, options)
        return self.answer(2 * self.wire.patience)

    def step(self, actions: list | None = None) -> Answer:
        """STEP and its answer."""
        self.ask_step(actions)
        return self.answer()

    def call(self, name: str, args: Any = None, number: int = 7) -> dict[str, Any]:
        """CALL and its REPLY."""
        self.wire.send(Type.CALL, {"id": number, "name": name, "args": args})
        reply = self.wire.expect(Type.REPLY).json()
        expect(reply.get("id") == number, f"REPLY with id {number}", json.dumps(reply)[:100])
        return reply

    # --- whole episodes --------------------------------------------------------------------------

    def trajectory(self, seed: int, steps: int) -> list[Answer]:
        """RESET and that many steps of actions that depend on `seed` alone; fewer if the episode ends."""
        self.seed_actions(seed)
        answers = [self.reset(seed)]
        while len(answers) <= steps and not answers[-1].over:
            answers.append(self.step())
        return answers

    def to_the_end(self) -> Answer:
        """Play an episode to its end.

        Raises:
            Skip: it does not end in `MOST_STEPS` steps.
        """
        answer = self.reset()
        for _ in range(MOST_STEPS):
            if answer.over:
                return answer
            answer = self.step()
        raise Skip(f"no end of an episode in {MOST_STEPS} steps of random actions")

    def world(self, answer: Answer) -> bytes:
        """The bytes that the same seed and actions must give again: all but `applied`, clock and info."""
        body = answer.frame.body
        return body[:8] + body[24 : self.observations.size - 8]

    def need_seeds(self) -> None:
        """Raise `Skip` unless the game obeys seeds."""
        if "seed" not in self.caps:
            raise Skip("the game does not have the capability 'seed'")
