"""The drawing surface, the lettering and the window."""

from __future__ import annotations

import builtins

import numpy as np
import pytest
from gymnasium.error import DependencyNotInstalled

from tropism.envs.core.canvas import INK, Canvas
from tropism.envs.core.font import lettering
from tropism.envs.core.shapes import SHAPES
from tropism.envs.core.window import Window


def test_marks_are_cut_at_the_edges_of_the_canvas():
    canvas = Canvas(20, 20, INK["night"])
    for x, y in ((-2, 5), (21, 5), (5, -2), (5, 21), (-50, -50), (90, 90)):
        canvas.mark("dot", x, y, INK["hit"], 4.0)
        canvas.text(x, y, "word", INK["hit"])
    canvas.box(-5, -5, 7, 7, INK["miss"])
    assert (canvas.image[:2, :2] == INK["miss"]).all()
    assert canvas.image.shape == (20, 20, 3)


def test_full_coverage_is_the_exact_colour_and_none_leaves_the_ground():
    canvas = Canvas(9, 9, (255, 254, 1))
    canvas.mark("dot", 4, 4, (3, 255, 77), 3.0)
    assert tuple(canvas.image[4, 4]) == (3, 255, 77)
    assert tuple(canvas.image[0, 0]) == (255, 254, 1)


def test_letters_outside_the_atlas_become_question_marks():
    np.testing.assert_array_equal(lettering("a☃b", 14), lettering("a?b", 14))
    assert lettering("", 14).shape[1] == 0


def test_a_window_without_pygame_names_the_remedy(monkeypatch):
    original = builtins.__import__

    def without(name, *rest):
        if name == "pygame":
            raise ImportError(name)
        return original(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(DependencyNotInstalled, match=r'pip install "tropism\[render\]"'):
        Window("title", 8)


def test_a_part_has_coordinates_of_its_own_and_cuts_what_leaves_it():
    canvas = Canvas(40, 30, INK["night"])
    canvas.part(10, 5, 20, 10).mark("dot", 0, 0, INK["hit"], 6.0)
    changed = (canvas.image != INK["night"]).any(-1)
    assert changed[5, 10]
    assert not changed[:5].any()
    assert not changed[:, :10].any()


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape not in ("ring", "diamond")])
def test_an_open_shape_is_the_rim_of_the_filled_one(shape):
    areas = []
    for kind in (shape, f"open {shape}"):
        canvas = Canvas(41, 41, INK["night"])
        canvas.mark(kind, 20, 20, INK["text"], 14.0)
        areas.append((canvas.image != INK["night"]).any(-1))
    filled, rim = areas
    assert (filled | ~rim).all(), "the rim lies on the shape"
    if shape != "cross":
        assert rim.sum() < filled.sum()
        assert filled[20, 20]
        assert not rim[20, 20]
