"""``tropism evaluate``: play a trained run, or an agent that needs no training, and print every metric."""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tropism.benchmarks.commands.training import train_run

if TYPE_CHECKING:
    from tropism.agents.contract import Task
    from tropism.agents.episodes import Episode
    from tropism.benchmarks.gate import MatchedGate


@click.command()
@click.argument("player", metavar="RUN|AGENT")
@click.argument("env_id", metavar="[ID]", required=False)
@click.option("--episodes", default=10, show_default=True, help="Episodes, seeds 10000, 10001, ...")
@click.option("--metric", "names", multiple=True, help="Only this metric; may be repeated.")
@click.option("--set", "options", multiple=True, metavar="KEY=VALUE", help="Option of the agent.")
@click.option(
    "--env", "env_options", multiple=True, metavar="KEY=VALUE", help="Of the environment."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def evaluate(
    player: str,
    env_id: str | None,
    episodes: int,
    names: tuple[str, ...],
    options: tuple[str, ...],
    env_options: tuple[str, ...],
    as_json: bool,
) -> None:
    """Evaluate a run directory, or an agent (untrained) on the environment ID.

    The ideal observer and the random player play the same seeds where the environment offers them, so
    that the metrics that compare with them can be told.  An agent that reports two modes of thinking is
    also played against itself under a random gate of the same rate.
    """
    from tropism.benchmarks.commands.options import known_task, pairs
    from tropism.benchmarks.metrics import METRICS, find_metric
    from tropism.benchmarks.references import play_references
    from tropism.benchmarks.suites import FIRST_TEST_SEED
    from tropism.errors import OptionError

    if episodes < 1:
        raise OptionError(f"episodes must be >= 1, got {episodes}")
    metrics = [find_metric(name) for name in names] or list(METRICS.values())
    config = _run_config(player, env_id, pairs(options, "--set"), pairs(env_options, "--env"))
    task = known_task(config["env_id"], config["env_options"])
    seeds = tuple(range(FIRST_TEST_SEED, FIRST_TEST_SEED + episodes))
    played, gate = _play(config, task, seeds)
    references = play_references(task, seeds)
    values = {metric.name: metric(played, references) for metric in metrics}
    _show(config, played, values, gate, as_json)


def _run_config(
    player: str, env_id: str | None, options: dict[str, Any], env_options: dict[str, Any]
) -> dict[str, Any]:
    """The configuration of a run directory, or of an untrained agent."""
    from tropism.agents.trained import read_training
    from tropism.errors import OptionError

    if Path(player).is_dir() and env_id is None:
        if options or env_options:
            raise OptionError(f"{player} is a run: it brings its own options")
        return read_training(Path(player)) | {"folder": player}
    if env_id is None:
        raise OptionError(
            f"{player!r} is no run directory; to play an agent, name an environment too"
        )
    return {
        "agent": player,
        "options": options,
        "env_id": env_id,
        "env_options": env_options,
        "env_steps": 0,
        "seed": 0,
    }


def _play(
    config: dict[str, Any], task: Task, seeds: tuple[int, ...]
) -> tuple[list[Episode], MatchedGate | None]:
    """Episodes of the policy in a run directory, or of an agent that did not train; its matched gate."""
    from tropism.agents.evaluate import evaluate as play_episodes
    from tropism.agents.plugins import default_host
    from tropism.agents.progress import progress
    from tropism.agents.runs import load_policy
    from tropism.agents.trained import policy_of
    from tropism.benchmarks.gate import matched_gate

    agent = default_host().agent_class(config["agent"])
    with tempfile.TemporaryDirectory() as scratch:
        if "folder" in config:
            policy = load_policy(agent, policy_of(Path(config["folder"]), config), task)
        else:
            policy = train_run(config, task, Path(scratch))
        with progress(len(seeds), "episodes") as update:
            played = play_episodes(
                policy, task, seeds, privileged=agent.privileged, belief=True, progress=update
            )
        for episode in played:
            default_host().hook.tropism_episode_end(episode=episode)
        return played, matched_gate(policy, task, played, privileged=agent.privileged)


def _show(
    config: dict[str, Any],
    played: list[Episode],
    values: dict[str, float],
    gate: MatchedGate | None,
    as_json: bool,
) -> None:
    """Print the metrics that apply."""
    from tropism.benchmarks.metrics import METRICS

    told = {name: value for name, value in values.items() if not math.isnan(value)}
    if as_json:
        scores = [episode.score for episode in played]
        hashes = [episode.action_hash for episode in played]
        about = {"agent": config["agent"], "env_id": config["env_id"]}
        found = {"metrics": told, "gate": gate.to_json() if gate else None}
        body = {**about, **found, "scores": scores, "action_hashes": hashes}
        click.echo(json.dumps(body, indent=1))
        return
    click.echo(f"{config['agent']} on {config['env_id']}, {len(played)} episodes")
    for name, value in told.items():
        click.echo(f"  {name:<14} {value:>10.4g}  {METRICS[name].unit}")
    if gate:
        click.echo(
            f"  {'gate-gain':<14} {gate.gain:>10.4g}  reward [{gate.low:.4g}, {gate.high:.4g}] over a random "
            f"gate that thinks as often ({gate.rate:.0%})"
        )
