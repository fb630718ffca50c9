"""What a frame of the chemotaxis ladder shows."""

from __future__ import annotations

import re

import numpy as np
import pytest
from tests.envs.lives import LEVELS, live

import tropism.envs  # noqa: F401
from tropism.envs.chemotaxis.frame import Frames
from tropism.envs.chemotaxis.observation import LEFT, RIGHT, STAY
from tropism.envs.chemotaxis.render import draw_life
from tropism.envs.chemotaxis.text import draw_text
from tropism.envs.core.canvas import INK
from tropism.envs.core.terminal import plain

ROW = 281
"""Height of the middle of the cells in a frame of a world on a line."""


def has(pixels, colour):
    return bool((pixels == colour).all(-1).any())


def column(cell):
    """Pixel columns of a cell of a 64 x 1 world."""
    return slice(48 + int(10.75 * cell), 48 + int(10.75 * cell) + 11)


LAYOUT = {
    "sources": [(10, 0), (20, 0), (40, 0), (50, 0)],
    "harmful": [False, True, False, True],
    "position": (11, 0),
}


def test_good_and_harmful_sources_differ_in_colour_and_shape():
    frame = draw_life(live("L0.2", [], options=LAYOUT))
    rows = slice(ROW - 12, ROW + 13)
    good, bad, nothing = (frame[rows, column(cell)] for cell in (40, 20, 30))
    assert has(good, INK["hit"])
    assert not has(good, INK["miss"])
    assert has(bad, INK["miss"])
    assert not has(bad, INK["hit"])
    assert not has(nothing, INK["hit"])
    assert not has(nothing, INK["miss"])
    discs = [(area == INK[name]).all(-1) for area, name in ((good, "hit"), (bad, "miss"))]
    assert discs[0].sum() > 1.1 * discs[1].sum(), "spikes are not a disc"


def test_a_source_that_is_gone_is_hollow_until_it_comes_back():
    life = live("L1.0", [LEFT, RIGHT, STAY, STAY, STAY], options=LAYOUT)
    assert [moment.timers[0] for moment in life.moments] == [0, 4, 3, 2, 1, 0]
    before, after = (Frames(life.params).draw(life.at(t)) for t in (0, 4))
    assert tuple(before[ROW, column(10)][5]) == INK["hit"]
    assert not has(after[ROW - 12 : ROW + 13, column(10)], INK["hit"])
    assert "○" in plain(draw_text(life.at(4)))


def test_the_past_of_a_line_runs_down_to_the_present():
    life = live("L0.0", [RIGHT] * 20, options={"sources": [(0, 0)]})
    frame = draw_life(life)
    lit = (frame[56:250] == INK["glow"]).all(-1)
    rows = np.flatnonzero(lit.any(1))
    first, last = (np.flatnonzero(lit[row]).mean() for row in (rows[0], rows[-1]))
    assert first < last
    assert abs(last - (48 + 10.75 * 52.5)) < 16
    assert not lit[:150].any(), "the time that is to come is empty"


def test_the_needs_show_as_bars_and_curves():
    full, wounded = (
        draw_life(live("L0.2", [], options=LAYOUT | {"integrity": level})) for level in (1.0, 0.25)
    )
    bar = slice(397, 458), slice(92, 102)
    pink = [(frame[bar] == frame[456, 95]).all(-1).mean() for frame in (full, wounded)]
    assert pink[0] == 1
    assert 0.2 < pink[1] < 0.3


def test_in_the_plane_the_trail_fades():
    life = live("L0.1", [RIGHT] * 6, options={"sources": [(0, 0)]})
    frame = draw_life(life).astype(int), Frames(life.params).draw(life.at()).astype(int)
    y, x = 57 + 25 * 8 + 12, [26 + 25 * cell for cell in (9, 13)]
    assert frame[1][y, x[0]].sum() < frame[1][y, x[1]].sum() - 100


def test_without_the_truth_frames_depend_only_on_what_is_known():
    def frames(harmful, truth):
        life = live(
            "L0.2", [RIGHT, LEFT], options=LAYOUT | {"harmful": harmful, "position": (30, 0)}
        )
        return Frames(life.params).draw(life.at(), truth=truth, notes=["notes"])

    one, other = [False, True, False, True], [True, False, False, True]
    np.testing.assert_array_equal(frames(one, False), frames(other, False))
    assert (frames(one, True) != frames(other, True)).any()


@pytest.mark.parametrize("level", [level for level in LEVELS if level > "L1.1"])
def test_without_the_truth_no_source_shows(level):
    life = live(level, [], seed=4)
    blind = re.sub(r"\s(senses|visits) .*", "", plain(draw_text(life.at(), truth=False)))
    assert not set("●✱◆■▲⌂█░○") & set(blind.partition("needs")[0])


def test_a_dead_organism_looks_dead():
    life = live("L0.2", [STAY], options=LAYOUT | {"energy": 0.001})
    assert life.at().fate == "starved"
    frame = draw_life(life)
    assert not has(frame[ROW - 6 : ROW + 7, column(11)], INK["text"])
    assert "starved" in draw_text(life.at()).splitlines()[0]


@pytest.mark.parametrize(
    ("level", "options", "actions", "fate"),
    [
        ("L0.2", {}, [STAY] * 128, "lived to the end"),
        ("L0.2", {"harmful": [True] * 4, "integrity": 0.25}, [LEFT], "died of its wounds"),
        ("L0.2", {}, [STAY], ""),
    ],
)
def test_the_fate_is_told(level, options, actions, fate):
    assert live(level, actions, options=LAYOUT | options).at().fate == fate


def test_reaching_the_goal_is_a_fate():
    life = live("L0.2", [LEFT], options=LAYOUT, terminate_on_reach=True)
    assert life.at().fate == "reached the goal"


def test_text_tells_places_senses_needs_and_visits():
    life = live("L0.2", [LEFT, RIGHT], options=LAYOUT)
    lines = plain(draw_text(life.at())).splitlines()
    assert lines[0] == "Chemotaxis L0.2 · 64 x 1   step 2 / 128   fitness 52.5"
    assert lines[1] == "·" * 10 + "●@" + "·" * 8 + "✱" + "·" * 19 + "●" + "·" * 9 + "✱" + "·" * 13
    assert lines[2].index("@") == 10
    assert lines[3].index("@") == 11
    assert lines[4] == "senses   food ← 1"
    assert lines[5] == "needs    energy ██████████ 99%   integrity ██████████ 100%"
    assert lines[6] == "visits   ● food 1   ✱ harmful 0"


def test_text_of_a_large_world_stays_around_the_organism():
    life = live("L0.1", [RIGHT], width=200, height=200)
    lines = plain(draw_text(life.at())).splitlines()
    assert all(len(line) <= 100 for line in lines)
    assert len(lines) < 40
