"""The chemotaxis world of koki2 in JAX, as the peer that our own is measured against.

A restatement of how koki2 (K. Kis, 2025, https://github.com/Krisztiaan/koki2) plays a life, with its choices:
energy and integrity in float32, a key folded and split at every step, and ``lax.cond`` for lives that have ended.
What a world does not use (depletion, dropout) is left out when it is traced.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

MOVES = ((0, 0), (0, -1), (0, 1), (-1, 0), (1, 0))
"""Stay, up, down, left, right."""
FAR = 2**30


@dataclass(frozen=True)
class World:
    """What is fixed before tracing; the defaults are those of L0.2."""

    width: int = 64
    height: int = 1
    sources: int = 4
    harmful: int = 2
    steps: int = 128
    gain: float = 0.05
    harm: float = 0.25
    good_only: bool = False
    deplete: bool = False
    harmful_deplete_p: float = 1.0
    respawn_delay: int = 4
    harmful_respawn_delay: int = -1
    dropout: float = 0.0


HAZARD = World()
DEPLETION = replace(HAZARD, deplete=True)
WORLDS = {
    "L0.0": World(sources=1, harmful=0),
    "L0.1": World(width=16, height=16, sources=1, harmful=0),
    "L0.2": HAZARD,
    "L0.2-Informed": replace(HAZARD, good_only=True),
    "L1.0": DEPLETION,
    "L1.1": replace(DEPLETION, dropout=0.5),
    "stage 2": replace(DEPLETION, dropout=0.5, harmful_respawn_delay=0, steps=256),
}


class State(NamedTuple):
    """A world in the middle of a life; ``cells`` int32[K, 2], ``position`` int32[2]."""

    position: Any
    cells: Any
    bad: Any
    active: Any
    timer: Any
    energy: Any
    integrity: Any


class Event(NamedTuple):
    """What one step brought."""

    reached: Any
    bad: Any
    gained: Any
    lost: Any
    drive: Any


class Tally(NamedTuple):
    """Sums over a life (``integrity_min`` is a minimum, ``reached`` a maximum); ``actions`` float32[5]."""

    alive: Any
    gained: Any
    reached: Any
    bad: Any
    lost: Any
    integrity_min: Any
    actions: Any
    events: Any
    change: Any
    event_change: Any
    modulator: Any

    @property
    def fitness(self) -> Any:
        """One a step, ten times the energy gained, and fifty for ever reaching a good source."""
        return self.alive + 10.0 * self.gained + 50.0 * self.reached


Act = Callable[[Any, Any, Any], tuple[Any, Any]]
"""``(memory, observation, key) -> (memory, action)``."""
Learn = Callable[[Any, Event], tuple[Any, Any, Any]]
"""``(memory, event) -> (memory, mean change of the weights, modulator)``."""


def reset(world: World, key: Any) -> State:
    """Sources anywhere, a uniform subset of them harmful, the organism in the middle."""
    import jax
    import jax.numpy as jnp

    where, which = jax.random.split(key)
    order = jax.random.permutation(which, world.sources)
    return State(
        position=jnp.array([world.width // 2, world.height // 2]),
        cells=_cells(world, where),
        bad=order < world.harmful,
        active=jnp.ones(world.sources, bool),
        timer=jnp.zeros(world.sources, jnp.int32),
        energy=jnp.float32(1.0),
        integrity=jnp.float32(1.0),
    )


def step(world: World, state: State, action: Any, key: Any) -> tuple[State, Event]:
    """One move and all that follows from it."""
    import jax.numpy as jnp

    edge = jnp.array([world.width - 1, world.height - 1])
    position = jnp.clip(state.position + jnp.array(MOVES)[action], 0, edge)
    touched = _touched(state, position)
    arrived = touched & ~_touched(state, state.position)
    good, bad = jnp.sum(arrived & ~state.bad), jnp.sum(arrived & state.bad)
    gained = world.gain * good.astype(jnp.float32)
    energy = jnp.clip(state.energy - 1.0 / world.steps + gained, 0.0, 1.0)
    lost = world.harm * bad.astype(jnp.float32)
    integrity = jnp.clip(state.integrity - lost, 0.0, 1.0)
    after = state._replace(position=position, energy=energy, integrity=integrity)
    event = Event(
        reached=jnp.any(touched & ~state.bad),
        bad=bad,
        gained=gained,
        lost=lost,
        drive=_drive(state) - _drive(after),
    )
    return (_turn_over(world, after, arrived, key) if world.deplete else after), event


def observe(world: World, state: State, key: Any) -> Any:
    """Gradient to the nearest active source, energy, integrity: float32[4]."""
    import jax
    import jax.numpy as jnp

    offset = state.cells - state.position
    sensed = state.active & ~state.bad if world.good_only else state.active
    distance = jnp.where(sensed, jnp.sum(offset**2, axis=-1), FAR)
    scale = jnp.array([max(world.width - 1, 1), max(world.height - 1, 1)], jnp.float32)
    gradient = jnp.where(jnp.any(sensed), offset[jnp.argmin(distance)] / scale, 0.0)
    if world.dropout:
        gradient = jnp.where(jax.random.bernoulli(key, world.dropout), 0.0, gradient)
    return jnp.concatenate([gradient, jnp.stack([state.energy, state.integrity])])


def live(world: World, act: Act, learn: Learn, memory: Any, key: Any) -> Tally:
    """A whole life, dead steps skipped by ``lax.cond``."""
    import jax
    import jax.numpy as jnp

    birth, life = jax.random.split(key)

    def awake(carry: Any, t: Any) -> Any:
        state, memory, tally, _ = carry
        see, choose, change = jax.random.split(jax.random.fold_in(life, t), 3)
        memory, action = act(memory, observe(world, state, see), choose)
        state, event = step(world, state, action, change)
        memory, *learned = learn(memory, event)
        ended = (state.energy <= 0) | (state.integrity <= 0)
        return state, memory, _count(tally, state, event, action, *learned), ended

    def body(carry: Any, t: Any) -> tuple[Any, None]:
        return jax.lax.cond(carry[3], lambda c, _: c, awake, carry, t), None

    start = (reset(world, birth), memory, _nothing(), jnp.array(False))
    return jax.lax.scan(body, start, jnp.arange(world.steps))[0][2]


def no_learning(memory: Any, event: Event) -> tuple[Any, float, float]:  # noqa: ARG001
    """The memory as it was."""
    return memory, 0.0, 0.0


def _cells(world: World, key: Any) -> Any:
    """A uniform cell for each source."""
    import jax
    import jax.numpy as jnp

    size = jnp.array([world.width, world.height])
    return jax.random.randint(key, (world.sources, 2), 0, size)


def _touched(state: State, position: Any) -> Any:
    import jax.numpy as jnp

    return state.active & jnp.all(state.cells == position, axis=-1)


def _drive(state: State) -> Any:
    return (state.energy - 1.0) ** 2 + (state.integrity - 1.0) ** 2


def _turn_over(world: World, state: State, arrived: Any, key: Any) -> State:
    """Eaten sources disappear, missing ones wait and come back elsewhere."""
    import jax
    import jax.numpy as jnp

    coin, where = jax.random.split(key)
    used_up = jax.random.bernoulli(coin, world.harmful_deplete_p, (world.sources,))
    eaten = arrived & (~state.bad | used_up)
    bad_delay = world.harmful_respawn_delay
    bad_delay = bad_delay if bad_delay >= 0 else world.respawn_delay
    delay = jnp.where(state.bad, bad_delay, world.respawn_delay)
    waited = jnp.where(state.active, state.timer, jnp.maximum(state.timer - 1, 0))
    timer = jnp.where(eaten, delay, waited)
    active = state.active & ~eaten
    back = ~active & (timer == 0)
    cells = jnp.where(back[:, None], _cells(world, where), state.cells)
    return state._replace(cells=cells, active=active | back, timer=timer)


def _nothing() -> Tally:
    """The tally of a life not begun."""
    import jax.numpy as jnp

    zeros = dict.fromkeys(Tally._fields, jnp.float32(0.0))
    return Tally(**zeros)._replace(
        integrity_min=jnp.float32(1.0), actions=jnp.zeros(len(MOVES), jnp.float32)
    )


def _count(
    tally: Tally, state: State, event: Event, action: Any, change: Any, modulator: Any
) -> Tally:
    import jax.numpy as jnp

    eventful = ((event.gained > 0) | (event.lost > 0)).astype(jnp.float32)
    return Tally(
        alive=tally.alive + 1.0,
        gained=tally.gained + event.gained,
        reached=jnp.maximum(tally.reached, event.reached.astype(jnp.float32)),
        bad=tally.bad + event.bad,
        lost=tally.lost + event.lost,
        integrity_min=jnp.minimum(tally.integrity_min, state.integrity),
        actions=tally.actions.at[action].add(1.0),
        events=tally.events + eventful,
        change=tally.change + change,
        event_change=tally.event_change + eventful * change,
        modulator=tally.modulator + jnp.abs(modulator),
    )
