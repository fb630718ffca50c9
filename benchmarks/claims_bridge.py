"""What is promised of the game bridge, held against the records of ``bench_bridge.py`` and ``bridge_faults.py``.

Part of ``claims.py``, which prints it.  Each check is given ``read``, which returns a recorded result by name.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

Read = Callable[[str], dict[str, Any]]
Finding = tuple[bool, str]
RATIOS = {
    "shared memory to TCP, bare game": 10,
    "TCP to Godot RL, bare games": 1.3,
    "TCP to dm_env_rpc, bare games": 2,
    "4 bare games over TCP to AsyncVectorEnv": 2.5,
    "8 games, as they choose to block only": 0.9,
}
"""Least ratio of steps per second, as ``bench_bridge.py`` has it too."""
SERVED = {
    "shared memory to TCP, bare game": "shared memory to TCP, served environment",
    "TCP to Godot RL, bare games": "TCP to Godot RL, served environment to bare game",
    "4 bare games over TCP to AsyncVectorEnv": "4 served games over TCP to AsyncVectorEnv",
}
"""The same with an environment of Gymnasium behind it, to which nothing was promised: told beside it."""
GODOT, CLASS = 12_000, 2
"""Steps per second of the class of the Godot 3 example, and the factor within which it is met."""


def ratio(name: str, read: Read) -> Finding:
    """One of :data:`RATIOS`."""
    rows = read("bridge")["ratios"]
    found = rows[name]["ratio"]
    beside = f"; {SERVED[name]} {rows[SERVED[name]]['ratio']:.2f} x" if name in SERVED else ""
    return found >= RATIOS[name], f"{found:.2f} x ({RATIOS[name]:g}){beside}"


def godot(read: Read) -> Finding:
    """The example game of the Godot client."""
    steps = read("bridge")["results"]["Godot 3 example, tcp"]["steps_per_s"]
    return steps >= GODOT / CLASS, f"{steps:,.0f} steps/s, {steps / GODOT:.2f} of the class"


def spinning(read: Read) -> Finding:
    """Published, whatever it is: what two processes could do that never sleep."""
    start, rows = "C spinning to shared memory, ", read("bridge")["ratios"]
    found = {n.removeprefix(start): rows[n]["ratio"] for n in rows if n.startswith(start)}
    return bool(found), ", ".join(f"{game} {x:.1f} x shared memory" for game, x in found.items())


def figures(read: Read, what: str, name: str) -> tuple[bool, list[float]]:
    """Whether all tests that show it have run and passed, and a figure of each."""
    row = read("bridge_faults")["results"][what]
    return not row.get("failed") and not row.get("skipped"), row["figures"][name]


def counted(what: str, name: str, least: float, read: Read) -> Finding:
    """Something was done often enough, and every test of it passed."""
    passed, found = figures(read, what, name)
    return passed and sum(found) >= least, f"{sum(found):,.0f} {name}" + (
        "" if passed else ", not all passed"
    )


def torn(read: Read) -> Finding:
    """Frames of shared memory that are read while they are written."""
    passed, reads = figures(read, "frames read while they are written", "reads")
    broken = sum(figures(read, "frames read while they are written", "torn")[1])
    return passed and max(reads) >= 1e6 and not broken, f"{broken:.0f} of {sum(reads):,.0f} torn"


def training(read: Read) -> Finding:
    """PPO on CartPole over each transport, whose game is killed twenty times."""
    passed, kills = figures(read, "PPO through kills", "kills")
    returns = figures(read, "PPO through kills", "last_returns")[1]
    kept = passed and len(kills) == 4 and min(kills) >= 20
    return (
        kept,
        f"{min(kills):.0f} kills on each of {len(kills)}; returns at least {min(returns):.0f}",
    )


def fuzz(read: Read) -> Finding:
    """Streams with mutations, through the decoders of Python and of C."""
    rows = {"Python": "mutated streams, Python", "C": "mutated streams, C, many"}
    found = {name: counted(what, "streams", 1e5, read) for name, what in rows.items()}
    return all(kept for kept, _ in found.values()), ", ".join(
        f"{k} {v}" for k, (_, v) in found.items()
    )


def age(read: Read) -> Finding:
    """How old a state is when a 20 Hz reader gets it from a 60 Hz game; of the longest run."""
    passed, found = figures(read, "age of BonkLink's states", "p95_ms")
    return passed and len(found) > 1 and found[-1] < 50, f"{found[-1]:.1f} ms (50)"


def resets(read: Read) -> Finding:
    """Resets of the Research protocol that arrive, with the original's loop and with ours."""
    rows = ("resets of the Research protocol", "resets of its own game")
    found = [counted(what, "resets", 200, read) for what in rows]
    return all(kept for kept, _ in found), ", ".join(numbers for _, numbers in found)


BRIDGE: dict[str, Callable[[Read], Finding]] = {
    **{f"bridge: {name}, at least {RATIOS[name]:g}": partial(ratio, name) for name in RATIOS},
    "bridge: Godot 3 example 12 k steps/s (class)": godot,
    "bridge: C spinning published": spinning,
    "bridge: nothing left of 200 killed agents": partial(counted, "agents killed", "kills", 200),
    "bridge: nothing left of 200 killed games": partial(counted, "games killed", "kills", 200),
    "bridge: no frame of a million torn": torn,
    "bridge: PPO learns through 20 kills, four transports": training,
    "bridge: 100,000 mutated streams harm nobody": fuzz,
    "bridge: BonkLink's states at most 50 ms old, p95": age,
    "bridge: 200 of 200 resets of the Research protocol": resets,
}
