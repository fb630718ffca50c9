"""Write the README's table of environments from the registry and the recorded measurements.

``--check`` writes nothing, and fails if the README differs, or if the behaviour on record
(``tests/conformance/golden.json``) of an environment is no longer what was measured, here or for the scores of
PatternWorld.  The numbers come from ``benchmarks/measure_environments.py``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
from gymnasium import spaces

from tropism.envs.registration import environment_ids

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
RESULTS = ROOT / "benchmarks/results/environments.json"
SCORES = ROOT / "benchmarks/results/patternworld_scores.json"
SHARED = ROOT / "benchmarks/results/chemotaxis_shared.json"
GOLDEN = ROOT / "tests/conformance/golden.json"
GOLDEN_PARALLEL = ROOT / "tests/conformance/golden_parallel.json"
PICTURES = "docs/_static/envs"
BEGIN, END = "<!-- table:begin -->", "<!-- table:end -->"

CHANGES = {
    "PatternWorld-Seed": "3 rules take turns every 30 steps",
    "PatternWorld-Switch": "3 rules, switched at random, once in 30 steps on average",
    "PatternWorld-Affine": "8 rules *ax + b* mod 97, once in 40 steps",
    "PatternWorld-Noisy": "Affine, and every tenth token is noise",
    "PatternWorld-Fast": "Affine, once in 8 steps",
    "PatternWorld-Order2": "8 rules of the last two tokens, once in 40 steps",
    "PatternWorld-Heldout": "rules never met in training, new at each switch",
    "PatternWorld-Recur": "4 of 32 rules, which come back after long gaps",
    "PatternWorld-Alias": "the new rule agrees with the old one for 8 steps",
    "PatternWorld-Hop": "a random permutation, to be applied *k* times",
    "Chemotaxis-L0.0": "nothing: a gradient on a line; calibration",
    "Chemotaxis-L0.1": "nothing: a gradient in the plane; calibration",
    "Chemotaxis-L0.2": "which of four places do harm, though they smell alike",
    "Chemotaxis-L0.2-Informed": "the same, smelling of good places only: the control",
    "Chemotaxis-L1.0": "L0.2, and a visited source moves",
    "Chemotaxis-L1.1": "L1.0, and the gradient fails half of the time",
    "Chemotaxis-L1.2": "walls with one gap each in the way",
    "Chemotaxis-L2.0": "two needs, each with food of its own",
    "Chemotaxis-L2.1": "two needs, and brine that gives one and takes the other",
    "Chemotaxis-L2.2": "the quarter of the world that holds the food, every 8 lives",
    "Chemotaxis-L3.0": "zones that wound",
    "Chemotaxis-L3.1": "storms, announced by a short cue",
    "Chemotaxis-L3.2": "storms with missing and false cues",
    "Chemotaxis-L4.0": "a large world, little food, short senses",
    "Chemotaxis-L4.1": "the season: what feeds now does harm later, unannounced",
    "Chemotaxis-L4.2": "the goal: which need pays, unseen",
    "Chemotaxis-L5.0": "the world itself, drawn anew each life",
    "Sanity-Memory": "nothing; asks for memory",
    "Sanity-Credit": "nothing; asks for credit over many steps",
    "Sanity-Stochastic": "nothing; asks for a stochastic policy",
    "Sanity-Continuous": "nothing; asks for continuous actions",
    "Sanity-Dict": "nothing; asks to combine parts of a dictionary",
    "Sanity-MultiDiscrete": "nothing; asks for several choices at once",
}
"""What changes under the agent, by id without namespace and version."""


def short(space: spaces.Space[Any]) -> str:
    """A space in a word or two."""
    if isinstance(space, spaces.Dict):
        return "Dict(" + ", ".join(space) + ")"
    if isinstance(space, spaces.Box):
        return f"Box{space.shape}".replace(",)", ")")
    if isinstance(space, spaces.MultiDiscrete):
        return f"MultiDiscrete({', '.join(map(str, space.nvec))})"
    return str(space)


def score(scores: dict[str, dict[str, float]], *names: str) -> str:
    """The first of ``names`` that was measured, oracles marked as such."""
    for name in names:
        if name in scores:
            return f"{scores[name]['mean']:.4g}" + (" (oracle)" if name == "oracle" else "")
    return "–"


def row(env_id: str, measured: dict[str, Any]) -> str:
    """One line of the table."""
    name = env_id.split("/")[1]
    env = gym.make(env_id)
    observation, action = short(env.observation_space), short(env.action_space)
    env.close()
    kind = name.rsplit("-", 1)[0]  # without the version
    scores = measured["scores"]
    cells = (
        f'<img src="{PICTURES}/{kind}.png" width="160" alt="{kind}">',
        f"`{env_id}`",
        f"{observation} → {action}",
        CHANGES[kind],
        score(scores, "random"),
        score(scores, "heuristic"),
        score(scores, "ideal", "oracle"),
        f"{measured['single'] / 1e3:.0f} k",
        f"{measured['vector'] / 1e6:.2g} M",
    )
    return "| " + " | ".join(cells) + " |"


def is_sanity(env_id: str) -> bool:
    """Whether nothing changes under the agent; those come last."""
    return env_id.startswith("tropism/Sanity-")


def table() -> str:
    """The whole region between the markers."""
    record = json.loads(RESULTS.read_text(encoding="utf-8"))
    measured = record["environments"]
    ids = sorted(environment_ids(), key=is_sanity)
    missing = sorted(set(ids) ^ set(measured))
    if missing:
        sys.exit(
            f"{', '.join(missing)}: not in both registry and {RESULTS.name}; run measure_environments.py"
        )
    machines = "; ".join(sorted({row["machine"] for row in measured.values()}))
    first, stop = record["seeds"]
    head = (
        "| | id | observation → action | what changes | random | heuristic | ideal | steps/s | "
        f"steps/s, {record['lanes']} lanes |"
    )
    note = (
        f"Scores are mean returns over {stop - first} episodes. Speeds: `gym.make` and `gym.make_vec` with random actions, default "
        f"wrappers and auto-reset, {machines}. Both by `{record['command']}`."
    )
    rows = [row(env_id, measured[env_id]) for env_id in ids]
    return "\n".join([head, "|---" * 9 + "|", *rows, "", note, "", shared()])


def shared() -> str:
    """The line on the environment for several agents, from ``benchmarks/shared_scores.py``."""
    record = json.loads(SHARED.read_bytes())
    found = {(row["organisms"], row["player"]): f"{row['fitness']:.0f}" for row in record["scores"]}
    four = ", ".join(f"{player} {found[4, player]}" for player in ("random", "greedy", "oracle"))
    return (
        f"For several agents: `{record['id']}`, organisms that share the food of one world, is a PettingZoo "
        f"`ParallelEnv`, made by `tropism.envs.make_parallel`. Mean fitness of one of four: {four}; "
        f"an oracle that is alone reaches {found[1, 'oracle']}."
    )


def outdated() -> list[str]:
    """What was measured on behaviour that is no longer the one on record."""
    golden = json.loads(GOLDEN.read_bytes())
    rows = json.loads(RESULTS.read_bytes())["environments"]
    tiers = json.loads(SCORES.read_bytes())["tiers"]
    ids = {f"tropism/PatternWorld-{tier}-v0": about for tier, about in tiers.items()}
    parallel, about = json.loads(GOLDEN_PARALLEL.read_bytes()), json.loads(SHARED.read_bytes())
    scored = {name for name in golden if "PatternWorld" in name}
    return [
        *(f"{n} ({RESULTS.name})" for n in golden if rows.get(n, {}).get("golden") != golden[n]),
        *(f"{n} ({SCORES.name})" for n in scored if ids.get(n, {}).get("golden") != golden[n]),
        *([SHARED.name] if about["golden"] != parallel[about["id"]] else []),
    ]


def main() -> None:
    """Write the region, or compare it."""
    text = README.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    fresh = f"{before}{BEGIN}\n{table()}\n{END}{after}"
    if "--check" not in sys.argv[1:]:
        README.write_text(fresh, encoding="utf-8")
    elif fresh != text:
        sys.exit(
            "README.md: the table of environments is stale; run: python benchmarks/readme_table.py"
        )
    elif stale := outdated():
        sys.exit(f"measured before the behaviour changed, measure again: {', '.join(stale)}")


if __name__ == "__main__":
    main()
