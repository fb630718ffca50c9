"""Write the generated pages: one for each registered environment, tables of suites and metrics, the command.

Runs at each build (see ``conf.py``), so the pages cannot go stale; by hand: ``python docs/generate.py``.
"""

from __future__ import annotations

import dataclasses
import inspect
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import gymnasium as gym

TARGET = Path(__file__).parent / "generated"
PICTURES = Path(__file__).parent / "_static" / "envs"


def environment_ids() -> list[str]:
    """Every registered id of the suite, in order of registration."""
    from tropism.envs import registration

    return registration.environment_ids()


def parallel_ids() -> list[str]:
    """Every id of an environment for several agents."""
    from tropism.envs import PARALLEL

    return list(PARALLEL)


def slug(env_id: str) -> str:
    """File name of an environment's page: ``tropism/Toy-v0`` -> ``Toy-v0``."""
    return env_id.split("/", 1)[1]


def environment_page(env_id: str) -> str:
    """The data sheet of ``env_id``: what is registered, then the docstring of its class."""
    spec = gym.spec(env_id)
    env = gym.make(env_id)
    text = markdown(inspect.getdoc(type(env.unwrapped)) or "")
    observation, action, metadata = env.observation_space, env.action_space, env.metadata
    baselines = getattr(env.unwrapped, "baselines", ())
    params = parameters(getattr(env.unwrapped, "params", None))
    env.close()
    facts = {
        "Make": f'`gymnasium.make("{env_id}")`',
        "Vector": "own batched class" if spec.vector_entry_point else "Gymnasium's `SyncVectorEnv`",
        "Arguments set": ", ".join(f"`{name}={value!r}`" for name, value in spec.kwargs.items())
        or "none",
        "Action space": code(action),
        "Observation space": code(observation),
        "Time limit": f"{spec.max_episode_steps} steps" if spec.max_episode_steps else "none",
        "Reward threshold": "none"
        if spec.reward_threshold is None
        else f"{spec.reward_threshold:g}",
        "Labels in `info`": ", ".join(f"`{name}`" for name in metadata.get("labels", ())) or "none",
        "Render modes": ", ".join(f"`{mode}`" for mode in metadata["render_modes"]),
        "Baselines": ", ".join(f"`{name}`" for name in baselines) or "none",
    }
    return (
        f"# {slug(env_id)}\n\n{picture(env_id)}{table(('', ''), *facts.items())}\n{text}\n{params}"
    )


def parallel_page(env_id: str) -> str:
    """The data sheet of an environment for several agents."""
    from tropism.envs import make_parallel

    env = make_parallel(env_id)
    agent = env.possible_agents[0]
    facts = {
        "Make": f'`tropism.envs.make_parallel("{env_id}")`',
        "In PettingZoo": f'`import tropism.envs.parallel`, `pettingzoo.make("parallel", "{env_id}")`',
        "Agents": ", ".join(f"`{name}`" for name in env.possible_agents),
        "Action space": code(env.action_space(agent)),
        "Observation space": code(env.observation_space(agent)),
        "State space": code(env.state_space),
        "Labels in `infos`": ", ".join(f"`{name}`" for name in env.metadata["labels"]),
        "Render modes": ", ".join(f"`{mode}`" for mode in env.metadata["render_modes"]),
        "Baselines": ", ".join(f"`{name}`" for name in env.baselines),
    }
    text, params = markdown(inspect.getdoc(type(env)) or ""), parameters(env.params)
    return (
        f"# {slug(env_id)}\n\n{picture(env_id)}{table(('', ''), *facts.items())}\n{text}\n{params}"
    )


def picture(env_id: str) -> str:
    """The picture of ``env_id``, if somebody took one."""
    path = PICTURES / f"{slug(env_id).rsplit('-', 1)[0]}.png"
    return f"![{slug(env_id)}](../../_static/envs/{path.name})\n\n" if path.exists() else ""


def parameters(params: Any) -> str:
    """The section with the values that an id sets, if it has a dataclass of parameters."""
    if not dataclasses.is_dataclass(params) or not dataclasses.fields(params):
        return ""
    rows = (
        (f"`{field.name}`", f"`{getattr(params, field.name)!r}`")
        for field in dataclasses.fields(params)
    )
    return f"\n## Values of this id\n\n{table(('parameter', 'value'), *rows)}"


