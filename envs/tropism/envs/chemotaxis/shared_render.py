"""Rendering of shared worlds: frames, text and a window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tropism.envs.chemotaxis.params import UNIT, Params
from tropism.envs.chemotaxis.recording import Recording, View
from tropism.envs.chemotaxis.shared_frame import SharedFrames, colour_of, latest
from tropism.envs.chemotaxis.shared_senses import alone
from tropism.envs.chemotaxis.style import NEEDS
from tropism.envs.chemotaxis.text import COLUMNS, ROWS, around, land_cells, source_cells
from tropism.envs.core.canvas import INK, Image
from tropism.envs.core.terminal import paint
from tropism.envs.core.window import Window

LETTERS = "0123456789abcdefghijklmnopqrstuv"
"""Organisms on the map of a text."""


class SharedRenderer:
    """Watches all organisms of one world.

    Args:
        params: of the world.
        names: of the organisms.
        mode: ``rgb_array``, ``ansi`` or ``human``.
        fps: pace of the window.
    """

    def __init__(self, params: Params, names: Sequence[str], mode: str, fps: int) -> None:
        self._params, self._mode = params, mode
        self._lives = {name: Recording(params) for name in names}
        self._frames = SharedFrames(params)
        self._window = Window(f"Chemotaxis {params.level}", fps) if mode == "human" else None

    def note(
        self,
        observations: Mapping[str, Any],
        infos: Mapping[str, Mapping[str, Any]],
        timers: Sequence[int],
    ) -> None:
        """Take a moment down of each organism that lived through it."""
        for name, sensed in observations.items():
            self._lives[name].note(alone(self._params, sensed), infos[name], timers)
        if self._window is not None:
            self._window.show(self._frames.draw(self._views()))

    def render(self) -> Image | str | None:
        """A frame ``uint8[480, 768, 3]``, text, or ``None`` in ``human`` mode, where the window has it."""
        if self._mode == "ansi":
            return draw_text(self._views())
        return self._frames.draw(self._views()) if self._window is None else None

    def close(self) -> None:
        """Close the window, if there is one."""
        if self._window is not None:
            self._window.close()

    def _views(self) -> list[View]:
        return [life.at() for life in self._lives.values()]


def draw_text(views: Sequence[View]) -> str:
    """The lives until now, one for each organism, as lines of text."""
    params, now = views[0].params, latest(views)
    title = f"Chemotaxis {params.level} · {params.width} x {params.height}   step {now.t} / {now.horizon}"
    rows = [_row(index, view) for index, view in enumerate(views)]
    return "\n".join([title, *_map(views), *rows]) + "\n"


def _map(views: Sequence[View]) -> list[str]:
    """Two characters a cell; of a large world what is around the middle of the living."""
    now, params = latest(views), views[0].params
    cells = land_cells(now) | source_cells(now)
    bodies = [
        (view.places[-1].tolist(), index) for index, view in enumerate(views) if not view.fate
    ]
    for place, index in bodies:
        cells[tuple(place)] = paint(LETTERS[index], colour_of(index))
    places = [place for place, _ in bodies] or [[0, 0]]
    x, y = (sum(along) // len(places) for along in zip(*places, strict=True))
    columns, lines = around(x, params.width, COLUMNS // 2), around(y, params.height, ROWS)
    empty = paint("·", INK["grid"])
    return [" ".join(cells.get((i, j), empty) for i in columns) for j in lines]


def _row(index: int, view: View) -> str:
    """Who, the needs, and how it stands."""
    parts = [paint(LETTERS[index], colour_of(index))]
    for name, colour in NEEDS.items():
        if f"{name}_units" in view.now.facts:
            level = view.fact(f"{name}_units") / UNIT
            bar = "█" * round(10 * level)
            parts.append(f"{name} {paint(f'{bar:░<10}', colour)} {level:4.0%}")
    return "   ".join([*parts, f"fitness {view.fact('fitness'):.1f}", view.fate])
