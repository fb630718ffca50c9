"""Steps per second of any id on any face, beside named peers, in one run.

Contestants take turns (A B A B ...), so that a busy machine slows all of them alike, and the figure of each
is the median of its rounds.  Every step is a whole step: auto-resets, default wrappers and fresh output
arrays included.  Random actions are drawn beforehand; in the jitted scans, of the suite and of the peer alike,
they are drawn inside.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from statistics import median
from typing import Any

import numpy as np

ROUNDS = 5
"""Rounds, and so the number of figures whose median is told."""
SINGLE_STEPS = 20_000
"""Steps a round of one environment."""
VECTOR_STEPS = {64: 2_000, 1024: 400}
"""Steps of the whole vector a round, by number of lanes."""
SCAN_LANES, SCAN_STEPS = 1024, 1000
"""Lanes and steps of one jitted scan."""

Round = Callable[[], float]
"""Plays one round and returns its steps per second."""


@dataclass(frozen=True)
class Speed:
    """The speed of one contestant.

    Attributes:
        face: ``single``, ``vector-64``, ``vector-1024`` or ``scan-1024``.
        name: Whose speed it is.
        steps_per_s: Median of the rounds, in environment steps a wall second.
        rounds: All of them.
        peer: The contestant it is compared with, or empty for a peer itself.
        ratio: Its median over the peer's, or ``None``.
    """

    face: str
    name: str
    steps_per_s: float
    rounds: tuple[float, ...]
    peer: str = ""
    ratio: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The same as JSON values."""
        return asdict(self)


def measure(
    ids: Mapping[str, Mapping[str, Any]],
    rounds: int = ROUNDS,
    progress: Callable[[float], None] = lambda _: None,
) -> list[Speed]:
    """Measure ids and peers, face by face.

    Args:
        ids: Keyword arguments of ``gym.make`` by id.
        rounds: Turns of each contestant.
        progress: Told the number of rounds played.

    Returns:
        One row a face and contestant; faces that an id does not have are left out.
    """
    speeds: list[Speed] = []
    fields = faces(ids)
    played = 0
    for face, contestants in fields.items():
        figures: dict[str, list[float]] = {name: [] for name in contestants}
        for _ in range(rounds):
            for name, play in contestants.items():
                figures[name].append(play())
                played += 1
                progress(played)
        speeds += _rows(face, figures, ids)
    return speeds


def faces(ids: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Round]]:
    """The contestants of each face, ready to play: the ids that have it, and the peer."""
    import gymnasium

    import tropism.envs  # noqa: F401  registers the ids

    field: dict[str, dict[str, Round]] = {
        "single": {name: single(name, kwargs) for name, kwargs in ids.items()}
        | {"CartPole-v1": single("CartPole-v1", {})}
    }
    fast = {n: k for n, k in ids.items() if gymnasium.spec(n).vector_entry_point is not None}
    for lanes in VECTOR_STEPS if fast else ():
        field[f"vector-{lanes}"] = {name: vector(name, lanes, k) for name, k in fast.items()} | {
            "CartPole-v1": vector("CartPole-v1", lanes, {})
        }
    if fast and find_spec("jax"):
        from tropism.benchmarks.throughput_jax import gymnax_cartpole, scan

        field[f"scan-{SCAN_LANES}"] = {name: scan(name, kwargs) for name, kwargs in fast.items()}
        if find_spec("gymnax"):
            field[f"scan-{SCAN_LANES}"]["gymnax CartPole-v1"] = gymnax_cartpole()
    return field


def single(env_id: str, kwargs: Mapping[str, Any]) -> Round:
    """One environment through ``gym.make``, default wrappers."""
    import gymnasium

    env = gymnasium.make(env_id, **kwargs)
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(SINGLE_STEPS)]
    env.reset(seed=0)

    def play() -> float:
        started = time.perf_counter()
        for action in actions:
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()
        return SINGLE_STEPS / (time.perf_counter() - started)

    return play


def vector(env_id: str, lanes: int, kwargs: Mapping[str, Any]) -> Round:
    """A vector through ``gym.make_vec``, its own vector class, its default auto-reset."""
    import gymnasium

    env = gymnasium.make_vec(env_id, lanes, vectorization_mode="vector_entry_point", **kwargs)
    env.action_space.seed(0)
    batches = np.array([env.action_space.sample() for _ in range(100)])
    env.reset(seed=0)
    steps = VECTOR_STEPS[lanes]

    def play() -> float:
        started = time.perf_counter()
        for step in range(steps):
            env.step(batches[step % len(batches)])
        return lanes * steps / (time.perf_counter() - started)

    return play


def _rows(face: str, figures: Mapping[str, list[float]], ids: Iterable[str]) -> list[Speed]:
    """Medians, and the ratio of each id to the face's peer."""
    medians = {name: median(rounds) for name, rounds in figures.items()}
    peer = next((name for name in figures if name not in set(ids)), "")
    return [
        Speed(
            face,
            name,
            medians[name],
            tuple(figures[name]),
            peer if name != peer else "",
            medians[name] / medians[peer] if peer and name != peer else None,
        )
        for name in figures
    ]
