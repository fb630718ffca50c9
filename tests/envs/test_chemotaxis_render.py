"""Pictures of Chemotaxis: what a frame shows, that nobody pays for it unasked, and that every mode works."""

from __future__ import annotations

import pickle
import re
import time
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.error import ResetNeeded

import tropism.envs  # noqa: F401
from tropism.envs.chemotaxis.frame import HEIGHT, WIDTH, Frames
from tropism.envs.chemotaxis.observation import LEFT, MOVES, RIGHT, STAY, channels
from tropism.envs.chemotaxis.recording import Recording
from tropism.envs.chemotaxis.render import draw_life, film_life
from tropism.envs.chemotaxis.text import draw_text
from tropism.envs.core.canvas import INK
from tropism.envs.core.terminal import plain
from tropism.envs.registration import CHEMOTAXIS
from tropism.errors import OptionError

LEVELS = [row[0] for row in CHEMOTAXIS]
ROW = 281
"""Height of the middle of the cells in a frame of a world on a line."""


def make(level="L0.2", **options) -> Any:
    return gymnasium.make(f"tropism/Chemotaxis-{level}-v0", **options)


def live(level, actions, seed=3, options=None, **overrides):
    """The record of a life."""
    env = make(level, render_mode="rgb_array", **overrides)
    env.reset(seed=seed, options=options)
    for action in actions:
        _, _, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            break
    return env.unwrapped.life


def wander(count, seed=0):
    return np.random.default_rng(seed).integers(0, len(MOVES), count).tolist()


def has(pixels, colour):
    return bool((pixels == colour).all(-1).any())


def column(cell):
    """Pixel columns of a cell of a 64 x 1 world."""
    return slice(48 + int(10.75 * cell), 48 + int(10.75 * cell) + 11)


@pytest.mark.parametrize("level", LEVELS)
def test_every_level_renders_in_both_forms(level):
    for mode in ("rgb_array", "ansi"):
        env = make(level, render_mode=mode)
        env.reset(seed=1)
        pictures = [env.render()]
        for action in wander(4):
            env.step(action)
            pictures.append(env.render())
        if mode == "ansi":
            size = "{} x {}".format(*env.unwrapped.params.size)
            assert f"Chemotaxis {level} · {size}   step 4 / " in pictures[-1]
        else:
            assert all(p.dtype == np.uint8 and p.shape == (HEIGHT, WIDTH, 3) for p in pictures)
            assert not np.shares_memory(pictures[0], pictures[1])


@pytest.mark.parametrize("level", LEVELS)
def test_frames_are_a_function_of_the_life(level):
    actions = wander(30)
    once, again = (live(level, actions) for _ in range(2))
    times = (0, 1, 2, 15, 30)
    frames, others = Frames(once.params), Frames(again.params)
    first = [frames.draw(once.at(t)) for t in times]
    second = [others.draw(again.at(t)) for t in reversed(times)][::-1]
    np.testing.assert_array_equal(first, second)
    assert len({frame.tobytes() for frame in first}) == len(first), "every step shows"
    assert draw_text(once.at()) == draw_text(again.at())


@pytest.mark.parametrize("level", LEVELS)
def test_watching_changes_no_bit(level):
    plain_env, watched = make(level), make(level, render_mode="rgb_array")
    first, second = plain_env.reset(seed=5), watched.reset(seed=5)
    for action in wander(60):
        np.testing.assert_array_equal(first[0], second[0])
        for name, value in first[-1].items():
            np.testing.assert_array_equal(value, second[-1][name])
        if len(first) == 5:
            assert first[1:4] == second[1:4]
            if first[2] or first[3]:
                break
        first, second = plain_env.step(action), watched.step(action)


@pytest.mark.parametrize("level", LEVELS)
def test_visits_are_those_that_the_labels_count(level):
    for seed in range(4):
        view = live(level, wander(128, seed), seed=seed).at()
        good = sum(not visit.harmful for visit in view.visits)
        assert good == view.fact("good_arrivals")
        assert len(view.visits) - good == view.fact("bad_arrivals")


def test_nothing_is_recorded_without_a_render_mode():
    env = make().unwrapped
    env.reset(seed=1)
    assert env.life is None
    assert env._observe.__func__ is type(env.reference.senses).observe
    with pytest.warns(UserWarning, match="render_mode"):
        assert env.render() is None


# -- what a frame shows -----------------------------------------------------------------------------------------

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


# -- other worlds, other faces ----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1, 1), (1, 64), (256, 1), (3, 2), (256, 256), (200, 7)])
def test_every_size_of_world_has_a_picture(size):
    width, height = size
    life = live("L0.2", wander(40), width=width, height=height)
    assert draw_life(life).shape == (HEIGHT, WIDTH, 3)
    assert draw_text(life.at(), truth=False)


