"""What the bridge costs a step, beside other bridges and vectors, in one run.

Writes ``benchmarks/results/bridge.json``::

    .venv/bin/python benchmarks/bench_bridge.py --peers peers/bin/python --record

Everything plays games that do nothing, each in a process of its own: environments that are served (``bridge_null.py``) and, as the
peers' games are, bare loops around a socket (``bridge_bare.py``).  Contestants take turns (A B C A B C ...), so that
a busy machine slows all alike; each figure is the median of five rounds.  ``--peers`` is a Python with dm-env-rpc and godot-rl, see
``bridge_peers.py``; without it, without ``cc`` or without ``godot3-server`` their rows are left out, and said to be.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from bridge_null import NullEnv, framed
from tropism.agents.artifacts import write_atomic
from tropism.agents.manifest import manifest
from tropism.agents.progress import progress
from tropism.bridges.env import BridgeEnv
from tropism.bridges.vector import BridgeVectorEnv

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "bridge.json"
ROUNDS = 5
TRANSPORTS = ("tcp", "unix", "ws", "shm")
GAMES = {"vector": NullEnv, "vector and frame": framed}
GODOT = HERE.parent / "bridges/tropism/bridges/clients/godot"
Times = list[float]


def timed(step: Callable[[], Any], steps: int) -> Times:
    """Microseconds of each of ``steps`` calls; a tenth as many before them are not counted."""
    for _ in range(steps // 10):
        step()
    marks = [time.perf_counter()]
    for _ in range(steps):
        step()
        marks.append(time.perf_counter())
    return (np.diff(marks) * 1e6).tolist()


def null(game: str, **kwargs: Any) -> dict[str, Any]:
    """Arguments of a bridge to a game of :data:`GAMES`."""
    return {
        "env_id": f"bridge_null:{GAMES[game].__name__}",
        "env": {"PYTHONPATH": os.pathsep.join([str(HERE), *filter(None, sys.path)])},
        **kwargs,
    }


@contextmanager
def single(game: str, transport: str) -> Iterator[Callable[[], Times]]:
    """One game over one transport."""
    env = BridgeEnv(**null(game, transport=transport))
    env.reset(seed=0)
    action = np.zeros(1, np.float32)
    steps = 20_000 if transport == "shm" else 5_000
    yield lambda: timed(lambda: env.step(action), steps)
    env.close()


@contextmanager
def bare(transport: str, spin_us: float | None = None) -> Iterator[Callable[[], Times]]:
    """The same against a game that is a bare loop, as those of the peers are; with ``spin_us=0`` the agent sleeps at once."""
    command = [sys.executable, str(HERE / "bridge_bare.py")]
    env = BridgeEnv(command, transport=transport, spin_us=spin_us)
    env.reset(seed=0)
    action = np.zeros(1, np.float32)
    steps = 20_000 if transport == "shm" else 5_000
    yield lambda: timed(lambda: env.step(action), steps)
    env.close()


@contextmanager
def several(games: int, **kwargs: Any) -> Iterator[Callable[[], Times]]:
    """Some games side by side; a call is a step of all."""
    env = BridgeVectorEnv(games, **null("vector and frame", **kwargs))
    env.reset(seed=0)
    actions = np.zeros((games, 1), np.float32)
    yield lambda: timed(lambda: env.step(actions), 2_000)
    env.close()


@contextmanager
def several_bare(
    games: int, transport: str, spin_us: float | None = None
) -> Iterator[Callable[[], Times]]:
    """The same with bare loops; in memory they do not look before they sleep, as there are more of them than processors."""
    command = [sys.executable, str(HERE / "bridge_bare.py"), "frame", "sleep"]
    env = BridgeVectorEnv(games, command=command, transport=transport, spin_us=spin_us)
    env.reset(seed=0)
    actions = np.zeros((games, 1), np.float32)
    yield lambda: timed(lambda: env.step(actions), 2_000)
    env.close()


@contextmanager
def gymnasium_async(games: int) -> Iterator[Callable[[], Times]]:
    """Gymnasium's ``AsyncVectorEnv`` with the same games."""
    from gymnasium.vector import AsyncVectorEnv

    env = AsyncVectorEnv([framed] * games, shared_memory=True, context="spawn")
    env.reset(seed=0)
    actions = np.zeros((games, 1), np.float32)
    yield lambda: timed(lambda: env.step(actions), 1_000)
    env.close()


