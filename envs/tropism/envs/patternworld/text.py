"""PatternWorld in a terminal: the same story as a frame, in a few lines of coloured text."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from tropism.envs.core.canvas import INK
from tropism.envs.core.terminal import paint
from tropism.envs.patternworld.plots import rule_colour
from tropism.envs.patternworld.recording import Recording, Step, rule_name
from tropism.envs.patternworld.reference import HopReference

COLUMNS = 60
"""Answers in view."""
_CELLS = 12
_MARKS = {"hit": "●", "miss": "×", "peek": "◇"}


def draw_text(world: Recording) -> str:
    """The state of the episode as lines of text."""
    recent = world.steps[-COLUMNS:]
    lines = [_headline(world), *_token_lines(world)]
    lines.append("answers " + "".join(paint(_MARKS[s.mark], INK[s.mark]) for s in recent))
    lines += _rule_lines(world, recent)
    if isinstance(world, HopReference):
        lines.append("maps    " + " ".join(f"{a}→{b}" for a, b in enumerate(world.permutation)))
        lines.append(f"ask     {world.token}, {world.query} hops on")
    if world.belief is not None:
        best = np.argsort(-world.belief)[:5].tolist()
        lines.append("belief  " + "  ".join(f"{token} {world.belief[token]:.0%}" for token in best))
    return "\n".join(lines) + "\n"


def _headline(world: Recording) -> str:
    hits, answered = sum(world.hits), sum(world.answered)
    share = f"{hits / answered:.0%}" if answered else "-"
    name = f"PatternWorld {world.params.tier}"
    return f"{name} · {world.params.feedback}   step {world.t}   score {world.score:.6g}   right {share}"


def _token_lines(world: Recording) -> list[str]:
    """Tokens over the answers given for them; what was hidden from the agent stands in brackets."""
    recent = world.steps[-_CELLS:]
    tokens = [_token(world, step) for step in recent]
    if len(world.steps) <= _CELLS and not world.query:
        first = world.steps[0].token if world.steps else world.token
        return [f"tokens  {first:>4}" + "".join(tokens) + "   ?", _said(recent, " " * 4)]
    return ["tokens  " + "".join(tokens) + "   ?", _said(recent, "")]


def _token(world: Recording, step: Step) -> str:
    shown = f"({step.target})" if step.masked else str(step.target)
    return paint(f"{shown:>4}", rule_colour(world, step.rule, True))


def _said(recent: Sequence[Step], indent: str) -> str:
    said = (paint(f"{'look' if s.peeked else s.action:>4}", INK[s.mark]) for s in recent)
    return "said    " + indent + "".join(said)


def _rule_lines(world: Recording, recent: Sequence[Step]) -> list[str]:
    """One block an answer in the colour of its regime; ``▼`` stands over each switch."""
    switches = "".join("▼" if step.switched else " " for step in recent)
    runs = groupby(recent, key=lambda step: step.rule)
    blocks = "".join(
        paint("█" * len(list(run)), rule_colour(world, rule, True)) for rule, run in runs
    )
    now = paint(rule_name(world, world.rule), rule_colour(world, world.rule, True))
    return ["        " + switches + "▼" * world.switched, f"rule    {blocks} {now}"]
