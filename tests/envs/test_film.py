"""Pictures and films on disk."""

from __future__ import annotations

import builtins

import numpy as np
import pytest
from gymnasium.error import DependencyNotInstalled

from tropism.envs.core.canvas import INK, SERIES, Canvas
from tropism.envs.core.film import save_film, save_picture
from tropism.errors import OptionError

images = pytest.importorskip("PIL.Image")
NEAR = 4
"""Pillow looks for the nearest colour of a palette a little coarsely."""


def frames(count=3):
    canvas = Canvas(32, 16, INK["panel"])
    for n in range(count):
        canvas.box(8 * n, 4, 8, 8, SERIES[n])
        yield canvas.image.copy()


def test_a_picture_in_colours_of_the_house_keeps_them(tmp_path):
    (frame,) = frames(1)
    path = save_picture(tmp_path / "still.png", frame)
    with images.open(path) as image:
        np.testing.assert_allclose(np.asarray(image.convert("RGB")), frame, atol=NEAR)
    with images.open(save_picture(tmp_path / "small.png", frame, (16, 8))) as image:
        assert image.size == (16, 8)


@pytest.mark.parametrize("name", ["film.gif", "film.png", "film.GIF"])
def test_a_film_has_its_frames_and_holds_the_last(tmp_path, name):
    with images.open(save_film(tmp_path / name, list(frames()), 100, 700)) as film:
        assert film.n_frames == 3
        durations = []
        for n, frame in enumerate(frames()):
            film.seek(n)
            durations.append(film.info["duration"])
            np.testing.assert_allclose(np.asarray(film.convert("RGB")), frame, atol=NEAR)
    assert durations == [100, 100, 700]


@pytest.mark.parametrize(
    ("name", "count", "step_ms", "message"),
    [
        ("film.mp4", 3, 100, r"\.gif or \.png"),
        ("film.gif", 0, 100, "at least one frame"),
        ("film.gif", 3, 5, "at least 20"),
    ],
)
def test_what_makes_no_film_is_named(tmp_path, name, count, step_ms, message):
    with pytest.raises(OptionError, match=message):
        save_film(tmp_path / name, list(frames(count)), step_ms)


def test_without_pillow_the_remedy_is_named(monkeypatch, tmp_path):
    original = builtins.__import__

    def without(name, *rest):
        if name.startswith("PIL"):
            raise ImportError(name)
        return original(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(DependencyNotInstalled, match=r'pip install "tropism\[render\]"'):
        save_film(tmp_path / "film.gif", list(frames()))
