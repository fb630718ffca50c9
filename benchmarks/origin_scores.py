"""What three simple players score in the restated world of koki2.

Prints, and records nothing::

    .venv/bin/python benchmarks/origin_scores.py

koki2's own command, 512 lives each, gave on L0.2: greedy 154.9, random 133.9, stay 129.8; on L1.0: greedy 130.8,
random 144.2; on L1.1: greedy 159.8 (standard errors .6 to 1.6).  The restatement must agree with these.
"""

from __future__ import annotations

import argparse
from typing import Any

from origin_world import MOVES, WORLDS, Act, Tally, World, live, no_learning

EPISODES = 5_120
SEED = 424_242


def stay(memory: Any, observation: Any, key: Any) -> tuple[Any, Any]:  # noqa: ARG001
    """Never move."""
    return memory, 0


def wander(memory: Any, observation: Any, key: Any) -> tuple[Any, Any]:  # noqa: ARG001
    """Any of the five actions, whatever is seen."""
    import jax

    return memory, jax.random.randint(key, (), 0, len(MOVES))


def climb(memory: Any, observation: Any, key: Any) -> tuple[Any, Any]:  # noqa: ARG001
    """Along the steeper axis of the gradient, x when both are alike; stay where there is none."""
    import jax.numpy as jnp

    x, y = observation[0], observation[1]
    along_x, along_y = jnp.where(x > 0, 4, 3), jnp.where(y > 0, 2, 1)
    walk = jnp.where(jnp.abs(x) >= jnp.abs(y), along_x, along_y)
    return memory, jnp.where((x == 0) & (y == 0), 0, walk)


PLAYERS: dict[str, Act] = {"greedy": climb, "random": wander, "stay": stay}


def scores(world: World, player: str, episodes: int = EPISODES, seed: int = SEED) -> Tally:
    """The tallies of ``episodes`` lives of a simple player, each field float32[episodes]."""
    import jax

    keys = jax.random.split(jax.random.key(seed), episodes)
    return jax.jit(jax.vmap(lambda key: live(world, PLAYERS[player], no_learning, (), key)))(keys)


def main() -> None:
    """Print the table of scores."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--episodes", type=int, default=EPISODES)
    episodes = parser.parse_args().episodes
    for name, world in WORLDS.items():
        for player in PLAYERS:
            tally = scores(world, player, episodes)
            mean, error = tally.fitness.mean(), tally.fitness.std(ddof=1) / episodes**0.5
            print(
                f"{name:14s}{player:8s}{mean:8.2f} ±{error:5.2f}   reached {tally.reached.mean():.3f}"
                f"   alive {tally.alive.mean():6.1f}   bad arrivals {tally.bad.mean():.3f}"
            )


if __name__ == "__main__":
    main()
