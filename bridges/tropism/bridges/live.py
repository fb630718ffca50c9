"""A session in latest-frame mode: the game runs at its own rate, the agent gets the newest frame."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic, monotonic_ns
from typing import Any, NamedTuple

from tropism.bridges.errors import BridgeError, BridgeTimeout
from tropism.bridges.forks import FORKS
from tropism.bridges.options import GameOptions
from tropism.bridges.protocol.bodies import Observation
from tropism.bridges.protocol.header import Type, is_newer
from tropism.bridges.protocol.messages import Message
from tropism.bridges.record import Recorder
from tropism.bridges.session import Session

MOST = 4096
"""Frames that are read for one step, however fast the game floods us."""


class Frame(NamedTuple):
    """A frame that was delivered.

    Attributes:
        observation: rewards are summed over the frames that it overtook, as far as they were seen.
        age_ms: how much older it is than the freshest frame of the session was on its arrival, in milliseconds.
        dropped: frames that it overtook.
        lag: actions sent whose effect it does not show.
        late: whether it came after the patience for the effect of the last action had run out.
    """

    observation: Observation
    age_ms: float
    dropped: int
    lag: int
    late: bool


class LiveSession(Session):
    """See the module."""

    def __init__(self, options: GameOptions, recorder: Recorder | None = None) -> None:
        super().__init__(options, recorder)
        self._overwritten = 0  # frames in shared memory that were never seen
        self._offset: int | None = (
            None  # least difference of the two clocks seen so far, in nanoseconds
        )

    def receive(self) -> Observation:
        """The first frame of the episode that was asked for; see :meth:`Session.receive`."""
        if self._forks != FORKS.count:
            self._check()
        found = self._gather(0, 0.0, self.deadlines.reset)
        self._awaited = self._abandoned = None
        self.waited = monotonic() - self._sent_at
        self.stats.episodes += 1
        return found.observation

    def act(self, actions: Sequence[Any]) -> None:
        """Send an action, which is not answered.

        Raises:
            InvalidValue: an action has the wrong shape or type; nothing was sent.
        """
        self._check()
        self._request(Type.ACTION, self._actions.encode(actions), "step")
        self._awaited = None

    def newest(self, patience: float) -> Frame:
        """The newest frame that has not been delivered yet.

        Args:
            patience: seconds to wait for one that shows the effect of the last action.

        Raises:
            StepTimeout: no frame at all came before the deadline.
            GameLost: the game is gone.
        """
        self._check()
        frame = self._gather(self._seq, patience, self.deadlines.step)
        self.stats.steps += 1
        self.stats.dropped += frame.dropped
        return frame

    def _gather(self, wanted: int, patience: float, limit: float) -> Frame:
        start, found = monotonic(), _Newest()
        try:
            while not found.ended and found.count < MOST:
                waited = monotonic() - start
                enough = found.count and (found.shows(wanted) or waited >= patience)
                left = 0.0 if enough else (patience if found.count else limit) - waited
                message = self._next_frame(left, optional=found.count > 0)
                if message is not None:
                    found.take(self._decode(message), message.time)
                elif enough:
                    break
        except BridgeError as error:
            raise self._failed(error) from error.__cause__
        return self._frame(found, wanted)

    def _next_frame(self, timeout: float, optional: bool) -> Message | None:
        """The next frame of this episode, or None if ``optional`` and there is none in time."""
        end, left = monotonic() + timeout, max(timeout, 0.0)
        while True:
            try:
                message = self._channel.receive(left, self._phase, self._seq)
                if message.type == Type.OBS and message.episode == self._episode:
                    return message
                self._handle(message)
                left = self._left(end, self._seq)
            except BridgeTimeout:
                if optional:
                    return None
                raise

    def _discard(self, message: Message) -> None:  # noqa: ARG002
        """A frame of an older episode."""
        self.stats.stale += 1

    def _frame(self, found: _Newest, wanted: int) -> Frame:
        ahead = monotonic_ns() - found.time
        self._offset = ahead if self._offset is None else min(self._offset, ahead)
        lag = (self._seq - found.last.applied) & 0xFFFFFFFF if wanted else 0
        before, self._overwritten = self._overwritten, getattr(self._channel, "dropped", 0)
        return Frame(
            found.observation(),
            (ahead - self._offset) / 1e6,
            found.count - 1 + self._overwritten - before,
            lag if lag < 2**31 else 0,
            not found.shows(wanted),
        )


class _Newest:
    """The newest of several frames, and the rewards of all."""

    last: Observation

    def __init__(self) -> None:
        self.count, self.time, self.ended = 0, 0, False
        self._rewards: list[float] = []

    def take(self, observation: Observation, time: int) -> None:
        """One more frame, newer than all before; none may overtake the last of an episode."""
        rewards = [agent.reward for agent in observation.agents]
        before = self._rewards or [0.0] * len(rewards)
        self._rewards = [a + b for a, b in zip(before, rewards, strict=True)]
        self.last, self.time, self.count = observation, time, self.count + 1
        alive = [agent for agent in observation.agents if agent.alive]
        self.ended = all(agent.terminated or agent.truncated for agent in alive)

    def shows(self, wanted: int) -> bool:
        """Whether it shows the effect of that request."""
        return self.count > 0 and not is_newer(wanted, self.last.applied)

    def observation(self) -> Observation:
        """The newest frame with the sum of the rewards."""
        agents = [
            agent._replace(reward=reward)
            for agent, reward in zip(self.last.agents, self._rewards, strict=True)
        ]
        return self.last._replace(agents=agents)


def new_session(options: GameOptions, recorder: Recorder | None = None) -> Session:
    """A session of the mode that is asked for, not started yet."""
    kind = LiveSession if options.mode == "latest" else Session
    return kind(options, recorder)
