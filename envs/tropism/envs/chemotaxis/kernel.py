"""The dynamics of Chemotaxis for a batch, once, for NumPy and JAX.

``Kernel(xp, params)`` follows ``reference.py`` step by step.  Arrays may have any leading shape (``[B]`` in a vector
environment, none under ``vmap``); those of sources have them along the last axis, which NumPy keeps outermost in
memory.  Dynamics are integers; what a level does not use is left out when the code is traced.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tropism.envs.chemotaxis.kernel_senses import SensesKernel
from tropism.envs.chemotaxis.kernel_state import State
from tropism.envs.chemotaxis.observation import DOWN, LEFT, RIGHT, UP
from tropism.envs.chemotaxis.params import POINT, UNIT, points, units
from tropism.envs.chemotaxis.streams import DEPLETE, HARMFUL, POSITION, RESPAWN, chance
from tropism.envs.chemotaxis.tables import harmful_choices


class Kernel(SensesKernel):
    """One need, one kind of source, harm, depletion: levels L0.0 to L1.1."""

    # -- an episode -----------------------------------------------------------------------------------------

    def reset(self, key: Any, episode: Any, overrides: Mapping[str, Any] | None = None) -> State:
        """Begin ``episode`` (int32[...]) of the lanes whose keys are ``key`` (uint32[..., 2]).

        ``overrides`` are reset options as
        :func:`~tropism.envs.chemotaxis.options.read_options` has them.
        """
        forced, zero = overrides or {}, episode * 0
        nothing = zero[..., None][..., :0]
        state = State(*[nothing] * len(State._fields))
        x, y = (zero + n for n in self.params.start)
        if "position" in forced:
            x, y = forced["position"][..., 0], forced["position"][..., 1]
        integrity = forced.get("integrity", zero + UNIT)
        state = state._replace(
            key=key, episode=episode, draw=self.hash.episode_key(key, episode), t=zero, x=x, y=y,
            energy=forced.get("energy", zero + units(self.params.energy_init)),
            integrity=integrity, integrity_min=integrity, good_arrivals=zero, bad_arrivals=zero, reached=zero != 0,
            energy_gained=zero, integrity_lost=zero, event=zero, score=zero, points=zero,
        )  # fmt: skip
        return self._place_sources(self._lay_out(state, forced), forced)

    def _lay_out(self, state: State, forced: Mapping[str, Any]) -> State:
        """Draw what the world has besides sources: nothing here."""
        del forced
        return state

    def _place_sources(self, state: State, forced: Mapping[str, Any]) -> State:
        x, y = self._cells(
            [part[..., None, :] for part in self._place(state)], self._each, POSITION
        )
        harmful = (self._harmful_mask(state)[..., None] >> self._each) & 1 != 0
        if "sources" in forced:
            x, y = forced["sources"][..., 0], forced["sources"][..., 1]
        harmful = forced["harmful"] != 0 if "harmful" in forced else harmful
        active = forced["active"] != 0 if "active" in forced else x >= 0
        x, y, harmful, active = map(self._outermost, (x, y, harmful, active))
        return state._replace(source_x=x, source_y=y, harmful=harmful, active=active, timer=x * 0)

    def _harmful_mask(self, state: State) -> Any:
        """The sources that do harm, as bits."""
        masks, first, sizes = harmful_choices(self.params)
        word = self.hash.bits(state.draw, state.t, HARMFUL)
        if not self.params.family:
            return self._look_up(masks, self.hash.below(word, sizes[0]))
        world = state.family[..., 0]
        nth = self.hash.below(word, self._look_up(sizes, world))
        return self._look_up(masks, self._look_up(first, world) + nth)

    def _place(self, state: State) -> list[Any]:
        """What decides where a source may be: the key of the episode first; each of shape [..., n]."""
        return [state.draw]

    def _cells(self, place: list[Any], counter: Any, stream: int) -> tuple[Any, Any]:
        """Uniform cells, one a counter."""
        width, height = self.params.size
        cell = self.hash.below(self.hash.bits(place[0], counter, stream), width * height)
        return (cell % width, cell // width) if height > 1 else (cell, cell * 0)

    # -- a step ---------------------------------------------------------------------------------------------

    def step(self, state: State, action: Any) -> State:
        """Move, meet sources, live."""
        x, y = self._move(state, action)
        moved = (x != state.x) | (y != state.y) if self.params.height > 1 else x != state.x
        state = state._replace(x=x, y=y, t=state.t + 1)
        met, harms = self._met(state), self._harms(state)
        good, arrived = met & ~harms, met & moved[..., None]
        state = state._replace(reached=state.reached | good.any(-1))
        if self.params.deplete:
            state = self._deplete(state, arrived, harms)
        return self._live(state, good & arrived, arrived & harms)

    def _move(self, state: State, action: Any) -> tuple[Any, Any]:
        """The cell that ``action`` leads to; the border stops it."""
        width, height = self.params.size
        x = state.x + ((action == RIGHT) * self._one - (action == LEFT))
        y = state.y
        if height > 1:
            y = self._clip(y + ((action == DOWN) * self._one - (action == UP)), height - 1)
        return self._clip(x, width - 1), y

    def _met(self, state: State) -> Any:
        """Active sources on the cell of the organism, bool[..., K]."""
        met = (state.source_x == state.x[..., None]) & state.active
        return met & (state.source_y == state.y[..., None]) if self.params.height > 1 else met

    def _deplete(self, state: State, arrived: Any, harms: Any) -> State:
        """Take away the sources visited, let the time of the others run, and put back those whose time has come."""
        xp, params = self.xp, self.params
        if xp is np and not (arrived | ~state.active).any():
            return state
        counter = state.t[..., None] * len(self._each) + self._each
        depleted = arrived
        if params.harmful_deplete_p < 1:
            word = self.hash.bits(state.draw[..., None, :], counter, DEPLETE)
            lucky = (word >> xp.uint32(1)) < xp.uint32(chance(params.harmful_deplete_p))
            depleted = arrived & (lucky | ~harms)
        active = state.active & ~depleted
        timer = xp.where(active, 0, self._clip(state.timer - 1))
        timer = xp.where(depleted, self._delays(state, harms), timer)
        back = ~active & (timer == 0)
        source_x, source_y = self._respawn(state, counter, back)
        return state._replace(
            source_x=source_x, source_y=source_y, active=active | back, timer=timer
        )

    def _delays(self, state: State, harms: Any) -> Any:
        """Steps until a source just depleted appears again."""
        del state
        delay, harmful_delay = self.params.respawn_delay, self.params.harmful_respawn_delay
        if harmful_delay < 0 or harmful_delay == delay:
            return self._one * delay
        return self.xp.where(harms, self._one * harmful_delay, self._one * delay)

    def _respawn(self, state: State, counter: Any, back: Any) -> tuple[Any, Any]:
        """Positions, new ones where ``back``; NumPy draws no more words than it needs."""
        place = self._place(state)
        if self.xp is not np:
            x, y = self._cells([part[..., None, :] for part in place], counter, RESPAWN)
            return self.xp.where(back, x, state.source_x), self.xp.where(back, y, state.source_y)
        where = np.nonzero(back)
        if not where[0].size:
            return state.source_x, state.source_y
        x, y = state.source_x.copy("K"), state.source_y.copy("K")
        some = [part[where[:-1]] for part in place]
        x[where], y[where] = self._cells(some, counter[where], RESPAWN)
        return x, y

    def _live(self, state: State, fed: Any, hurt: Any) -> State:
        """Metabolism, harm and the reward of it: ``fed`` and ``hurt`` say where the organism arrived, bool[..., K]."""
        num_good, num_bad = self._count(fed), self._count(hurt)
        gained = num_good * self._gain
        energy = self._clip(state.energy + (gained - self.params.energy_decay_units), UNIT)
        state = state._replace(
            energy=energy,
            good_arrivals=state.good_arrivals + num_good,
            bad_arrivals=state.bad_arrivals + num_bad,
            energy_gained=state.energy_gained + gained,
        )
        return self._settle(state, gained, num_bad * self._harm, state.energy_gained)

    def _settle(self, state: State, gained: Any, lost: Any, paid: Any) -> State:
        """Take what was ``lost`` from integrity, and keep the score; ``paid`` is the total gain that counts."""
        integrity = self._clip(state.integrity - lost)
        numerator, denominator = self.params.gain_points
        score = state.t * points(self.params.alive_weight) + paid * numerator // denominator
        score = score + state.reached * (self._one * points(self.params.reach_weight))
        return state._replace(
            integrity=integrity,
            integrity_min=self.xp.minimum(state.integrity_min, integrity),
            integrity_lost=state.integrity_lost + lost,
            event=gained - lost,
            score=score,
            points=score - state.score,
        )

    # -- what is seen of it ---------------------------------------------------------------------------------

    def reward(self, state: State) -> Any:
        """Reward of the step that led to ``state``; float64 in NumPy, float32 in JAX, the same numbers."""
        return self._value(state.points)

    def ended(self, state: State) -> tuple[Any, Any]:
        """Terminated: dead, or at the goal; truncated after ``max_episode_steps``."""
        terminated = (state.energy <= 0) | (state.integrity <= 0)
        if self.params.terminate_on_reach:
            terminated = terminated | state.reached
        return terminated, state.t >= (self.params.max_episode_steps or 2**30)

    def labels(self, state: State) -> dict[str, Any]:
        """The hidden truth about ``state``, for ``info``; fresh arrays in NumPy."""
        found = self._whole(self._numbers(state)) | self._layouts(state)
        return found | {"reached": state.reached | False, "fitness": self._value(state.score)}

    def _whole(self, numbers: dict[str, Any]) -> dict[str, Any]:
        """Integers as ``info`` has them; in NumPy rows of one array, which is faster than many."""
        if self.xp is not np:
            return numbers
        shape = numbers["x"].shape
        rows = np.empty((len(numbers), *shape), np.int64)
        for n, value in enumerate(numbers.values()):
            rows[n] = value
        return dict(zip(numbers, rows, strict=True))

    def _numbers(self, state: State) -> dict[str, Any]:
        """Labels that are one integer a lane."""
        return {
            "x": state.x,
            "y": state.y,
            "energy_units": state.energy,
            "integrity_units": state.integrity,
            "t_alive": state.t,
            "energy_gained": state.energy_gained,
            "good_arrivals": state.good_arrivals,
            "bad_arrivals": state.bad_arrivals,
            "integrity_lost": state.integrity_lost,
            "integrity_min": state.integrity_min,
            "drive": self._drive(state),
            "event": state.event,
        }

    def _layouts(self, state: State) -> dict[str, Any]:
        """Labels that are several integers a lane."""
        columns = [state.source_x, state.source_y, self._harms(state), state.active]
        return {"sources": self._table(columns)}

    def _table(self, columns: list[Any]) -> Any:
        """Integers side by side along a new last axis."""
        return self._side_by_side([columns[0].astype(self.integer), *columns[1:]])

    def _drive(self, state: State) -> Any:
        """Sum of the squared distances of the needs from 1, in units squared."""
        return (UNIT - state.energy) ** 2 + (UNIT - state.integrity) ** 2

    def _value(self, amount: Any) -> Any:
        """Points as reward; exact, because 128 is a power of two."""
        return amount.astype(self.floating) * self.floating(1 / POINT)
