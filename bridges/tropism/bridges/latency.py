"""How long a step over the bridge takes on this machine: every transport, several sizes, a game that does nothing."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from itertools import product
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium import spaces

from tropism.bridges.env import BridgeEnv
from tropism.bridges.errors import BridgeError
from tropism.errors import UnknownNameError

TRANSPORTS = ("shm", "tcp", "unix", "ws")
PEER = "async-vector"
"""Gymnasium's `AsyncVectorEnv` with one environment and shared memory, what one would use without a bridge."""
SIZES = (64, 21_168, 49_152, 921_600)
"""Bytes of an observation: a vector, and frames of 84 x 84, 128 x 128 and 640 x 480 in colour."""
WARM_UP = 50


class NullGame(gymnasium.Env):
    """An environment that does nothing: 32 bytes of action in, `size` bytes out, no end."""

    def __init__(self, size: int) -> None:
        self.observation_space = spaces.Box(0, 255, (size,), np.uint8)
        self.action_space = spaces.Box(-1, 1, (8,), np.float32)
        self._frame = np.zeros(size, np.uint8)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """The frame."""
        super().reset(seed=seed, options=options)
        return self._frame, {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:  # noqa: ARG002
        """The frame again."""
        return self._frame, 0.0, False, False, {}


class Latency(NamedTuple):
    """What was measured of one transport and size: medians over the rounds.

    Attributes:
        transport: its name, or `PEER`.
        size: bytes of an observation.
        p50_us: median time of a step in microseconds.
        p99_us: its 99th percentile.
        steps_per_s: steps in a second.
        error: why nothing could be measured; the figures are NaN then.
    """

    transport: str
    size: int
    p50_us: float = float("nan")
    p99_us: float = float("nan")
    steps_per_s: float = float("nan")
    error: str = ""


def measure(
    transports: Sequence[str] = TRANSPORTS,
    sizes: Sequence[int] = SIZES,
    *,
    rounds: int = 3,
    seconds: float = 0.5,
    update: Callable[[float], None] | None = None,
) -> list[Latency]:
    """Measure every transport with every size, in turns, so that a busy moment does not fall on one of them.

    Args:
        transports: of `TRANSPORTS`, or `PEER`.
        sizes: bytes of an observation.
        rounds: turns of each.
        seconds: of each turn, beside the start of the game.
        update: is told how many turns are over.

    Raises:
        UnknownNameError: there is no such transport.
    """
    for name in transports:
        if name not in (*TRANSPORTS, PEER):
            raise UnknownNameError("transport", name, [*TRANSPORTS, PEER])
    cells = list(product(transports, sizes))
    turns: dict[tuple[str, int], list[Latency]] = {cell: [] for cell in cells}
    for number, cell in enumerate(cells * rounds, 1):
        turns[cell].append(_turn(*cell, seconds))
        if update is not None:
            update(number)
    return [_median(measured) for measured in turns.values()]


def _turn(transport: str, size: int, seconds: float) -> Latency:
    """One game, started, stepped for some time and ended."""
    try:
        with _stepping(transport, size) as step:
            times = _times(step, seconds)
    except BridgeError as error:
        return Latency(transport, size, error=str(error).splitlines()[0])
    p50, p99 = np.percentile(times, [50, 99]) * 1e6
    return Latency(transport, size, float(p50), float(p99), len(times) / sum(times))


@contextmanager
def _stepping(transport: str, size: int) -> Iterator[Callable[[], Any]]:
    """A function that steps the game once."""
    if transport == PEER:
        vector = gymnasium.vector.AsyncVectorEnv([partial(NullGame, size)], context="spawn")
        with closing(vector):
            vector.reset()
            yield partial(vector.step, np.zeros((1, 8), np.float32))
        return
    env = BridgeEnv(
        env_id=f"{__name__}:NullGame",
        env_kwargs={"size": size},
        transport=transport,
        check_values="off",
    )
    with closing(env):
        env.reset()
        yield partial(env.step, np.zeros(8, np.float32))


def _times(step: Callable[[], Any], seconds: float) -> list[float]:
    """Seconds of each step."""
    for _ in range(WARM_UP):
        step()
    times, clock = [], time.perf_counter
    end = clock() + seconds
    while (began := clock()) < end or not times:
        step()
        times.append(clock() - began)
    return times


def _median(turns: list[Latency]) -> Latency:
    """The medians of those turns that could be played."""
    good = [turn for turn in turns if not turn.error]
    if not good:
        return turns[0]
    figures = (statistics.median(values) for values in zip(*(t[2:5] for t in good), strict=True))
    return Latency(*good[0][:2], *figures)
