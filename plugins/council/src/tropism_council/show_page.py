"""The page: sections of plots, tables and words, as one HTML file that loads nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from tropism_council.show_figures import OF_GATES, REWARD, SHARES, TABLE, Figure, figure
from tropism_council.show_sections import around, depth, episode, gate
from tropism_council.show_style import CSS
from tropism_council.show_training import training
from tropism_council.show_words import verdict

if TYPE_CHECKING:
    from tropism_council.show import Shown
    from tropism_council.show_play import Life

NOTHING = Figure(np.nan, np.nan, np.nan)


def page(shown: Shown) -> str:
    """The whole page."""
    env_id = shown.run.config["env_id"]
    title = f"The council in {env_id.rpartition('/')[2]}"
    seeds = [life.episode.seed for life in shown.own]
    parts = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="soft">{len(seeds)} held-out episodes, seeds {seeds[0]} to {seeds[-1]}; after '
        f"{shown.run.config['env_steps']:,} steps of training.</p>",
        *verdict(shown.own, _threshold(shown)),
        around(shown),
        episode(shown.own[0], _threshold(shown)),
        _table(shown),
        gate(shown, _threshold(shown)),
        depth(shown),
        training(shown.run.rows),
        _method(shown),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{CSS}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(part for part in parts if part)
        + "\n</main>\n</body>\n</html>\n"
    )


def _threshold(shown: Shown) -> float | None:
    """Of the gate; infinite if it was never calibrated."""
    gate: Any = getattr(shown.run.network, "gate", None)
    return None if gate is None else float(gate.threshold)


def _table(shown: Shown) -> str:
    """Figures of both plays, with intervals."""
    rows = []
    table = {name: TABLE[name] for name in TABLE if name != REWARD or shown.own[0].right is None}
    for name, statistic in table.items():
        others = [NOTHING] * 2
        if not name.startswith(OF_GATES):
            others = [figure(lives, statistic) for lives in (shown.alone, shown.always)]
        found = [figure(shown.own, statistic), *others]
        if np.isfinite([one.value for one in found]).any():
            cells = "".join(_cell(one, name) for one in found)
            rows.append(f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>')
    return (
        '<section><h2>Figures</h2><p class="note">The same episodes as the gate decides, by System 1 alone, and with '
        "System 2 asked at every step; 95 % intervals over episodes.</p>"
        '<div class="scroll" tabindex="0" role="region" aria-label="Figures"><table><thead><tr><th></th>'
        '<th class="n" scope="col">own gate</th><th class="n" scope="col">System 1</th>'
        '<th class="n" scope="col">System 2</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div></section>"
    )


def _cell(value: Figure, name: str) -> str:
    if not np.isfinite(value.value):
        return '<td class="n">–</td>'
    percent = name.startswith(SHARES)
    told, low, high = (f"{v:.1%}" if percent else f"{v:.2g}" for v in value)
    interval = f' <span class="interval">{low} … {high}</span>' if np.isfinite(value.low) else ""
    return f'<td class="n">{told}{interval}</td>'


def _method(shown: Shown) -> str:
    """How to come by this page again."""
    run = shown.run
    seed, count = shown.own[0].episode.seed, len(shown.own)
    parameters = sum(p.numel() for p in run.network.parameters())
    facts = {
        "Run": str(run.directory),
        "Environment": f"{run.config['env_id']} {_options(run.config['env_options'])}",
        "Options of the agent": _options(run.config["options"]) or "its defaults",
        "Seed of the agent": str(run.config["seed"]),
        "Parameters": f"{parameters:,}",
        "Action streams": _hashes(shown.own),
        "Versions": f"{_versions()}",
    }
    told = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in facts.items())
    command = f"tropism council show {run.directory} --episodes {count} --seed {seed}"
    return f"<section><h2>How this was made</h2><p><code>{escape(command)}</code></p><dl>{told}</dl></section>"


def _options(options: dict[str, object]) -> str:
    return " ".join(f"{name}={value}" for name, value in options.items())


def _hashes(lives: Iterable[Life]) -> str:
    """The beginning of each episode's hash of actions, which another run of the command must repeat."""
    return " ".join(life.episode.action_hash[:8] for life in lives)


def _versions() -> str:
    from importlib.metadata import PackageNotFoundError, version

    import torch

    names = []
    for name in ("tropism", "tropism-council"):
        try:
            names.append(f"{name} {version(name)}")
        except PackageNotFoundError:  # run from a source tree
            continue
    python = ".".join(map(str, sys.version_info[:3]))
    return ", ".join([*names, f"torch {torch.__version__}", f"Python {python}"])