@contextmanager
def peer(python: str, name: str) -> Iterator[Callable[[], Times]]:
    """Another bridge's own client, in its own environment."""
    command = [python, str(HERE / "bridge_peers.py"), name, "3000"]
    yield lambda: json.loads(subprocess.run(command, capture_output=True, check=True).stdout)[name]


@contextmanager
def c_spin(size: int) -> Iterator[Callable[[], Times]]:
    """Two C processes that spin."""
    with tempfile.TemporaryDirectory() as home:
        program = f"{home}/spin"
        source = str(HERE / "bridge_spin.c")
        subprocess.run(["cc", "-O2", "-std=gnu11", source, "-o", program], check=True)
        command = [program, str(size), "20000"]

        def play() -> Times:
            out = subprocess.run(command, capture_output=True, check=True, text=True).stdout
            return [int(line) / 1e3 for line in out.split()]

        yield play


@contextmanager
def godot(spin_us: float | None = None) -> Iterator[Callable[[], Times]]:
    """The example game of the Godot client; with ``spin_us=0`` the agent sleeps at once."""
    command = ["godot3-server", "--path", str(GODOT), "--fixed-fps", "60"]
    env = BridgeEnv(command, transport="tcp", spin_us=spin_us)
    env.reset(seed=0)
    rng = np.random.default_rng(0)

    def step() -> None:
        outcome = env.step(int(rng.integers(env.action_space.n)))  # type: ignore[attr-defined]
        if outcome[2] or outcome[3]:
            env.reset()

    yield lambda: timed(step, 5_000)
    env.close()


def contestants(peers: str | None) -> dict[str, Any]:
    """Everybody who can play here, by name; what is missing is said."""
    found: dict[str, Any] = {
        f"{game}, {transport}": (single, game, transport)
        for game in GAMES
        for transport in TRANSPORTS
    }
    found |= {f"bare game, {transport}": (bare, transport) for transport in TRANSPORTS[::3]}
    found |= {f"4 bare games, {how}": (several_bare, 4, how) for how in ("tcp", "unix", "shm")}
    found |= {
        "bare game, tcp, spin_us=0": (bare, "tcp", 0.0),
        "4 bare games, unix, spin_us=300": (several_bare, 4, "unix", 300.0),
        "4 games, tcp": (several, 4, {"transport": "tcp"}),
        "4 games, shm": (several, 4, {"transport": "shm"}),
        "4 games, AsyncVectorEnv": (gymnasium_async, 4),
        "8 games, shm": (several, 8, {"transport": "shm"}),
        "8 games, shm, blocking only": (several, 8, {"transport": "shm", "spin_us": 0}),
    }
    for name in ("godot_rl", "dm_env_rpc"):
        _add(found, f"vector, {name}", peers and (peer, peers, name), "--peers")
    for game, size in (("vector", 128), ("vector and frame", 21_296)):
        _add(found, f"{game}, C spinning", shutil.which("cc") and (c_spin, size), "cc")
    there = shutil.which("godot3-server")
    _add(found, "Godot 3 example, tcp", there and (godot,), "godot3-server")
    _add(found, "Godot 3 example, tcp, spin_us=0", there and (godot, 0.0), "godot3-server")
    return found


def _add(found: dict[str, Any], name: str, how: Any, needs: str) -> None:
    if how:
        found[name] = how
    else:
        print(f"left out, for want of {needs}: {name}", file=sys.stderr)


def measure(how: Sequence[Any]) -> Times:
    """One round of one contestant, from launch to close."""
    make, *args = how
    kwargs = args.pop() if args and isinstance(args[-1], dict) else {}
    with make(*args, **kwargs) as play:
        return play()


