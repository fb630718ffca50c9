"""The leaderboard as one HTML file: plots inline, nothing loaded from anywhere, readable on a phone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from tropism.agents.page_style import PALETTE
from tropism.benchmarks.leaderboard import Row, Section, overall, sections
from tropism.benchmarks.report_method import glossary, method
from tropism.benchmarks.style import CSS
from tropism.benchmarks.svg import Series, lines, scatter, whisker
from tropism.benchmarks.table import few_runs, number

if TYPE_CHECKING:
    from tropism.benchmarks.board import Board
    from tropism.benchmarks.statistics import Interval

Colors = Mapping[str, str]


def render(board: Board) -> str:
    """The whole page."""
    every = sections(board.results)
    colors = _colors(every)
    warning = few_runs(every)
    parts = [
        f"<h1>Tropism leaderboard: {escape(board.about['suite'])}</h1>",
        f'<p class="soft">{escape(board.about["summary"])}</p>',
        "<p>How well each agent adapts when the rules change under it, against the best possible play, "
        "and what each decision costs.</p>",
        f'<p class="note warning">{escape(warning)}</p>' if warning else "",
        _unfinished(board),
        _standing(overall(board.results), colors),
        *(_task(section, colors) for section in every),
        glossary(),
        method(board),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Tropism leaderboard: {escape(board.about['suite'])}</title>\n"
        f"<style>{CSS}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(parts)
        + "\n</main>\n</body>\n</html>\n"
    )


def _colors(every: Sequence[Section]) -> Colors:
    """One colour a player on the whole page; references are grey."""
    rows = [row for section in every for row in section.rows]
    names = dict.fromkeys(row.player for row in rows if not row.reference)
    colors = {name: f"var(--c{i % PALETTE})" for i, name in enumerate(names)}
    return {row.player: "var(--ref)" for row in rows} | colors


def _unfinished(board: Board) -> str:
    done, total = len(board.results), board.total
    if done == total:
        return ""
    return f'<p class="note warning">{done} of {total} cells are finished; the rest is missing here.</p>'


def _standing(found: Mapping[str, Interval], colors: Colors) -> str:
    """Normalised scores across tasks."""
    if not found:
        return ""
    limits = _limits(list(found.values()))
    rows = [
        f'<tr><td>{escape(name)}</td><td class="plot-cell">'
        f"{whisker(v.estimate, v.low, v.high, limits, colors[name])}</td>{_figure(v)}</tr>"
        for name, v in found.items()
    ]
    return (
        "<section><h2>Across tasks that switch</h2>"
        '<p class="note">Normalised score: 0 plays at random, 1 is the ideal observer.</p>'
        f'<div class="scroll"><table>{"".join(rows)}</table></div></section>'
    )


def _task(section: Section, colors: Colors) -> str:
    """One task: the ranking, the plots, every metric on demand."""
    limits = _limits([row.estimates["score"] for row in section.rows])
    rows = "".join(_ranking_row(row, limits, colors[row.player]) for row in section.rows)
    head = (
        '<tr><th></th><th>agent</th><th></th><th class="n">score</th><th class="n wide">NIS</th>'
        '<th class="n">excess lag</th><th class="n wide">log-regret</th><th class="n wide">units</th>'
        '<th class="n wide">µs</th><th class="n wide">beats next</th></tr>'
    )
    return (
        f'<section><h2>{escape(section.task)}</h2><div class="scroll"><table>{head}{rows}</table></div>'
        f'<div class="plots">{"".join(_plots(section, colors))}</div>{_gates(section)}'
        f"<details><summary>All metrics</summary>{_all_metrics(section)}</details></section>"
    )


def _ranking_row(row: Row, limits: tuple[float, float], color: str) -> str:
    score = row.estimates["score"]
    chance = number(row.over_next.estimate) if row.over_next else ""
    return (
        f"<tr{' class=reference' if row.reference else ''}><td>{row.rank or '–'}</td>"
        f'<td>{escape(row.player)}</td><td class="plot-cell">'
        f"{whisker(score.estimate, score.low, score.high, limits, color)}</td>"
        f"{_figure(score)}{_figure(row.estimates.get('nis'), 'wide')}"
        f"{_figure(row.estimates.get('excess-lag'))}{_figure(row.estimates.get('log-regret'), 'wide')}"
        f'<td class="n wide">{number(row.metrics["compute"])}</td>'
        f'<td class="n wide">{number(row.latency_us)}</td><td class="n wide">{chance}</td></tr>'
    )


def _figure(value: Interval | None, kind: str = "") -> str:
    """A table cell: the estimate, its interval below."""
    if value is None:
        return f'<td class="n {kind}"></td>'
    return (
        f'<td class="n {kind}">{number(value.estimate)}<br>'
        f'<span class="interval">{number(value.low)} … {number(value.high)}</span></td>'
    )


def _plots(section: Section, colors: Colors) -> list[str]:
    """Accuracy lost after a switch, and score against both measures of compute."""
    curves = [
        Series(row.player, colors[row.player], tuple(enumerate(row.curve)))
        for row in section.rows
        if row.curve and not row.reference
    ]
    plots = (
        [lines(curves, "steps since the switch", "accuracy lost to the ideal")] if curves else []
    )
    for title, cost in (
        ("compute units a decision", _units),
        ("µs a decision, one lane", _latency),
    ):
        points = [
            Series(
                row.player, colors[row.player], ((cost(row), row.metrics["nis"]),), row.reference
            )
            for row in section.rows
            if cost(row) > 0 and "nis" in row.metrics
        ]
        plots += [scatter(points, title, "normalised score")] if points else []
    return plots


def _units(row: Row) -> float:
    return row.metrics["compute"]


def _latency(row: Row) -> float:
    return row.latency_us or 0.0


def _gates(section: Section) -> str:
    """What the gates of two-mode agents are worth."""
    return "".join(
        f'<p class="note">{escape(row.player)} thinks on {row.gate["rate"]:.0%} of its decisions; its own gate '
        f"gains {number(row.gate['gain'])} [{number(row.gate['low'])}, {number(row.gate['high'])}] in score over a "
        "random gate of the same rate.</p>"
        for row in section.rows
        if row.gate
    )


def _all_metrics(section: Section) -> str:
    names = list(dict.fromkeys(name for row in section.rows for name in row.metrics))
    head = "".join(f'<th class="n">{escape(name)}</th>' for name in names)
    rows = "".join(
        f"<tr><td>{escape(row.player)}</td>"
        + "".join(f'<td class="n">{number(row.metrics.get(name))}</td>' for name in names)
        + f'<td class="n">{number(row.pareto)}</td><td class="n">{row.runs}</td><td class="n">{row.samples}</td></tr>'
        for row in section.rows
    )
    return (
        f'<div class="scroll"><table><tr><th>agent</th>{head}<th class="n">pareto</th><th class="n">runs</th>'
        f'<th class="n">samples</th></tr>{rows}</table></div>'
    )


def _limits(values: Sequence[Interval]) -> tuple[float, float]:
    """A common axis from zero, or from the least value below it."""
    return min([0.0, *(v.low for v in values)]), max([*(v.high for v in values), 1e-9])
