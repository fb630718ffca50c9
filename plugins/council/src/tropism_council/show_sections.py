"""Sections of the page, each HTML or nothing where it does not apply."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from tropism_council.show_draw import Frame, Line, Scale, plain, plot
from tropism_council.show_figures import (
    OFFSETS,
    Band,
    Column,
    Reliability,
    around_switches,
    band,
    by_depth,
    compute,
    reliability,
    thinking,
)
from tropism_council.show_play import DECIMALS, Life
from tropism_council.show_strip import strip

if TYPE_CHECKING:
    from tropism_council.show import Shown

GAINED = "probability of the right answer"
"""What gains of thought are measured in."""


def section(title: str, note: str, body: str) -> str:
    """A card."""
    return f'<section><h2>{escape(title)}</h2><p class="note">{note}</p>{body}</section>'


def around(shown: Shown) -> str:
    """Everything aligned at switches."""
    switches = sum(len(life.switches) for life in shown.own)
    if not switches:
        return ""
    note = (
        f"Means of {switches} switches with 95 % intervals. Step 0 is the first that the new rule judges; the ideal "
        "observer knows all that can be known. Steps that belong to another regime are left out. Disagreement and memory are those of "
        "voices which were asked at every step, so that the gate does not choose what is averaged."
    )
    losses = _losses(shown.own)
    curves = {"loss, nats": losses[0].band} if losses else {}
    plots = [_switched("loss, nats", losses)] if losses else []
    for title, lives, column, color, most in _columns(shown):
        rows = around_switches(lives, column)
        if np.isfinite(rows).any():
            curves[title] = band(rows)
            plots.append(_switched(title, [Line("", color, curves[title])], most))
    body = f'<div class="plots">{"".join(plots)}</div>{_numbers(curves)}'
    return section("Around switches", note, body)


def _columns(shown: Shown) -> list[tuple[str, list[Life], Column, str, float | None]]:
    """Title, lives, what is told of them, its colour, and its most if that is known."""
    own, always = shown.own, shown.always
    return [
        ("System 2's share of decisions", own, thinking, "var(--c0)", 1.0),
        ("entropy of System 1, over ln V", own, lambda x: x.column("entropy"), "var(--c4)", None),
        ("surprise, nats", own, lambda x: x.column("surprise"), "var(--c5)", None),
        ("voices' disagreement", always, lambda x: x.disagreement, "var(--c3)", None),
        ("compute, passes", own, compute, "var(--c6)", None),
        ("memory, share of attention", always, lambda x: x.memory, "var(--c2)", None),
    ]


def _switched(title: str, lines: list[Line], most: float | None = None) -> str:
    """A plot over the steps since a switch, with room for names of several lines."""
    room = 40 if len(lines) > 1 else 0
    return plot(lines, Frame(title, "steps since the switch", 0.0, most=most, room=room))


def _losses(lives: Sequence[Life]) -> list[Line]:
    """The council's loss, and the ideal observer's where there is one."""
    mine = around_switches(lives, lambda life: life.loss)
    ideal = around_switches(lives, lambda life: life.ideal_loss)
    lines = [Line("", "var(--c1)", band(mine))] if np.isfinite(mine).any() else []
    if lines and np.isfinite(ideal).any():
        lines.append(Line("ideal", "var(--ref)", band(ideal), dashed=True))
        lines[0] = Line("own", "var(--c1)", lines[0].band)
    return lines


def _numbers(table: dict[str, Band]) -> str:
    """The curves as a table, for those who read rather than look."""
    head = "".join(f'<th class="n" scope="col">{escape(name)}</th>' for name in table)
    rows = "".join(
        f'<tr><th scope="row">{offset:+d}</th>'
        + "".join(f'<td class="n">{_number(one.mean[i])}</td>' for one in table.values())
        + "</tr>"
        for i, offset in enumerate(OFFSETS)
    )
    return (
        '<details><summary>These curves as numbers</summary><div class="scroll" tabindex="0" role="region" '
        f'aria-label="Curves around switches as numbers"><table><thead><tr><th scope="col">step</th>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div></details>"
    )


def _number(value: float) -> str:
    return f"{value:.3g}" if np.isfinite(value) else "–"


def episode(life: Life, threshold: float | None) -> str:
    """One episode, step by step."""
    reward = life.episode.score
    note = (
        f"The episode of seed {life.episode.seed} as the gate decides; {reward:.0f} of {len(life)} steps were paid in all. "
        "Rules are numbered in the order in which they came, and broken lines are switches. It scrolls sideways."
    )
    if life.label("target") is None:
        note = (
            f"The episode of seed {life.episode.seed} as the gate decides; return {reward:.3g} in {len(life)} steps. "
            "It scrolls sideways."
        )
    return section("One episode", note, strip(life, threshold))


def gate(shown: Shown, threshold: float | None) -> str:
    """Does the gate know what a thought would bring?"""
    found = reliability(shown.asked)
    if found is None:
        return ""
    expected = "the gain it expects" if found.name == "expected_gain" else "its score"
    how = (
        "Both systems answered every one of these steps, which came as they come when the gate decides."
        if found.paired
        else "Chance decided who answered, so each dot is System 2's mean less System 1's on the steps of that bin."
    )
    note = (
        f"How much likelier System 2 found the right answer than System 1, by {expected}, in bins of equally many of "
        f"{found.counts.sum():,} steps, with 95 % intervals. {how} On the broken diagonal the gate is right."
    )
    if found.name == "score":
        note += (
            " The score adds to the expected gain how far that may be off, so dots are meant to lie below the diagonal; "
            "what matters is that they rise."
        )
    return (
        '<section class="beside"><div><h2>Reliability of the gate</h2>'
        f'<p class="note">{note}</p></div>{_reliable(found, threshold)}</section>'
    )


def _reliable(found: Reliability, threshold: float | None) -> str:
    x = np.round(found.gain.x, DECIMALS)
    diagonal = Line("", "var(--ref)", plain(x, x), dashed=True)
    at = threshold if found.name == "score" else None
    bars = found.gain._replace(x=x)

    def whiskers(across: Scale, up: Scale) -> str:
        return "".join(
            f'<line x1="{across(v):.1f}" x2="{across(v):.1f}" y1="{up(low):.1f}" y2="{up(high):.1f}" '
            'stroke="var(--c0)" stroke-width="1.5"/>'
            for v, _, low, high in zip(*bars, strict=True)
            if np.isfinite([low, high]).all()
        )

    mark = "; dotted: threshold" if at is not None and x.min() <= at <= x.max() else ""
    x_title = f"{found.name.replace('_', ' ')}, {GAINED}{mark}"
    frame = Frame(f"realised gain, {GAINED}", x_title, at)
    bare = Line("", "var(--c0)", plain(x, bars.mean), dots=True)
    return plot([diagonal, bare, _spanned(bars)], frame, whiskers)


def _spanned(bars: Band) -> Line:
    """An unseen line that makes the axis reach all intervals."""
    ends = np.where(np.isfinite(bars.high), bars.high, bars.mean)
    both = np.concatenate([ends, np.where(np.isfinite(bars.low), bars.low, bars.mean)])
    return Line("", "none", plain(np.tile(bars.x, 2), both), faint=True)


def depth(shown: Shown) -> str:
    """Where questions need several steps of thought: how many it takes, and what they bring."""
    ponder = by_depth(shown.always, lambda life: life.ponder)
    if ponder is None:
        return ""
    answers: list[tuple[str, list[Life], Column, str]] = [
        ("System 1", shown.alone, lambda x: x.right, "var(--c1)"),
        ("System 2", shown.always, lambda x: x.right, "var(--c0)"),
        ("own gate", shown.own, lambda x: x.right, "var(--ref)"),
    ]
    lines = [
        Line(name, color, found, dashed=name == "own gate", dots=True)
        for name, lives, column, color in answers
        if (found := by_depth(lives, column)) is not None and np.isfinite(found.mean).any()
    ]
    x_title = "steps of thought that the question needs, k"
    plots = [plot(lines, Frame("accuracy", x_title, most=1.0, room=52))] if lines else []
    if np.isfinite(ponder.mean).any():
        plots.append(
            plot([Line("", "var(--c6)", ponder, dots=True)], Frame("ponder steps", x_title))
        )
    note = (
        "System 1 alone and System 2 at every step, by the number of steps of thought that the question needs; means of "
        "episodes with 95 % intervals."
    )
    return section("Depth of thought", note, f'<div class="plots">{"".join(plots)}</div>')
