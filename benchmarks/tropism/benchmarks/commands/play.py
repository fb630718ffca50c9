"""``tropism play``: play an environment by hand, in the terminal or in a window."""

from __future__ import annotations

import json
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import click


@click.command()
@click.argument("env_id", metavar="ID")
@click.option(
    "--window", is_flag=True, help="In a window (needs tropism[render]), not the terminal."
)
@click.option("--seed", default=0, show_default=True, help="Seed of the episode.")
def play(env_id: str, window: bool, seed: int) -> None:
    """Play the environment ID by hand."""
    from tropism.benchmarks.commands.options import known_env

    known_env(env_id)
    own = _own_player(env_id)
    if own is not None:
        own.play(env_id, mode="window" if window else "terminal", seed=seed)
    elif window:
        _play_window(env_id, seed)
    else:
        _play_terminal(env_id, seed)


def _own_player(env_id: str) -> ModuleType | None:
    """The module ``play`` beside the environment's own, if there is one: it has ``play(env_id, mode, seed)``."""
    import gymnasium

    entry_point = gymnasium.spec(env_id).entry_point
    package = (
        entry_point.partition(":")[0].rpartition(".")[0] if isinstance(entry_point, str) else ""
    )
    name = f"{package}.play"
    return import_module(name) if package and find_spec(name) else None


def _play_window(env_id: str, seed: int) -> None:
    """Keys 0 to 9 are the actions; needs pixels and few, discrete actions."""
    import gymnasium
    from gymnasium.utils.play import play as play_pixels

    from tropism.errors import OptionError

    env = gymnasium.make(env_id, render_mode="rgb_array")
    if not isinstance(env.action_space, gymnasium.spaces.Discrete) or env.action_space.n > 10:
        raise OptionError(
            f"{env_id} has the actions {env.action_space}: too many for ten keys; play it in the terminal"
        )
    keys: dict[str, Any] = {str(action): action for action in range(int(env.action_space.n))}
    click.echo(f"Keys {', '.join(keys)} are the actions, Escape ends.")
    play_pixels(env, keys_to_action=keys, seed=seed, wait_on_player=True)


def _play_terminal(env_id: str, seed: int) -> None:
    """Print each observation and ask for an action as JSON, until the episode or the input ends."""
    import gymnasium

    modes = gymnasium.make(env_id).metadata.get("render_modes", ())
    env = gymnasium.make(env_id, render_mode="ansi" if "ansi" in modes else None)
    observation, _ = env.reset(seed=seed)
    click.echo(f"{env_id}: answer with an action of {env.action_space}, as JSON; Ctrl-D ends.")
    total, over = 0.0, False
    while not over:
        click.echo(env.render() if env.render_mode == "ansi" else observation)
        action = _ask(env.action_space)
        if action is None:
            break
        observation, reward, terminated, truncated, _ = env.step(action)
        total, over = total + float(reward), terminated or truncated
        click.echo(f"reward {reward:g}, total {total:g}")
    env.close()


def _ask(space: Any) -> Any:
    """An action of ``space``, asked for until it is one; ``None`` at the end of the input."""
    import numpy as np

    while True:
        try:
            given = json.loads(input("action> "))
        except EOFError:
            return None
        except ValueError:
            given = None
        fits = given is not None and np.shape(given) == space.shape
        action = np.asarray(given, space.dtype) if fits else None
        action = int(action) if action is not None and space.shape == () else action
        if action is not None and space.contains(action):
            return action
        click.echo(f"not an action of {space}")
