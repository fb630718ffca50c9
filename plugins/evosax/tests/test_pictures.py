from __future__ import annotations

import json
import sys

import gymnasium
import jax
import numpy as np
import pytest
from PIL import Image

from tropism.errors import ArtifactError, OptionError, UnsupportedTaskError
from tropism_evosax.face import Face
from tropism_evosax.genomes.registry import make_encoding
from tropism_evosax.networks.registry import make_controller
from tropism_evosax.pictures import draw_champion, record_life
from tropism_evosax.plots import plot_runs
from tropism_evosax.records import read_run

ROW = {
    "fitness_mean": 150.0,
    "fitness_max": 160.0,
    "best_score": None,
    "entropy": 0.7,
    "viable": 8,
}


@pytest.fixture
def written(tiny, tmp_path):
    """Writes a run of ``generations`` by hand: ``written(name, seed, ...)``."""

    def write(name, seed=0, generations=12, row=(), **changes):
        directory = tmp_path / name
        directory.mkdir()
        config = tiny(seed=seed, **changes).to_json()
        (directory / "config.json").write_text(json.dumps(config))
        (directory / "manifest.json").write_text('{"starts": [{}]}')
        rows = [
            ROW
            | {"generation": g, "fitness_mean": 150 + g + 3 * seed, "entropy": 1 / (g + 1)}
            | ({"best_score": 155.0 + g} if g % 5 == 4 else {})
            | dict(row)
            for g in range(generations)
        ]
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (directory / "generations.jsonl").write_text(lines)
        return directory

    return write


def size(path):
    with Image.open(path) as picture:
        return picture.size


def ink(path):
    """Share of pixels that are not the ground."""
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3)
    return float((pixels != pixels[0]).any(axis=1).mean())


def test_a_plot_shows_fitness_and_entropy(written, tmp_path):
    out = plot_runs([written("a")], tmp_path / "p.png")
    assert size(out) == (1320, 456)
    assert ink(out) > 0.03


def test_filters_and_learning_get_panels_of_their_own(written, tmp_path):
    learning = {"viable": 6, "change": 1e-5, "event_change": 1e-4}
    runs = [written(f"seed{n}", n, row=learning) for n in range(3)]
    out = plot_runs(runs, tmp_path / "p.png")
    assert size(out) == (1320, 816)
    one, other = (plot_runs(runs, tmp_path / name).read_text() for name in ("p.svg", "q.svg"))
    assert one == other


def test_runs_of_several_kinds_are_told_apart_by_what_differs(written, tmp_path, monkeypatch):
    runs = [written("a"), written("b", 1), written("c", sigma=0.5, generations=5)]
    labels = []
    monkeypatch.setattr(
        "matplotlib.axes.Axes.plot",
        lambda self, *_, label=None, **__: labels.append(label),
    )
    monkeypatch.setattr("matplotlib.figure.Figure.legend", lambda *_, **__: None)
    plot_runs(runs, tmp_path / "p.png")
    assert {"sigma=0.1 (2 seeds): best", "sigma=0.5: best"} <= set(labels)


def test_a_run_without_a_generation_cannot_be_plotted(written, tmp_path):
    with pytest.raises(ArtifactError, match="no generation yet"):
        plot_runs([written("a", generations=0)], tmp_path / "p.png")


def test_a_missing_matplotlib_is_said(written, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(gymnasium.error.DependencyNotInstalled, match=r"tropism-evosax\[plot\]"):
        plot_runs([written("a")], tmp_path / "p.png")


def test_a_champion_is_drawn_and_filmed(by_hand, tmp_path):
    finished = by_hand()
    config = read_run(finished)
    said = draw_champion(finished, config, 1, tmp_path / "life.png")
    assert said.startswith("fitness ")
    assert ink(tmp_path / "life.png") > 0.05
    draw_champion(finished, config, 1, tmp_path / "life.gif")
    with Image.open(tmp_path / "life.gif") as film:
        assert film.size == size(tmp_path / "life.png")
        assert 2 <= getattr(film, "n_frames", 1) <= 25
    for episode, name, hint in ((0, "life.jpg", "must end in"), (-1, "a.png", "episode")):
        with pytest.raises(OptionError, match=hint):
            draw_champion(finished, config, episode, tmp_path / name)


def test_only_the_ladder_is_drawn(tiny, tmp_path):
    config = tiny(env_id="tropism/PatternWorld-Switch-v0", env_kwargs={"flat": True})
    with pytest.raises(UnsupportedTaskError, match="Chemotaxis"):
        draw_champion(tmp_path, config, 0, tmp_path / "life.png")


def test_a_recorded_life_is_the_one_that_gym_make_lives():
    face = Face("tropism/Chemotaxis-L1.0-v0", {"steps": 40, "width": 8})
    controller = make_controller("mlp", face.num_inputs, face.num_actions, hidden=4)
    encoding = make_encoding("direct", controller)
    genome = np.asarray(0.7 * jax.random.normal(jax.random.key(1), (encoding.num_params,)))
    life = record_life(face, encoding, genome, 12)
    weights, act = encoding.develop(genome), jax.jit(controller.act)
    memory = controller.initial(weights, jax.numpy.zeros(2, "uint32"))
    env = gymnasium.make("tropism/Chemotaxis-L1.0-v0", steps=40, width=8)
    observation, info = env.reset(seed=12)
    for moment in life.moments:
        np.testing.assert_array_equal(moment.sensed, observation)
        assert (moment.facts["x"], moment.facts["fitness"]) == (info["x"], info["fitness"])
        memory, action, _ = act(weights, memory, observation)
        observation, _, terminated, truncated, info = env.step(int(action))
        if terminated or truncated:
            break
    assert len(life.moments) == info["t_alive"] + 1