def code(space: Any) -> str:
    """A space in one line, long arrays cut short."""
    text = re.sub(r"\s+", " ", str(space))
    text = re.sub(r"\[(\S+)(?: \1)+\]", r"[\1 ...]", text)
    return "`" + re.sub(r"\[([^\[\]]{40})[^\[\]]*\]", r"[\1...]", text).replace("|", "\\|") + "`"


def markdown(docstring: str) -> str:
    """A docstring as Markdown: roles become code, double backticks single ones."""
    text = re.sub(
        r":[a-z:]+:`~?([^`<]+)`", lambda match: f"`{match[1].rsplit('.', 1)[-1]}`", docstring
    )
    return text.replace("``", "`")


def commands(
    group: click.Command, name: str, parent: click.Context | None = None
) -> Iterator[tuple[str, str]]:
    """Every command under ``group`` with its help text, depth first."""
    width: dict[str, Any] = {"terminal_width": 100, "max_content_width": 100}
    context = click.Context(group, parent, info_name=name, **width, **group.context_settings)
    yield context.command_path, group.get_help(context)
    if isinstance(group, click.Group):
        for child in group.list_commands(context):
            command = group.get_command(context, child)
            if command is not None and not command.hidden:
                yield from commands(command, child, context)


def command_page() -> str:
    """The reference of the ``tropism`` command, from its own help texts, without what plugins add."""
    os.environ["TROPISM_PLUGINS"] = ""
    from tropism.benchmarks.cli import cli as command

    parts = ["# The command\n"]
    for path, text in commands(command, "tropism"):
        parts.append(f"## {path}\n\n```text\n{text}\n```\n")
    return "\n".join(parts)


def metric_table() -> str:
    """Every metric: name, unit, direction, what it compares with, first sentence of its docstring."""
    from tropism.benchmarks.metrics.registry import METRICS

    better = {True: "higher", False: "lower", None: ""}
    return table(
        ("metric", "unit", "better", "against", "meaning"),
        *(
            (
                f"`{m.name}`",
                m.unit,
                better[m.higher_is_better],
                ", ".join(m.needs),
                summary(m.function),
            )
            for m in METRICS.values()
        ),
    )


def suite_table() -> str:
    """Every suite: name, size, summary, what its tasks ask for."""
    from tropism.benchmarks.suites import SUITES

    head = ("suite", "tasks", "training seeds", "episodes", "what it is", "asks for")
    rows = []
    for s in SUITES.values():
        tags = dict.fromkeys(tag for entry in s.entries for tag in entry.tags)
        rows.append(
            (f"`{s.name}`", len(s.entries), s.train_seeds, s.episodes, s.summary, ", ".join(tags))
        )
    return table(head, *rows)


def table(*rows: tuple[Any, ...]) -> str:
    """A Markdown table; the first row is its head."""
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:], ""])


def summary(thing: Any) -> str:
    """First paragraph of a docstring in one line, as Markdown that fits a table cell."""
    return " ".join(markdown(inspect.getdoc(thing) or "").split("\n\n")[0].split()).replace(
        "|", "\\|"
    )


def pages() -> dict[Path, str]:
    """Every generated file by its path under ``docs/generated``; ``.inc`` files are included by others."""
    found = {
        Path("environments") / f"{slug(env_id)}.md": environment_page(env_id)
        for env_id in environment_ids()
    }
    found |= {
        Path("environments") / f"{slug(env_id)}.md": parallel_page(env_id)
        for env_id in parallel_ids()
    }
    tables = {Path("metrics.inc"): metric_table(), Path("suites.inc"): suite_table()}
    return found | tables | {Path("command.md"): command_page()}


def main() -> None:
    """Write what changed, remove the pages of ids that are gone."""
    wanted = {TARGET / path: text for path, text in pages().items()}
    stale = {path for path in TARGET.rglob("*") if path.is_file()} - set(wanted)
    for path in stale:
        path.unlink()
    for path, text in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
