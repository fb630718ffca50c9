"""The dynamics of several organisms that share one world, in plain Python.

Each organism is the reference of a single world whose sources belong to the ground they all live on.  So everything
about its body, and what happens when it comes to a source, is the text of ``reference`` and ``reference_worlds``;
this module adds whose turn it is, and that what is eaten is gone for the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tropism.envs.chemotaxis.params import Params
from tropism.envs.chemotaxis.reference_worlds import WorldReference
from tropism.envs.chemotaxis.senses import Senses
from tropism.envs.chemotaxis.shared_senses import SharedSenses
from tropism.envs.chemotaxis.streams import BIRTHPLACE, TURN
from tropism.envs.core.random import Key, below, bits, episode_key


class Ground(WorldReference):
    """What organisms share: sources, land and clocks.  Nobody lives in its body.

    Attributes besides those of its base:
        living: organisms on it, by index.
        gone: sources that disappeared in the step that runs.
        changed: sources changed when the last step was over.
    """

    def reset(self, key: Key, episode: int, options: Mapping[str, Any]) -> None:
        """Begin ``episode`` of ``key`` without organisms."""
        super().reset(key, episode, options)
        self.living: list[Organism] = []
        self.gone: set[int] = set()

    def birthplace(self, index: int) -> tuple[int, int]:
        """Where organism ``index`` begins, uniform; from a wall it moves to the next column."""
        width, height = self.params.size
        cell = below(bits(self.key, index, BIRTHPLACE), width * height)
        y, x = divmod(cell + (cell in self.blocked), width)
        return x, y

    def pass_time(self) -> None:
        """End a step: visited sources disappear, others appear again, clocks go on."""
        self.t += 1
        self.changed = False
        if self.params.deplete and (self.gone or self._missing):
            self._reappear(list(self.gone))
        self.gone.clear()
        if self.switch.advance(self.t):
            self._sources_changed()
        self.storms.advance(self.t)

    def _sources_changed(self) -> None:
        super()._sources_changed()
        self.changed = True


class Organism(WorldReference):
    """One of several organisms on a ground.

    What chance does to it alone (dropout, noise, whether a young body moves, whether a harmful source survives its
    visit) is drawn under a key of its own; organism 0 has the key of the episode, and is the one of a single world.

    Args:
        params: of the world.
        index: of the organism.
        ground: that it lives on.
    """

    def __init__(self, params: Params, index: int, ground: Ground) -> None:
        self.index, self.ground = index, ground
        super().__init__(params)

    def _make_senses(self) -> Senses:
        return SharedSenses(self.params)

    def reset(self, key: Key, episode: int, options: Mapping[str, Any]) -> None:
        """Be born."""
        super().reset(key, episode, options)
        if self.index:
            self.key = episode_key(self.key, self.index)

    def _place_sources(self, options: Mapping[str, Any]) -> None:
        """The ground has placed them."""
        del options
        self._sources_changed()

    def look(self) -> None:
        """See the sources of the ground as they are now."""
        ground = self.ground
        self.cells, self.harmful, self.active = ground.cells, ground.harmful, ground.active
        self.here, self._missing = ground.here, False
        self.senses.sources_changed()

    _sources_changed = look

    def _meet(self, met: list[int], arrived: bool) -> int:
        """What is gone cannot be met: somebody had an earlier turn."""
        return super()._meet([k for k in met if k not in self.ground.gone], arrived)

    def _reappear(self, depleted: list[int] | tuple[()]) -> None:
        """Sources disappear for everybody; the ground lets their time run, once a step."""
        self.ground.gone.update(depleted)

    def sources(self) -> npt.NDArray[np.int64]:
        """Those of the ground, ``int64[K, 4]``."""
        return self.ground.sources()


class SharedWorld:
    """Several organisms in one world.

    Args:
        params: of the world.
        count: organisms at birth.
    """

    def __init__(self, params: Params, count: int) -> None:
        self.ground = Ground(params)
        self.organisms = [Organism(params, index, self.ground) for index in range(count)]

    @property
    def living(self) -> list[Organism]:
        """Organisms whose life goes on, by index."""
        return self.ground.living

    def reset(
        self,
        key: Key,
        episode: int,
        options: Mapping[str, Any],
        own: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """Begin ``episode`` of ``key``.

        Args:
            key: of the sequence of episodes.
            episode: number in it.
            options: of sources, integers.
            own: of each organism (where it is, its needs in units), or none.
        """
        self.ground.reset(key, episode, options)
        for organism in self.organisms:
            mine = {"position": self.ground.birthplace(organism.index)}
            organism.reset(key, episode, mine | dict(own[organism.index] if own else {}))
        self.ground.living = list(self.organisms)

    def step(self, actions: Mapping[int, int]) -> dict[int, int]:
        """Everybody moves, meets, eats; return the points (1/128 of reward) of each who lived, by index."""
        ground, points = self.ground, {}
        for organism in self._in_turn():
            points[organism.index] = organism.step(actions[organism.index])
        ground.pass_time()
        if ground.changed:
            for organism in ground.living:
                organism.look()
        ground.living = [organism for organism in ground.living if not organism.ended]
        return points

    def _in_turn(self) -> list[Organism]:
        """The living in the order of their turns: drawn anew in each step, every order with equal chance."""
        if len(self.living) < 2:
            return self.living
        key, first = self.ground.key, (self.ground.t + 1) * len(self.organisms)
        return sorted(self.living, key=lambda who: bits(key, first + who.index, TURN))
