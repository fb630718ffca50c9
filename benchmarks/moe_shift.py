r"""Measure how far the agent of ``tropism-moe`` adapts at play, where the world shifts to one that it was not trained on.

Trains nothing; takes trained policies of PatternWorld tasks, those of ``study_moe.py`` say, and writes
``benchmarks/results/moe_shift.json`` where asked to::

    .venv/bin/python benchmarks/moe_shift.py --record \
        tropism/PatternWorld-Switch-v0=runs/moe/switch-0-2000000/run/packed \
        tropism/PatternWorld-Affine-v0=runs/moe/affine-0-2000000/run/packed

An episode begins in the world of the training, and after some steps goes on, without notice, in another: some or all tokens exchange their names,
or the rules are those of another library.  Each way to adapt plays the same episodes of test seeds, one a lane; ``loss`` is what
the policy as it was trained loses by the shift, and ``recovered`` the share of it that a way has won back in the last quarter of the episode.
Milliseconds are CPU time of one thread, of a step of one lane among all that are played.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tropism.agents.artifacts import write_atomic
from tropism.agents.contract import Task
from tropism.agents.manifest import manifest
from tropism.agents.progress import progress
from tropism.envs.core.wrappers import hidden_keys, visible
from tropism_moe.agent import MoEAgent

RESULTS = Path(__file__).parent / "results" / "moe_shift.json"
PROMISED = 0.5
"""Share of the loss that is to be recovered."""
HEAD = {"adapt": "head", "adapt_rate": 0.1}
WAYS: dict[str, dict[str, Any]] = {
    "off": {},
    "head": HEAD,
    "head, forward": {**HEAD, "adapt_directions": 8, "adapt_rate": 3.0},
    "positions": {"adapt": "positions", "adapt_every": 4},
    "both": {**HEAD, "adapt": "both"},
    "fold": {"adapt": "fold"},
    "memory": {"memory": 10.0},
    "head, memory": {**HEAD, "memory": 4.0},
}
"""Options of each way to adapt, laid over those that the policy was saved with; rates were chosen on training seeds of Switch."""


class Shift(NamedTuple):
    """What becomes of the world.

    Attributes:
        renamed: share of the tokens that exchange their names.
        changes: arguments of the environment.
    """

    renamed: float
    changes: dict[str, Any]


def shifts(task: Task) -> dict[str, Shift]:
    """Of a task, by name."""
    found = {"a tenth renamed": Shift(0.1, {}), "all renamed": Shift(1.0, {})}
    env = task.make()
    drawn = env.unwrapped.params.family in ("affine", "order2")
    env.close()
    return found | ({"other rules": Shift(0.0, {"library": 1})} if drawn else {})


class Names:
    """Names of the tokens in every lane, drawn by its seed: of a share of them, an order without fixed points.

    Args:
        tokens: ``V``.
        share: that exchange their names.
        seeds: of the lanes.
    """

    def __init__(self, tokens: int, share: float, seeds: list[int]) -> None:
        self.shown = np.tile(np.arange(tokens), (len(seeds), 1))
        for row, seed in zip(self.shown, seeds, strict=True):
            some = np.random.default_rng(seed).permutation(tokens)[: round(share * tokens)]
            row[some] = np.roll(some, 1)
        self.meant = self.shown.argsort(1)

    def show(self, observation: dict[str, Any]) -> dict[str, Any]:
        """An observation as the agent sees it; what is no token, as none yet, keeps its number."""
        extended = np.pad(self.shown, ((0, 0), (0, 1)), constant_values=self.shown.shape[1])
        history = np.take_along_axis(extended, observation["history"], 1)
        action = np.take_along_axis(extended, observation["prev_action"][:, None], 1)[:, 0]
        return {**observation, "history": history, "prev_action": action}

    def mean(self, action: Any) -> Any:
        """The tokens that the agent means, ``int64[B]``."""
        return np.take_along_axis(self.meant, np.asarray(action)[:, None], 1)[:, 0]


def play(policy: Any, worlds: list[tuple[Task, Names, int]], seeds: list[int]) -> np.ndarray:
    """Rewards ``float64[T, B]`` of an episode that goes through worlds one after the other, each for some steps."""
    rewards = []
    policy.reset(np.ones(len(seeds), np.bool_), np.array(seeds, np.uint64))
    for task, names, steps in worlds:
        env: Any = task.make_vec(len(seeds), max_episode_steps=steps + 1)
        observation, info = env.reset(seed=list(seeds))
        hidden = hidden_keys(env)
        for _ in range(steps):
            decision = policy.act(names.show(observation), visible(info, hidden))
            observation, reward, *ends, info = env.step(names.mean(decision.action))
            shown = names.show(observation)
            policy.observe(decision.action, shown, reward, *ends, visible(info, hidden))
            rewards.append(reward)
        env.close()
    return np.array(rewards)


def measure(
    task: Task, directory: Path, shift: Shift, way: dict[str, Any], options: argparse.Namespace
) -> dict[str, Any]:
    """Accuracies of a way to adapt, by seed: before the shift, just after it, and in the last quarter."""
    seeds = list(range(options.first_seed, options.first_seed + options.seeds))
    policy = MoEAgent.load(directory, task, **way)
    tokens = policy.choices.size
    changed = Task(task.env_id, {**task.kwargs, **shift.changes})
    worlds = [
        (task, Names(tokens, 0.0, seeds), options.before),
        (changed, Names(tokens, shift.renamed, seeds), options.after),
    ]
    began = time.process_time()
    right = play(policy, worlds, seeds)
    spent, quarter = time.process_time() - began, options.after // 4
    parts = {
        "before": right[: options.before],
        "after": right[options.before :][:quarter],
        "last": right[-quarter:],
    }
    return {
        **{name: part.mean(0).round(4).tolist() for name, part in parts.items()},
        "parameters": policy.learned.size,
        "ms": round(1e3 * spent / right.size, 2),
    }


def compare(rows: dict[str, dict[str, Any]]) -> None:
    """Add to every way the share of the loss that it recovers, by means over seeds."""
    off = {name: np.mean(rows["off"][name]) for name in ("before", "last")}
    loss = off["before"] - off["last"]
    for row in rows.values():
        row["recovered"] = round(float((np.mean(row["last"]) - off["last"]) / loss), 3)


def table(name: str, rows: dict[str, dict[str, Any]]) -> str:
    """For people."""
    lines = [f"{name}:"]
    for way, row in rows.items():
        means = "".join(f"{k} {np.mean(row[k]):6.1%}  " for k in ("before", "after", "last"))
        lines.append(f"  {way:16}{means}recovered {row['recovered']:6.1%}  {row['parameters']:5} parameters  {row['ms']:.2f} ms")  # fmt: skip
    return "\n".join(lines)


def main() -> None:
    """Measure, print and, where asked to, record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("policies", nargs="+", metavar="ID=DIRECTORY", help="of PatternWorld tasks")
    parser.add_argument("--before", type=int, default=500, help="steps before the shift")
    parser.add_argument("--after", type=int, default=4000, help="steps after it")
    parser.add_argument("--first-seed", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=WAYS)
    parser.add_argument("--record", action="store_true", help=f"write {RESULTS.name}")
    options = parser.parse_args()
    found: dict[str, Any] = {}
    for named in options.policies:
        env_id, _, directory = named.partition("=")
        task = Task(env_id)
        for name, shift in shifts(task).items():
            rows = {}
            with progress(len(options.ways), f"{env_id}, {name}") as update:
                for way in options.ways:
                    rows[way] = measure(task, Path(directory), shift, WAYS[way], options)
                    update(len(rows))
            compare(rows)
            found[f"{env_id}, {name}"] = rows
            print(table(f"{env_id}, {name}", rows), flush=True)
    if options.record:
        work = {k: getattr(options, k) for k in ("before", "after", "first_seed", "seeds")}
        results = {
            "command": f"python benchmarks/moe_shift.py {' '.join(options.policies)} --record",
            "work": work,
            "ways": WAYS,
            "promised": PROMISED,
            "results": found,
            "manifest": {k: v for k, v in manifest(seed=0).items() if k != "command"},
        }
        write_atomic(RESULTS, json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