def run(peers: str | None, rounds: int) -> dict[str, Any]:
    """All rounds of all contestants."""
    who = contestants(peers)
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in who}
    with progress(rounds * len(who), "bridge") as update:
        done = 0
        for _ in range(rounds):
            for name, how in who.items():
                times = measure(how)
                games = int(name[0]) if name[0].isdigit() else 1
                rate = games * 1e6 / statistics.fmean(times)
                p50, p99 = np.percentile(times, [50, 99])
                rows[name].append({"p50_us": p50, "p99_us": p99, "steps_per_s": rate})
                update(done := done + 1)
    return {name: summary(found) for name, found in rows.items()}


def summary(rounds: list[dict[str, float]]) -> dict[str, Any]:
    """Medians over rounds."""
    middle = {key: round(statistics.median(row[key] for row in rounds), 2) for key in rounds[0]}
    return {**middle, "rounds": [round(row["steps_per_s"]) for row in rounds]}


RATIOS = {
    "shared memory to TCP, bare game": ("bare game, shm", "bare game, tcp, spin_us=0", 10),
    "shared memory to TCP that looks before it sleeps, bare game": (
        "bare game, shm",
        "bare game, tcp",
        None,
    ),
    "TCP that sleeps at once to Godot RL, bare games": (
        "bare game, tcp, spin_us=0",
        "vector, godot_rl",
        None,
    ),
    "TCP to Godot RL, bare games": ("bare game, tcp", "vector, godot_rl", 1.3),
    "TCP to dm_env_rpc, bare games": ("bare game, tcp", "vector, dm_env_rpc", 2),
    "shared memory to TCP, served environment": ("vector, shm", "vector, tcp", None),
    "TCP to Godot RL, served environment to bare game": ("vector, tcp", "vector, godot_rl", None),
    "4 bare games over TCP to AsyncVectorEnv": (
        "4 bare games, tcp",
        "4 games, AsyncVectorEnv",
        2.5,
    ),
    "4 bare games over Unix sockets, spin_us=300, to AsyncVectorEnv": (
        "4 bare games, unix, spin_us=300",
        "4 games, AsyncVectorEnv",
        None,
    ),
    "4 served games over TCP to AsyncVectorEnv": ("4 games, tcp", "4 games, AsyncVectorEnv", None),
    "4 served games in shared memory to AsyncVectorEnv": (
        "4 games, shm",
        "4 games, AsyncVectorEnv",
        None,
    ),
    "8 games, as they choose to block only": ("8 games, shm", "8 games, shm, blocking only", 0.9),
    "C spinning to shared memory, bare game": ("vector, C spinning", "bare game, shm", None),
    "C spinning to shared memory, vector": ("vector, C spinning", "vector, shm", None),
    "C spinning to shared memory, frame": (
        "vector and frame, C spinning",
        "vector and frame, shm",
        None,
    ),
}
"""Rates compared: of whom, to whom, and what was promised; of shared memory beside a connection that sleeps, as theirs did then."""


def ratios(rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What of :data:`RATIOS` could be measured."""
    return {
        name: {
            "ratio": round(rows[a]["steps_per_s"] / rows[b]["steps_per_s"], 2),
            "promised": least,
        }
        for name, (a, b, least) in RATIOS.items()
        if a in rows and b in rows
    }


def main() -> None:
    """Measure, print, record."""
    parser = argparse.ArgumentParser(description="Measure the bridge beside its peers.")
    parser.add_argument("--peers", help="a Python with dm-env-rpc and godot-rl")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--record", action="store_true", help=f"write {RESULTS.name}")
    args = parser.parse_args()
    rows = run(args.peers, args.rounds)
    record = {
        "command": "python benchmarks/bench_bridge.py --peers PYTHON --record",
        **{k: v for k, v in manifest().items() if k not in ("command", "seed")},
        "results": rows,
        "ratios": ratios(rows),
    }
    for name, row in rows.items():
        print(
            f"{name:40} p50 {row['p50_us']:9.1f} µs  p99 {row['p99_us']:9.1f} µs  {row['steps_per_s']:10,.0f} steps/s"
        )
    for name, ratio in record["ratios"].items():
        print(
            f"{name:46} {ratio['ratio']:8.2f} x"
            + (f" (promised {ratio['promised']})" if ratio["promised"] else "")
        )
    if args.record:
        write_atomic(RESULTS, json.dumps(record, indent=1, allow_nan=False) + "\n")


if __name__ == "__main__":
    main()
