"""Writes the golden vectors that are missing, and refuses to change one that is there.

Run from the repository: `python -m tests.bridges.vectors.make`. `index.json` says what every file means.
"""

import json
import sys
from pathlib import Path

from tests.bridges.vectors import cases

from tropism.bridges.protocol.bodies import ActionCodec, ObsCodec

HERE = Path(__file__).parent


def build():
    """The index, and the bytes of every file by name."""
    files, index = {}, {"protocol": [1, 0], "messages": [], "broken": [], "games": []}
    for key, pairs in (("messages", cases.messages()), ("broken", cases.broken())):
        for name, (raw, facts) in pairs:
            files[f"{name}.bin"] = raw
            index[key].append({"file": f"{name}.bin", **facts})
    for name, spec, actions, observations in cases.games():
        files[f"{name}-spec.bin"] = spec.to_bytes()
        game = _game(name, spec)
        for body_name, (raw, facts) in cases.bodies(name, spec, actions, observations):
            files[f"{body_name}.bin"] = raw
            game["steps" if "actions" in facts else "observations"].append(
                {"file": f"{body_name}.bin", **facts}
            )
        index["games"].append(game)
    return index, files


def _game(name, spec):
    return {
        "name": name,
        "spec": f"{name}-spec.bin",
        "hash": spec.hash_hex,
        "step_size": ActionCodec(spec).size,
        "obs_size": ObsCodec(spec).size,
        "agents": [
            {"id": agent.id, "obs": _layout(obs), "act": _layout(act)}
            for agent, obs, act in zip(spec.agents, spec.observations, spec.actions, strict=True)
        ],
        "steps": [],
        "observations": [],
    }


def _layout(layout):
    leaves = [[leaf.dtype, list(leaf.shape), leaf.offset] for leaf in layout.leaves]
    return {"size": layout.size, "leaves": leaves}


def main():
    index, files = build()
    changed = [
        name
        for name, raw in files.items()
        if "zlib" not in name  # other versions of zlib deflate otherwise
        and "bomb" not in name
        and (HERE / name).exists()
        and (HERE / name).read_bytes() != raw
    ]
    if changed:
        sys.exit(f"golden vectors are frozen, these would change: {changed}")
    for name, raw in files.items():
        if not (HERE / name).exists():
            (HERE / name).write_bytes(raw)
    text = json.dumps(index, ensure_ascii=False, indent=1)
    (HERE / "index.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
