"""Pictures of Chemotaxis: what a frame shows, that nobody pays for it unasked, and that every mode works."""

from __future__ import annotations

import pickle
import time

import gymnasium
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from tests.envs.lives import LEVELS, live, make

import tropism.envs  # noqa: F401
from tropism.envs.chemotaxis.frame import HEIGHT, WIDTH, Frames
from tropism.envs.chemotaxis.observation import MOVES, STAY, channels
from tropism.envs.chemotaxis.recording import Recording
from tropism.envs.chemotaxis.render import draw_life, film_life
from tropism.envs.chemotaxis.text import draw_text
from tropism.envs.core.canvas import INK
from tropism.errors import OptionError


def wander(count, seed=0):
    return np.random.default_rng(seed).integers(0, len(MOVES), count).tolist()


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
