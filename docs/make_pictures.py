"""Make the pictures of the documentation: one still an environment, and the film on the first page.

python docs/make_pictures.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from PIL import Image

import tropism.envs  # noqa: F401  registers the ids
from tropism.envs.core.film import save_film, save_picture
from tropism.envs.patternworld.observer_replay import IdealBelief
from tropism.envs.patternworld.params import TIERS

STATIC = Path(__file__).parent / "_static"
STILL = (512, 320)
FILM = {"env_id": "tropism/PatternWorld-Switch-v0", "agent": "table", "seed": 5}
FIRST, LAST, STEP_MS, HOLD_MS = 94, 148, 220, 2000


def frames(env_id: str, agent: str, seed: int, steps: int, belief: bool) -> list[np.ndarray]:
    """Every frame ``uint8[H, W, 3]`` of a baseline's first ``steps`` answers."""
    env = gymnasium.make(env_id, render_mode="rgb_array")
    env = IdealBelief(env) if belief else env
    player = env.unwrapped.make_baseline(agent, 1)  # pyright: ignore[reportAttributeAccessIssue]
    observation, _ = env.reset(seed=seed)
    player.reset(np.ones(1, bool), np.array([seed], np.uint64))
    pictures = [env.render()]
    for _ in range(steps):
        action, _ = player.act(_batch(observation), {})
        observation, reward, terminated, truncated, _ = env.step(action[0])
        flags = np.array([terminated]), np.array([truncated])
        player.observe(action, _batch(observation), np.array([reward], float), *flags, {})
        pictures.append(env.render())
        if terminated or truncated:
            break
    env.close()
    return pictures  # pyright: ignore[reportReturnType]


def _batch(observation: Any) -> Any:
    if isinstance(observation, dict):
        return {name: np.asarray(part)[None] for name, part in observation.items()}
    return np.asarray(observation)[None]


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


def main() -> None:
    """Make all of them."""
    (STATIC / "envs").mkdir(parents=True, exist_ok=True)
    for tier in TIERS:
        env_id = f"tropism/PatternWorld-{tier}-v0"
        save_still(env_id, frames(env_id, "ideal", 5, 130, belief=True)[-1])
    for env_id in sorted(i for i in gymnasium.registry if i.startswith("tropism/Sanity")):
        save_still(env_id, frames(env_id, "random", 5, 6, belief=False)[-2])
    save_patternworld_film()


if __name__ == "__main__":
    main()
