"""Train the council on PatternWorld and measure both systems, the gate and what thinking gains.

::

    .venv/bin/python benchmarks/study_council.py                  # lists the arms
    .venv/bin/python benchmarks/study_council.py switch affine    # runs these, records benchmarks/results/council.json
    .venv/bin/python benchmarks/study_council.py ablations        # three seeds, half of the steps

Every run has a directory under ``runs/council/``: a study that was killed resumes there, and arms that are finished are read
from their files; runs take one core each.  ``--seeds`` and ``--steps`` make smaller trials, which are printed and not recorded.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from council_arms import ABLATIONS, ARMS, Arm
from council_gate import expected, reliability
from council_hops import hops
from council_recur import Solver
from overheard import Overheard
from study_runs import ABLATION, Study, means, once, place
from tropism.agents.contract import Budget, Task
from tropism.agents.episodes import Episode
from tropism.agents.evaluate import RandomGate, evaluate
from tropism.agents.runs import Run
from tropism.benchmarks.gate import compare, pool
from tropism.benchmarks.metrics.compute import mean_compute
from tropism.benchmarks.metrics.episodes import since_switch
from tropism.benchmarks.metrics.lag import excess_lag, savings
from tropism.benchmarks.metrics.ranks import auroc
from tropism.benchmarks.metrics.score import accuracy, log_regret, normalised_score
from tropism.benchmarks.references import play_references

RESULT = Path(__file__).parent / "results" / "council.json"
HOME = Path("runs/council")
EPISODES = 20
STABLE = 10
"""Steps after a switch from which on a regime counts as stable."""


def train(arm: Arm, seed: int, home: Path, steps: int) -> tuple[Any, float | None]:
    """The policy of a run, from its latest checkpoint on, and the seconds it took; None if it was resumed."""
    from tropism_council.agent import CouncilAgent
    from tropism_council.config import CouncilConfig

    task = Task(f"tropism/PatternWorld-{arm.tier}-v0", kwargs=dict(arm.train))
    agent = CouncilAgent(CouncilConfig(**arm.config, threads=1), seed)
    facts = {"agent": "council", "arm": str(arm), "seed": seed, "steps": steps}
    started, resumed = time.perf_counter(), home.exists()
    with Run(home, facts, resume=resumed) as run:
        policy = agent.train(task, Budget(env_steps=steps), run)
    return policy, None if resumed else time.perf_counter() - started


def measure(policy: Any, arm: Arm) -> dict[str, Any]:
    """Both systems, the gate, and the gate at random, on the same test episodes."""
    kwargs = arm.train if arm.test is None else arm.test
    task = Task(f"tropism/PatternWorld-{arm.tier}-v0", kwargs=dict(kwargs))
    seeds = range(task.test_seeds[0], task.test_seeds[0] + EPISODES)
    references = play_references(task, seeds)
    if arm.test:
        references = {**references, "ideal": evaluate(Solver(remembers=True), task, seeds)}
    heard = Overheard(policy)
    own = evaluate(heard, task, seeds, belief=True, lanes=EPISODES)
    rate = float(np.mean(np.concatenate([e.gated for e in own if e.gated is not None])))
    control = evaluate(policy, task, seeds, gate=RandomGate(rate), belief=True)
    flat, deep = (evaluate(policy, task, seeds, gate=RandomGate(p), belief=True) for p in (0, 1))
    found = {
        **scores(own, references),
        **when(own),
        "S1": accuracy(flat),
        "S2": accuracy(deep),
        "S1_log_regret": log_regret(flat, references["ideal"]),
        "S2_log_regret": log_regret(deep, references["ideal"]),
        "S2_savings": savings(deep),
        "matched": compare(own, control, rate).to_json(),
        "matched_nats": nats(control) - nats(own),
        "reliability": reliability(expected(heard, own), _gains(deep, flat)),
        "hops": hops(deep, flat) if arm.tier == "Hop" else None,
    }
    unknown = [key for key, x in found.items() if isinstance(x, float) and not np.isfinite(x)]
    return found | dict.fromkeys(unknown)


def scores(own: Sequence[Episode], references: Mapping[str, Sequence[Episode]]) -> dict[str, float]:
    """How good the answers were, and how late beside the ideal observer's."""
    ideal, chance = references["ideal"], references["random"]
    return {
        "accuracy": accuracy(own),
        "ideal_accuracy": accuracy(ideal),
        "normalised": normalised_score(own, ideal, chance),
        "log_regret": log_regret(own, ideal),
        "excess_lag": excess_lag(own, ideal),
        "savings": savings(own),
        "ideal_savings": savings(ideal),
        "compute": mean_compute(own),
    }


def when(episodes: Sequence[Episode]) -> dict[str, float]:
    """When System 2 was asked."""
    since = np.concatenate([since_switch(e) for e in episodes])
    gated = np.concatenate([e.gated for e in episodes if e.gated is not None])
    units = np.concatenate([e.compute for e in episodes])
    near = (since >= 1) & (since <= 3)
    return {
        "asked": float(gated.mean()),
        "asked_stable": float(gated[since > STABLE].mean()),
        "asked_near": float(gated[near].mean()),
        "auroc": auroc(units, near),
    }


def _gains(deep: Sequence[Episode], flat: Sequence[Episode]) -> np.ndarray:
    """By how much likelier System 2 found the right answer than System 1, step by step, ``float[E, T]``."""
    both = ([e.target_log_prob for e in side] for side in (deep, flat))
    better, worse = (np.exp(np.stack([x for x in side if x is not None])) for side in both)
    return better - worse


def nats(episodes: Sequence[Episode]) -> float:
    """Mean negative log-likelihood of the right answers."""
    said = [e.target_log_prob for e in episodes if e.target_log_prob is not None]
    return -float(np.mean(np.concatenate(said)))


def run(name: str, arm: Arm, seed: int, steps: int) -> dict[str, Any]:
    """The findings of a run; from its file if it is finished."""
    home = place(HOME, name, seed, steps)
    facts = {"arm": name, "settings": str(arm), "seed": seed, "steps": steps}

    def work() -> dict[str, Any]:
        policy, seconds = train(arm, seed, home / "run", steps)
        return {"seconds": seconds, **measure(policy, arm)}

    return once(home, facts, work)


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means over seeds with 95 % intervals; the gain over the matched random gate by seeds and episodes."""
    names = [k for k in rows[0] if any(isinstance(row[k], float) for row in rows)]
    found = means([{name: row[name] for name in names} for row in rows])
    return {**found, "matched": pool([row["matched"] for row in rows]), "seeds": len(rows)}


def show(name: str, found: Mapping[str, Any]) -> None:
    """One arm, for people."""
    told = (
        "accuracy",
        "S1",
        "S2",
        "normalised",
        "excess_lag",
        "asked_stable",
        "asked_near",
        "auroc",
        "savings",
        "seconds",
    )
    print(f"{name}: " + ", ".join(f"{k} {found[k]['mean']:.3f}" for k in told if k in found))
    m = found["matched"]
    print(
        f"    gain over a random gate {m['gain']:.2f} [{m['low']:.2f}, {m['high']:.2f}] points at compute {m['compute']:.2f} and {m['control_compute']:.2f}"
    )


if __name__ == "__main__":
    Study(
        __doc__,
        Path(__file__).name,
        RESULT,
        ARMS,
        ABLATIONS,
        lambda name: 3 if name.startswith(ABLATION) else 5,
        run,
        summary,
        show,
    ).main()
