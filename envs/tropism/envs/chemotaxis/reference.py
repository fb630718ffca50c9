"""The dynamics of one Chemotaxis world in plain Python: the text to read and to trust.

It is also what ``gym.make`` runs.  The array kernel and the faces built on it are held to the same bits by a parity
test.  This module holds the origin's world, levels L0.0 to L1.1; ``reference_worlds`` adds the further pressures.
Provenance of the dynamics: koki2 (K. Kis, 2025), https://github.com/Krisztiaan/koki2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tropism.envs.chemotaxis.copies import Copies
from tropism.envs.chemotaxis.observation import MOVES
from tropism.envs.chemotaxis.params import UNIT, Params, points, units
from tropism.envs.chemotaxis.senses import Senses
from tropism.envs.chemotaxis.streams import DEPLETE, HARMFUL, POSITION, RESPAWN, chance
from tropism.envs.chemotaxis.tables import harmful_choices
from tropism.envs.core.random import Key, below, bits, episode_key


class Reference:
    """A world with one need and one kind of source, which may do harm and may disappear for a while.

    Attributes after :meth:`reset` and each :meth:`step`; energies are in units of 1/6400:
        place: ``(x, y)`` of each cell.
        key, t: key of the episode; steps lived.
        cell: of the organism, ``y * width + x``.
        energy, integrity: in [0, 6400].
        cells: of each source.
        harmful, active: of each source, bools.
        timers: steps until an inactive source appears again.
        good_arrivals, bad_arrivals: so far.
        reached: whether it has ever stood on a good source.
        energy_gained, integrity_lost: totals, as in the origin before clipping.
        integrity_min: least integrity so far.
        event: energy gained minus integrity lost in the last step.
        score: points (1/128 of reward) so far.
        ended: the organism died or reached its goal.
        told: what :func:`~tropism.envs.chemotaxis.facts.facts` keeps until an arrival or harm makes it out of date.
    """

    family: tuple[int, ...] = (0, 0, 0, 0)
    """Which of the choices of :data:`~tropism.envs.chemotaxis.params.FAMILY` this world has; here there is none."""

    still: Sequence[tuple[str, Copies]] = ()
    """Labels of mechanisms that hold for the whole episode."""

    passing = False
    """There are labels of mechanisms that change from step to step: :meth:`tell_passing`."""

    # Slots, because a step is mostly reading them: a tenth faster.
    __slots__ = (
        "_alive_points", "_choices", "_decay", "_delay", "_deplete_chance", "_gain", "_gain_denominator", "_gain_numerator",
        "_harm", "_harmful_delay", "_missing", "_reach_points", "_tables", "_targets", "active", "bad_arrivals",
        "cell", "cells", "ended", "energy", "energy_gained", "event", "gained", "good_arrivals", "harmful", "here",
        "integrity", "integrity_lost", "integrity_min", "key", "lost", "num_sources", "params", "place", "reached", "score",
        "senses", "t", "timers", "told",
    )  # fmt: skip

    def __init__(self, params: Params) -> None:
        self.params = params
        self.num_sources = params.total_sources
        self._decay = params.energy_decay_units
        self._gain, self._harm = units(params.energy_gain), units(params.harm)
        self._delay = params.respawn_delay
        self._harmful_delay = (
            params.respawn_delay
            if params.harmful_respawn_delay < 0
            else params.harmful_respawn_delay
        )
        self._deplete_chance = chance(params.harmful_deplete_p)
        self._alive_points, self._reach_points = (
            points(params.alive_weight),
            points(params.reach_weight),
        )
        self._gain_numerator, self._gain_denominator = params.gain_points
        self._choices = [column.tolist() for column in harmful_choices(params)]
        self.place = [
            (c % params.width, c // params.width) for c in range(params.width * params.height)
        ]
        self._targets = _targets(params.width, params.height)
        self.senses = self._make_senses()

    def _make_senses(self) -> Senses:
        return Senses(self.params)

    # -- an episode -----------------------------------------------------------------------------------------

    def reset(self, key: Key, episode: int, options: Mapping[str, Any]) -> None:
        """Begin ``episode`` of ``key``; ``options`` as :func:`~tropism.envs.chemotaxis.options.read_options` has them."""
        self.key = episode_key(key, episode)
        self.t = 0
        x, y = options.get("position", self.params.start)
        self.cell = y * self.params.width + x
        self.energy = options.get("energy", units(self.params.energy_init))
        self.integrity = self.integrity_min = options.get("integrity", UNIT)
        self.good_arrivals = self.bad_arrivals = self.energy_gained = self.integrity_lost = 0
        self.gained = self.lost = self.event = self.score = 0
        self.reached = self.ended = False
        self.told: dict[str, Any] | None = None
        self.senses.forget()
        self._lay_out(key, episode, options)
        self._place_sources(options)

    def _lay_out(self, key: Key, episode: int, options: Mapping[str, Any]) -> None:
        """Draw what the world has besides sources: nothing here."""

    def _place_sources(self, options: Mapping[str, Any]) -> None:
        each = range(self.num_sources)
        self.cells = [self._draw_cell(bits(self.key, k, POSITION)) for k in each]
        masks, first, sizes = self._choices
        world = self.family[0]
        mask = masks[first[world] + below(bits(self.key, 0, HARMFUL), sizes[world])]
        self.harmful = [bool(mask >> k & 1) for k in each]
        self.active, self.timers = [True] * self.num_sources, [0] * self.num_sources
        if "sources" in options:
            self.cells = [y * self.params.width + x for x, y in options["sources"]]
        self.harmful = [bool(b) for b in options.get("harmful", self.harmful)]
        self.active = [bool(b) for b in options.get("active", self.active)]
        self._sources_changed()

    def _draw_cell(self, word: int) -> int:
        """A uniform cell."""
        return below(word, self.params.width * self.params.height)

    def _sources_changed(self) -> None:
        """Note who is where: most cells are empty, and a step should not ask every source."""
        self.here: dict[int, list[int]] = {}
        for k, cell in enumerate(self.cells):
            if self.active[k]:
                self.here.setdefault(cell, []).append(k)
        self._missing = self.params.deplete and not all(self.active)
        self._tables: Copies | None = None
        self.senses.sources_changed()

    # -- a step ---------------------------------------------------------------------------------------------

    def step(self, action: int) -> int:
        """Move, meet sources, live; return the points (1/128 of reward) of the step."""
        before = self.cell
        self.cell = cell = self._targets[action][before]
        self.t += 1
        self.gained = self.lost = self.event = 0
        points = self._alive_points
        if cell in self.here:
            points += self._meet(self.here[cell], arrived=cell != before)
        elif self._missing:
            self._reappear(())
        energy = self.energy - self._decay + self.gained
        self.energy = energy = UNIT if energy > UNIT else energy if energy > 0 else 0
        if not energy or not self.integrity:
            self.ended = True
        self.score += points
        return points

    def _meet(self, met: list[int], arrived: bool) -> int:
        """Be on the sources ``met``; only who came from another cell arrives at them.  Return the points of it."""
        self.told = None
        good = [k for k in met if not self.harms(k)]
        points = self._reach_points if good and not self.reached else 0
        if good:
            self.reached, self.ended = True, self.params.terminate_on_reach
        if arrived:
            points += self._arrive(good, [k for k in met if self.harms(k)])
        if self.params.deplete:
            self._reappear([k for k in met if self._disappears(k)] if arrived else ())
        return points

    def harms(self, k: int) -> bool:
        """Whether source ``k`` does harm now."""
        return self.harmful[k]

    def _arrive(self, good: list[int], bad: list[int]) -> int:
        """Feed on ``good`` sources and suffer from ``bad`` ones; return the points of the gain."""
        self.good_arrivals += len(good)
        self.bad_arrivals += len(bad)
        self.gained, self.lost = len(good) * self._gain, len(bad) * self._harm
        self.event = self.gained - self.lost
        self._suffer()
        before = self._gain_points(self.energy_gained)
        self.energy_gained += self.gained
        return self._gain_points(self.energy_gained) - before

    def _suffer(self) -> None:
        """Take what was lost from integrity."""
        self.told = None
        self.integrity = max(self.integrity - self.lost, 0)
        self.integrity_min = min(self.integrity_min, self.integrity)
        self.integrity_lost += self.lost

    def _gain_points(self, gained: int) -> int:
        """Points of a total gain; taken of totals, so that what is rounded off is not lost."""
        return gained * self._gain_numerator // self._gain_denominator

    def _disappears(self, k: int) -> bool:
        """Whether source ``k``, just visited, goes away: a good one always."""
        if not self.harms(k):
            return True
        return bits(self.key, self._counter(k), DEPLETE) >> 1 < self._deplete_chance

    def _reappear(self, depleted: list[int] | tuple[()]) -> None:
        """Take away the ``depleted`` sources, let the others' time run, and put back those whose time has come."""
        changed = bool(depleted)
        for k in range(self.num_sources):
            if k in depleted:
                self.active[k] = False
                self.timers[k] = self._harmful_delay if self.harms(k) else self._delay
            elif not self.active[k]:
                self.timers[k] = max(self.timers[k] - 1, 0)
            if not self.active[k] and not self.timers[k]:
                self.cells[k] = self._draw_cell(bits(self.key, self._counter(k), RESPAWN))
                self.active[k] = changed = True
        if changed:
            self._sources_changed()

    def _counter(self, k: int) -> int:
        """Counter of what is drawn for source ``k`` in this step."""
        return self.t * self.num_sources + k

    # -- what is true ---------------------------------------------------------------------------------------

    def sources(self) -> npt.NDArray[np.int64]:
        """``x, y``, does it harm now, is it there: of each source, a fresh ``int64[K, 4]``."""
        if self._tables is None:
            self._tables = self._tabulate()
        return next(self._tables)

    def _tabulate(self) -> Copies:
        numbers: list[int] = []
        for k, cell in enumerate(self.cells):
            numbers += (*self.place[cell], self.harms(k), self.active[k])
        return Copies.of(np.array(numbers, np.int64).reshape(-1, 4))

    def drive(self) -> int:
        """Sum of the squared distances of energy and integrity from 1, in units squared."""
        hunger, wounds = UNIT - self.energy, UNIT - self.integrity
        return hunger * hunger + wounds * wounds

    def tell_passing(self, found: dict[str, Any]) -> None:
        """Add what :attr:`passing` announces, which this world does not have."""


def _targets(width: int, height: int) -> list[list[int]]:
    """Where each action leads from each cell; the border stops it."""
    cells = [divmod(cell, width) for cell in range(width * height)]
    return [
        [min(max(y + dy, 0), height - 1) * width + min(max(x + dx, 0), width - 1) for y, x in cells]
        for dx, dy in MOVES
    ]
