"""A life as it was lived, kept for those who watch.

A life is recorded from what every face tells, observations and labels, so a single environment that renders and a
rollout of the functional face fill the same record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tropism.envs.chemotaxis.observation import channels
from tropism.envs.chemotaxis.params import Params

Numbers = npt.NDArray[Any]


class Moment(NamedTuple):
    """One time of a life.

    Attributes:
        sensed: the observation, ``float32[channels]``.
        facts: labels: what was true.
        timers: steps until each source that is gone appears again; ``None`` where nobody told.
    """

    sensed: Numbers
    facts: Mapping[str, Any]
    timers: Sequence[int] | None = None


class Visit(NamedTuple):
    """An arrival at a source: when, where, of which kind (its index), and whether it did harm."""

    t: int
    x: int
    y: int
    kind: int
    harmful: bool


class Recording:
    """The moments of one life, from birth (``moments[0]``) on.

    Args:
        params: of the world.
    """

    def __init__(self, params: Params) -> None:
        self.params = params
        self.moments: list[Moment] = []

    def note(
        self, sensed: Numbers, facts: Mapping[str, Any], timers: Sequence[int] | None = None
    ) -> None:
        """Add a moment; one at which no step was lived yet begins another life."""
        if facts["t_alive"] == 0:
            self.moments = []
        self.moments.append(Moment(np.array(sensed), facts, timers and tuple(timers)))

    @classmethod
    def from_columns(
        cls, params: Params, observations: Any, labels: Mapping[str, Any]
    ) -> Recording:
        """A life from arrays along time, as a scan over the functional face stacks them.

        Args:
            params: of the world.
            observations: ``float32[T + 1, channels]``, the one at birth first.
            labels: of the same times, each ``[T + 1, ...]``; what comes after the end of the life is left out.
        """
        life = cls(params)
        columns = {name: np.asarray(column) for name, column in labels.items()}
        for t, sensed in enumerate(np.asarray(observations)):
            life.note(sensed, {name: column[t] for name, column in columns.items()})
            if life.at().fate:
                break
        return life

    @property
    def horizon(self) -> int:
        """Steps that a picture of the life must have room for."""
        return max(self.params.steps, len(self.moments) - 1)

    def at(self, t: int | None = None) -> View:
        """The life until step ``t``, at most its last one, which ``None`` means too."""
        moments = self.moments if t is None else self.moments[: t + 1]
        return View(self.params, self.horizon, moments)


class View:
    """A life until some moment: what there is to draw.

    Args:
        params: of the world.
        horizon: steps that a picture must have room for.
        moments: those that have come to pass.
    """

    def __init__(self, params: Params, horizon: int, moments: Sequence[Moment]) -> None:
        self.params, self.horizon = params, horizon
        self.moments, self.now = moments, moments[-1]
        self.t = len(moments) - 1

    def before(self, steps: int) -> View:
        """The same life that many steps ago, at most at birth."""
        return View(self.params, self.horizon, self.moments[: max(len(self.moments) - steps, 1)])

    def fact(self, name: str) -> Any:
        """A label of the present moment."""
        return self.now.facts[name]

    def sense(self, channel: str) -> float:
        """What one channel of the organism says."""
        return float(self.now.sensed[channels(self.params).index(channel)])

    def sensed(self, channel: str) -> Numbers:
        """What it said at every moment, ``float32[t + 1]``."""
        index = channels(self.params).index(channel)
        return np.array([moment.sensed[index] for moment in self.moments])

    def series(self, name: str) -> Numbers:
        """A label at every moment, ``[t + 1, ...]``."""
        return np.array([moment.facts[name] for moment in self.moments])

    @cached_property
    def places(self) -> Numbers:
        """Where the organism was, ``int[t + 1, 2]``."""
        return np.stack([self.series("x"), self.series("y")], -1)

    @cached_property
    def sources(self) -> Numbers:
        """``x, y, harmful, active`` of each source at every moment, ``int[t + 1, K, 4]``."""
        return self.series("sources")

    @cached_property
    def kinds(self) -> tuple[int, ...]:
        """The kind of each source, an index into ``params.kinds``."""
        counts = enumerate(self.params.num_sources)
        return tuple(kind for kind, count in counts for _ in range(count))

    @cached_property
    def visits(self) -> list[Visit]:
        """Arrivals at sources so far, oldest first."""
        here, sources = self.places[1:, None], self.sources[:-1]
        moved = (self.places[1:] != self.places[:-1]).any(-1)
        arrived = (sources[..., :2] == here).all(-1) & (sources[..., 3] == 1) & moved[:, None]
        visits = []
        for t, k in np.argwhere(arrived).tolist():
            x, y, harmful, _ = sources[t, k].tolist()
            visits.append(Visit(t + 1, x, y, self.kinds[k], bool(harmful)))
        return visits

    @property
    def dangerous(self) -> bool:
        """Some source does harm, or has done."""
        return bool(self.sources[..., 2].any())

    @property
    def heading(self) -> tuple[int, int]:
        """``(dx, dy)`` of the last move; zeros if it stayed."""
        if not self.t:
            return 0, 0
        dx, dy = np.sign(self.places[-1] - self.places[-2]).tolist()
        return dx, dy

    @property
    def fate(self) -> str:
        """How the life ended; nothing while it lasts."""
        facts = self.now.facts
        if not facts["integrity_units"]:
            return "died of its wounds"
        if not facts["energy_units"]:
            return "starved" if self.t < self.params.steps else "lived to the end"
        if not facts.get("hydration_units", 1):
            return "died of thirst"
        if self.params.terminate_on_reach and facts["reached"]:
            return "reached the goal"
        limit = self.params.max_episode_steps or self.params.steps
        return "lived to the end" if self.t >= limit else ""
