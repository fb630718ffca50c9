"""Keeps one game going: resets and steps with a policy for faults, whatever face they are asked through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gymnasium import spaces

from tropism.bridges.errors import BridgeClosed, BridgeError, SpecMismatch
from tropism.bridges.faults import FAULTS, FaultCounter, OnFault
from tropism.bridges.live import Frame, new_session
from tropism.bridges.options import GameOptions
from tropism.bridges.protocol.bodies import Observation
from tropism.bridges.protocol.spec import Spec
from tropism.bridges.record import Recorder
from tropism.bridges.session import Session

LATE = 0.05
"""The part of its deadline that a step may take without being called late."""


class Keeper:
    """One game after the other, all alike.

    Args:
        options: where the game is.
        on_fault: what to do about a fault.
        patience: seconds to wait for the effect of an action in latest-frame mode.
        expected: by agent its observation and action space (None: any); a game that has others is refused.
        record: file to record to.

    Attributes:
        session: the present one.
        faults: counts them.
        fault: what ended the episode, as it stands in ``info["bridge"]["fault"]``; None if nothing has.
        frame: the last one delivered in latest-frame mode.
    """

    def __init__(
        self,
        options: GameOptions,
        on_fault: OnFault,
        patience: float = 0.1,
        expected: Mapping[int, tuple[Any, Any]] | None = None,
        record: str | None = None,
    ) -> None:
        self.options, self._patience = options, patience
        self._late, self._live = LATE * options.deadlines.step, options.mode == "latest"
        self._expected = dict(expected or {})
        self._recorder = None if record is None else Recorder(record, {"game": options.describe()})
        self.faults, self.fault = FaultCounter(on_fault), None
        self.frame: Frame | None = None
        self._wanted: tuple[int | None, dict[str, Any] | None] = (None, None)
        self._spec: Spec | None = None
        self._closed = False
        self.session: Session = new_session(options, self._recorder)
        try:
            self.session.start()
        except BaseException:
            self.close()
            raise

    @property
    def spec(self) -> Spec:
        """What the game is."""
        if self._spec is None:
            raise BridgeClosed("the game is not connected yet")
        return self._spec

    def connect(self) -> None:
        """Wait for the game.

        Raises:
            SpecMismatch: its spaces are not those expected.
            BridgeError: it did not come, or could not be agreed with.
        """
        try:
            self.session.connect()
            self._check_spec(self.session.spec)
        except BaseException:
            self.close()
            raise
        self._spec = self.session.spec

    # -- requests -------------------------------------------------------------------------------------------

    def send_reset(self, seed: int | None, options: dict[str, Any] | None) -> None:
        """Ask for an episode, of a new game if the old one is gone or owes an answer."""
        self._check()
        self._wanted, self.fault, self.frame = (seed, options), None, None
        self.faults.retry(self._ask)

    def receive_reset(self) -> Observation:
        """The answer; after a fault that is endured, that of a new game."""
        return self.faults.retry(self._answer)

    def send_step(self, actions: Sequence[Any]) -> None:
        """Send one action for each agent."""
        try:
            if self._live:
                self.session.act(actions)  # type: ignore[attr-defined]
            else:
                self.session.send_step(actions)
        except FAULTS as error:
            self._endure(error)

    def receive_step(self) -> Observation | None:
        """The answer, or None if a fault has ended the episode, which :attr:`fault` then tells of."""
        if self.fault is not None:
            return None
        try:
            if self._live:
                self.frame = frame = self.session.newest(self._patience)  # type: ignore[attr-defined]
                observation = frame.observation
            else:
                observation = self.session.receive()
        except FAULTS as error:
            self._endure(error)
            return None
        self.faults.row = 0
        return observation

    def facts(self, answer: Observation) -> dict[str, Any]:
        """What ``info["bridge"]`` has beside ``step``: what differs from run to run only if it is worth telling."""
        facts: dict[str, Any] = {}
        if self.session.waited > self._late and answer.step:
            facts["late_ms"] = self.session.waited * 1e3
        if self.frame is not None:
            _, age_ms, dropped, lag, late = self.frame
            facts |= {"age_ms": age_ms, "dropped": dropped, "applied_lag": lag, "late": late}
        return facts

    def close(self) -> None:
        """Close the session and the recording; a second call does nothing."""
        self._closed = True
        self.session.close()
        if self._recorder is not None:
            self._recorder.close()

    # -- details --------------------------------------------------------------------------------------------

    def _check(self) -> None:
        if self._closed:
            raise BridgeClosed("the bridge was closed")

    def _ask(self) -> None:
        if not self.session.healthy:
            self._renew()
        self.session.send_reset(*self._wanted)

    def _answer(self) -> Observation:
        if not self.session.waiting:  # the game that was asked is gone
            self._ask()
        return self.session.receive()

    def _renew(self) -> None:
        """Another game in place of the present one."""
        self.session.close()
        self.session = new_session(self.options, self._recorder)
        try:
            self.session.start()
            self.session.connect()
            self._check_same(self.session.spec)
        except BaseException:
            self.session.close()
            raise

    def _endure(self, error: BridgeError) -> None:
        self.faults.endure(error)
        self.fault = {"error": type(error).__name__, "text": str(error), **(error.facts or {})}
        if self.faults.on_fault.policy == "restart":
            self.faults.retry(self._renew)

    def _check_spec(self, spec: Spec) -> None:
        for index, wanted in self._expected.items():
            agent = spec.agents[index]
            found = (agent.observation_space, agent.action_space)
            for name, want, got in zip(("obs", "act"), wanted, found, strict=True):
                if want is not None:
                    compare(f"agents[{index}].{name}", want, got)

    def _check_same(self, spec: Spec) -> None:
        """A game that was started anew must be the same game."""
        old, new = self.spec.agents, spec.agents
        if [agent.id for agent in old] != [agent.id for agent in new]:
            raise SpecMismatch("agents", [a.id for a in old], [a.id for a in new])
        for index, (before, now) in enumerate(zip(old, new, strict=True)):
            compare(f"agents[{index}].obs", before.observation_space, now.observation_space)
            compare(f"agents[{index}].act", before.action_space, now.action_space)


def compare(path: str, expected: spaces.Space, got: spaces.Space) -> None:
    """Check that two spaces are equal.

    Raises:
        SpecMismatch: they are not; ``path`` leads to the first part that differs.
    """
    if expected == got:
        return
    if isinstance(expected, spaces.Dict) and isinstance(got, spaces.Dict):
        if list(expected) != list(got):
            raise SpecMismatch(path, f"keys {list(expected)}", f"keys {list(got)}")
        for key in expected:
            compare(f"{path}.{key}", expected[key], got[key])
    if isinstance(expected, spaces.Tuple) and isinstance(got, spaces.Tuple):
        for index, (a, b) in enumerate(zip(expected, got, strict=False)):
            compare(f"{path}[{index}]", a, b)
    raise SpecMismatch(path, expected, got)
