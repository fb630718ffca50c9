"""Make the pictures of the documentation: one still an environment, and the film on the first page.

python docs/make_pictures.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from PIL import Image

import tropism.envs
from tropism.envs.core.film import save_film, save_picture
from tropism.envs.patternworld.observer_replay import IdealBelief
from tropism.envs.patternworld.params import TIERS
from tropism.envs.registration import CHEMOTAXIS

STATIC = Path(__file__).parent / "_static"
STILL = (512, 320)
FILM = {"env_id": "tropism/PatternWorld-Switch-v0", "agent": "table", "seed": 5}
FIRST, LAST, STEP_MS, HOLD_MS = 94, 148, 220, 2000
LIVES: dict[str, tuple[str, int, int]] = {
    "L0.0": ("oracle", 5, 64),
    "L0.1": ("greedy", 6, 5),
    "L0.2": ("probe", 6, 70),
    "L0.2-Informed": ("greedy", 5, 24),
    "L1.0": ("probe", 1, 90),
    "L1.1": ("greedy", 3, 90),
    "L1.2": ("oracle", 4, 70),
    "L2.2": ("oracle", 1, 70),
    "L3.0": ("oracle", 1, 70),
    "L3.1": ("oracle", 1, 72),
    "L4.0": ("oracle", 3, 300),
    "L4.1": ("greedy", 1, 80),
}
"""Player, seed and step of the pictures of Chemotaxis, by level."""
A_LIFE = ("greedy", 5, 80)
LIFE_FILM = {"env_id": "tropism/Chemotaxis-L3.1-v0", "agent": "oracle", "seed": 1}
LIFE_LAST, LIFE_STEP_MS = 75, 140
CROWD = {"env_id": "tropism/Chemotaxis-Shared-v0", "agent": "greedy", "seed": 24, "steps": 30}


def frames(env_id: str, agent: str, seed: int, steps: int, belief: bool) -> list[np.ndarray]:
    """Every frame ``uint8[H, W, 3]`` of a baseline's first ``steps`` answers."""
    env = gymnasium.make(env_id, render_mode="rgb_array")
    env = IdealBelief(env) if belief else env
    player = env.unwrapped.make_baseline(agent, 1)  # pyright: ignore[reportAttributeAccessIssue]
    observation, info = env.reset(seed=seed)
    player.reset(np.ones(1, bool), np.array([seed], np.uint64))
    pictures = [env.render()]
    for _ in range(steps):
        action, _ = player.act(_batch(observation), _lane(info))
        observation, reward, terminated, truncated, info = env.step(action[0])
        flags = np.array([terminated]), np.array([truncated])
        player.observe(action, _batch(observation), np.array([reward], float), *flags, {})
        pictures.append(env.render())
        if terminated or truncated:
            break
    env.close()
    return pictures  # pyright: ignore[reportReturnType]


def crowd(env_id: str, agent: str, seed: int, steps: int) -> np.ndarray:
    """The frame ``uint8[H, W, 3]`` of a world of several organisms after ``steps`` steps."""
    env = tropism.envs.make_parallel(env_id, render_mode="rgb_array")
    players = env.make_players(agent)
    players.reset(seed)
    observations, infos = env.reset(seed=seed)
    for _ in range(steps):
        actions = players.act(observations, infos)
        observations, _, _, _, infos = env.step({name: actions[name] for name in env.agents})
    return env.render()


def _batch(observation: Any) -> Any:
    if isinstance(observation, dict):
        return {name: np.asarray(part)[None] for name, part in observation.items()}
    return np.asarray(observation)[None]


def _lane(info: dict[str, Any]) -> dict[str, Any]:
    """Labels as a vector of one lane has them; a belief is for those who look on."""
    return {name: np.asarray(value)[None] for name, value in info.items() if name != "belief"}


def save_still(env_id: str, picture: np.ndarray) -> None:
    """One small PNG."""
    name = env_id.removeprefix("tropism/").removesuffix("-v0")
    path = STATIC / "envs" / f"{name}.png"
    if picture.shape[1] > STILL[0]:
        save_picture(path, picture, STILL)
    else:
        Image.fromarray(picture).quantize(32).save(path, optimize=True)
    print(f"{path.name}: {path.stat().st_size} bytes")


def save_patternworld_film() -> None:
    """The table agent against the ideal belief, across switches."""
    pictures = frames(**FILM, steps=LAST, belief=True)[FIRST:]
    path = save_film(STATIC / "patternworld.gif", pictures, STEP_MS, HOLD_MS)
    print(f"{path.name}: {path.stat().st_size} bytes, {len(pictures)} frames")


def save_life_film() -> None:
    """The oracle between food and storms."""
    pictures = frames(**LIFE_FILM, steps=LIFE_LAST, belief=False)
    path = save_film(STATIC / "chemotaxis.gif", pictures, LIFE_STEP_MS, HOLD_MS)
    print(f"{path.name}: {path.stat().st_size} bytes, {len(pictures)} frames")


def main() -> None:
    """Make all of them."""
    (STATIC / "envs").mkdir(parents=True, exist_ok=True)
    for tier in TIERS:
        env_id = f"tropism/PatternWorld-{tier}-v0"
        save_still(env_id, frames(env_id, "ideal", 5, 130, belief=True)[-1])
    for level, *_ in CHEMOTAXIS:
        env_id = f"tropism/Chemotaxis-{level}-v0"
        agent, seed, step = LIVES.get(level, A_LIFE)
        save_still(env_id, frames(env_id, agent, seed, step, belief=False)[-1])
    save_still(CROWD["env_id"], crowd(**CROWD))
    for env_id in sorted(i for i in gymnasium.registry if i.startswith("tropism/Sanity")):
        save_still(env_id, frames(env_id, "random", 5, 6, belief=False)[-2])
    save_patternworld_film()
    save_life_film()


if __name__ == "__main__":
    main()
