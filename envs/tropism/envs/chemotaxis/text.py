"""Chemotaxis in a terminal: the same story as a frame, in lines of coloured text."""

from __future__ import annotations

from collections import Counter
from math import atan2, pi

from tropism.envs.chemotaxis import glyphs
from tropism.envs.chemotaxis.observation import channels
from tropism.envs.chemotaxis.params import UNIT
from tropism.envs.chemotaxis.recording import View
from tropism.envs.chemotaxis.style import CUE, HARMFUL, NEEDS, STORM, TRAIL, dim, look
from tropism.envs.core.canvas import INK, Colour
from tropism.envs.core.terminal import paint

COLUMNS, ROWS = 100, 32
"""Most cells of the map in a line, and most lines."""
PAST = 5
"""Lines of the past of a world on a line."""
_COMPASS = "→↘↓↙←↖↑↗"
_EMPTY = paint("·", INK["grid"])
Cells = dict[tuple[int, int], str]


def draw_text(view: View, truth: bool = True) -> str:
    """The life until now as lines of text; without ``truth``, only what the organism can know."""
    lines = [_headline(view), *_map(view, truth), _senses(view), _needs(view), _visits(view)]
    return "\n".join(lines) + "\n"


def _headline(view: View) -> str:
    params = view.params
    name = f"Chemotaxis {params.level} · {params.width} x {params.height}"
    fate = f"   {view.fate}" if view.fate else ""
    return f"{name}   step {view.t} / {view.horizon}   fitness {view.fact('fitness'):.1f}{fate}"


def _map(view: View, truth: bool) -> list[str]:
    """The cells around the organism; of a world on a line also the last steps, time going down."""
    if 1 not in view.params.size:
        return _plane(view, truth)
    steps = range(min(PAST, view.t), -1, -1)
    return [_line(view.before(steps_ago), truth) for steps_ago in steps]


def _plane(view: View, truth: bool) -> list[str]:
    """Spaces between the letters make cells look square."""
    cells, (x, y) = _cells(view, truth), view.places[-1].tolist()
    columns, rows = (
        around(x, view.params.width, COLUMNS // 2),
        around(y, view.params.height, ROWS),
    )
    return [" ".join(cells.get((i, j), _EMPTY) for i in columns) for j in rows]


def _line(view: View, truth: bool) -> str:
    axis = 0 if view.params.height == 1 else 1
    cells = {place[axis]: letter for place, letter in _cells(view, truth, trail=0).items()}
    middle = int(view.places[-1, axis])
    columns = around(middle, view.params.size[axis], COLUMNS)
    return "".join(cells.get(i, _EMPTY) for i in columns)


def around(middle: int, extent: int, most: int) -> range:
    """At most ``most`` cells around ``middle``."""
    first = min(max(middle - most // 2, 0), max(extent - most, 0))
    return range(first, min(first + most, extent))


def _cells(view: View, truth: bool, trail: int = 16) -> Cells:
    """Letters of all cells that are not empty; later ones lie on top."""
    cells = land_cells(view) if truth else {}
    places = [tuple(place) for place in view.places[-trail - 1 : -1].tolist()]
    cells |= {place: paint("•", dim(TRAIL, 0.7)) for place in places}
    for visit in view.visits:
        letter, colour = ("×", INK["miss"]) if visit.harmful else ("o", INK["hit"])
        cells[visit.x, visit.y] = paint(letter, colour)
    if truth:
        cells |= source_cells(view)
    dead = view.fate.startswith(("died", "starved"))
    cells[tuple(view.places[-1].tolist())] = paint("✝" if dead else "@", INK["text"])
    return cells


def source_cells(view: View) -> Cells:
    """Sources that are there; the others are rings."""
    cells: Cells = {}
    for k, (x, y, harmful, active) in enumerate(view.sources[-1].tolist()):
        _, colour, letter = glyphs.look_of(view, k, bool(harmful))
        if active:
            cells[x, y] = paint(letter, colour)
        else:
            cells.setdefault((x, y), paint("○", dim(colour, 0.6)))
    return cells


def land_cells(view: View) -> Cells:
    """What lies on the ground besides sources."""
    facts, cells = view.now.facts, Cells()
    for zone in facts.get("zones", ()):
        cells |= _rectangle(zone, "░", INK["miss"])
    if "shelter" in facts:
        cells |= _rectangle(facts["shelter"], look("shelter").letter, look("shelter").colour)
    for column, gap in facts.get("walls", ()):
        wall = {(int(column), y): paint("█", INK["muted"]) for y in range(view.params.height)}
        del wall[int(column), int(gap)]
        cells |= wall
    return cells


def _rectangle(box: tuple[int, int, int, int], letter: str, colour: Colour) -> Cells:
    left, top, width, height = map(int, box)
    painted = paint(letter, dim(colour, 0.6))
    return {(left + i, top + j): painted for i in range(width) for j in range(height)}


def _senses(view: View) -> str:
    """An arrow for each gradient, then what else is sensed."""
    felt, parts = dict(glyphs.sensed(view)), []
    for name in channels(view.params):
        kind = name.removesuffix("_x")
        if kind != name:
            parts.append(f"{kind} {_arrow(felt[kind], look(kind).colour) if kind in felt else '-'}")
        elif name == "payoff":
            parts.append(f"payoff {view.sense(name):.1f}")
        elif not name.endswith("_y") and name not in NEEDS and view.sense(name) > 0.5:
            colour = {"cue": CUE, "storm": STORM}.get(name, INK["text"])
            parts.append(paint(name.replace("_", " "), colour))
    return "senses   " + "   ".join(parts)


def _arrow(way: tuple[float, float], colour: Colour) -> str:
    """Direction and number of cells."""
    octant = round(atan2(way[1], way[0]) / (pi / 4)) % 8
    return paint(f"{_COMPASS[octant]} {(way[0] ** 2 + way[1] ** 2) ** 0.5:.0f}", colour)


def _needs(view: View) -> str:
    parts = []
    for name, colour in NEEDS.items():
        if f"{name}_units" in view.now.facts:
            level = view.fact(f"{name}_units") / UNIT
            bar = "█" * round(10 * level)
            parts.append(f"{name} {paint(f'{bar:░<10}', colour)} {level:.0%}")
    return "needs    " + "   ".join(parts)


def _visits(view: View) -> str:
    counts = Counter((visit.kind, visit.harmful) for visit in view.visits)
    parts = [
        f"{paint(look(kind).letter, look(kind).colour)} {kind} {counts[n, False]}"
        for n, kind in enumerate(view.params.kinds)
    ]
    harmful = sum(count for (_, bad), count in counts.items() if bad)
    if view.dangerous:
        parts.append(f"{paint(HARMFUL.letter, HARMFUL.colour)} harmful {harmful}")
    return "visits   " + "   ".join(parts)
