"""The working half of ``bench_evolution.py``: a process that evolves when it is asked, and says how long it took."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

ENV_ID = "tropism/Chemotaxis-L0.2-v0"
STEPS = 128


@dataclass(frozen=True)
class Work:
    """What one contestant does in one turn.

    ``who`` is ``koki2``, the peer, or one of our presets: ``tropism``, or ``origin``, koki2's algorithm on our code.
    """

    who: str = "tropism"
    devices: int = 1
    network: str = "spiking"
    plastic: bool = False
    population: int = 128
    episodes: int = 8
    generations: int = 20

    @property
    def steps(self) -> int:
        """Environment steps of a turn."""
        return self.generations * self.population * self.episodes * STEPS


def prepare(work: Work) -> Callable[[], Any]:
    """What does the work and returns when it is done, compiled at the first call at the latest."""
    if work.who == "koki2":
        from origin_evolution import origin_generations

        sizes = work.population, work.episodes, STEPS
        return origin_generations(work.generations, *sizes, plastic=work.plastic)
    return evolve(work)


def evolve(work: Work) -> Callable[[], Any]:
    """The same of ours."""
    from tropism_evosax.config import preset
    from tropism_evosax.evolution import Evolution

    config = preset(work.who, env_id=ENV_ID, controller=work.network, devices=work.devices)
    sizes = {name: getattr(work, name) for name in ("population", "episodes", "generations")}
    learning = {"plasticity": {"modulator": "event"}} if work.plastic else {}
    options = {**config.controller_kwargs, **learning}
    evolution = Evolution(replace(config, controller_kwargs=options, steps=STEPS, **sizes))

    def run() -> None:
        state, done = evolution.start(0), 0
        while done < work.generations:
            state, rows = evolution.advance(state, work.generations - done)
            done += len(rows)

    return run


def serve() -> None:
    """Answer each line of work on stdin with the seconds it took, and those it took to get ready."""
    ready: dict[Work, tuple[Callable[[], Any], float]] = {}
    for line in sys.stdin:
        work = Work(**json.loads(line))
        if work not in ready:
            began = time.perf_counter()
            run = prepare(work)
            run()
            ready[work] = run, time.perf_counter() - began
        run, first = ready[work]
        began = time.perf_counter()
        run()
        print(json.dumps([time.perf_counter() - began, first]), flush=True)


if __name__ == "__main__":
    serve()