@pytest.mark.parametrize("level", LEVELS)
def test_a_life_from_arrays_is_the_life_of_the_environment(level):
    actions = wander(40)
    expected = live(level, actions, seed=7)
    env = gymnasium.make_vec(f"tropism/Chemotaxis-{level}-v0", num_envs=1)
    observation, info = env.reset(seed=7)
    rows, facts = [observation], [info]
    for action in actions:
        observation, _, terminated, truncated, info = env.step(np.array([action]))
        rows.append(observation)
        facts.append(info)
        if terminated[0] or truncated[0]:
            break
    names = env.metadata["labels"]
    labels = {name: np.stack([np.asarray(row[name])[0] for row in facts]) for name in names}
    life = Recording.from_columns(expected.params, np.concatenate(rows), labels)
    for moment in (*life.moments, *expected.moments):
        moment.facts.pop("timers", None)
    told = [moment._replace(timers=None) for moment in expected.moments]
    expected.moments = told
    np.testing.assert_array_equal(draw_life(life), draw_life(expected))


def test_what_comes_after_the_end_of_a_life_is_left_out():
    life = live("L0.2", [STAY] * 128)
    facts = [dict(moment.facts) for moment in life.moments]
    facts += [facts[-1]] * 3
    labels = {name: np.stack([row[name] for row in facts]) for name in facts[0]}
    sensed = np.stack([moment.sensed for moment in (*life.moments, *life.moments[-3:])])
    assert len(Recording.from_columns(life.params, sensed, labels).moments) == 129


def test_dropout_shows_as_nothing_sensed():
    life = live("L1.1", [STAY] * 20)
    silent = [t for t in range(20) if not life.moments[t].sensed[:2].any()]
    assert 3 < len(silent) < 17
    assert "food -" in draw_text(life.at(silent[0]))
    assert channels(life.params)[0] == "food_x"


def test_noise_is_no_storm():
    life = live("L3.1", [STAY], obs_noise=0.05)
    assert life.at().sense("storm") != 0
    assert "storm" not in draw_text(life.at())
    calm = live("L3.1", [STAY])
    pixels = [(draw_life(one)[57:457, 26:426] == INK["miss"]).all(-1).sum() for one in (life, calm)]
    assert pixels[0] == pixels[1]


def test_a_life_is_saved_as_picture_and_film(tmp_path):
    images = pytest.importorskip("PIL.Image")
    life = live("L1.0", wander(10))
    draw_life(life, tmp_path / "life.png")
    with images.open(tmp_path / "life.png") as image:
        assert image.size == (WIDTH, HEIGHT)
    for name in ("life.gif", "film.png"):
        film_life(life, tmp_path / name, every=4)
        with images.open(tmp_path / name) as film:
            assert film.n_frames == 4, "steps 0, 4, 8 and the last"
    with pytest.raises(OptionError, match=r"\.gif or \.png"):
        film_life(life, tmp_path / "life.mp4")


# -- modes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["rgb_array", "ansi", "human"])
def test_an_environment_that_will_render_pickles(mode):
    assert pickle.loads(pickle.dumps(make(render_mode=mode).unwrapped)).render_mode == mode


def test_a_record_pickles():
    env = make(render_mode="rgb_array").unwrapped
    env.reset(seed=2)
    env.step(1)
    twin = pickle.loads(pickle.dumps(env))
    env.step(4)
    twin.step(4)
    np.testing.assert_array_equal(twin.render(), env.render())


def test_rendering_before_reset_says_so():
    with pytest.raises(ResetNeeded, match=r"reset\(\)"):
        make(render_mode="rgb_array").unwrapped.render()


def test_another_life_begins_another_record():
    env = make(render_mode="rgb_array_list").unwrapped
    env.reset(seed=1)
    env.step(4)
    env.reset()
    assert len(env.life.moments) == 1


def test_lists_of_frames_come_through_gymnasium():
    env = make(render_mode="rgb_array_list")
    env.reset(seed=1)
    env.step(1)
    assert len(env.render()) == 2


def test_human_mode_shows_every_step_and_leaves_the_sound_off():
    pygame = pytest.importorskip("pygame")
    env = make(render_mode="human")
    env.reset(seed=1)
    env.step(4)
    assert env.render() is None
    shown = pygame.surfarray.array3d(pygame.display.get_surface()).swapaxes(0, 1)
    record = env.unwrapped.life
    np.testing.assert_array_equal(shown, Frames(record.params).draw(record.at()))
    assert pygame.mixer.get_init() is None
    env.close()
    env.close()
    assert not pygame.display.get_init()


@pytest.mark.parametrize("level", ["L1.0", "L0.1"])
def test_a_frame_takes_milliseconds(level):
    life = live(level, wander(128))
    frames, times = Frames(life.params), []
    for _ in range(10):
        start = time.process_time()
        frames.draw(life.at())
        times.append(time.process_time() - start)
    assert min(times) < 0.03, "a frame should take about 4 ms"


def test_keys_are_those_of_pygame():
    pygame = pytest.importorskip("pygame")
    names = {
        pygame.key.name(keys[0]): action
        for keys, action in make().get_wrapper_attr("get_keys_to_action")().items()
    }
    assert names == {"space": 0, "up": 1, "down": 2, "left": 3, "right": 4}
