"""Rendering: what a frame shows, that nobody pays for it unasked, and that every mode works."""

from __future__ import annotations

import itertools
import pickle
import re
import time
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.error import ResetNeeded

import tropism.envs  # noqa: F401
from tropism.envs.core import canvas as drawing
from tropism.envs.core.canvas import INK, SERIES
from tropism.envs.core.random import seed_key
from tropism.envs.patternworld import plots
from tropism.envs.patternworld.frame import Frames
from tropism.envs.patternworld.keys import keys_to_action
from tropism.envs.patternworld.observer_replay import IdealBelief
from tropism.envs.patternworld.params import TIERS, make_params
from tropism.envs.patternworld.recording import Recording, make_recording
from tropism.envs.patternworld.reference import make_reference

FEEDBACKS = ("reveal", "bandit", "probe", "closed")


def make(tier="Switch", **options) -> Any:
    return gymnasium.make(f"tropism/PatternWorld-{tier}-v0", **options)


def played(tier="Switch", answers=40, wrong=(), seed=3, **overrides):
    """A record of right answers, but for the steps in ``wrong``."""
    world = make_recording(make_params(tier, **overrides))
    world.reset(seed_key(seed), 0, {})
    for t in range(answers):
        world.step((world.target + 1) % world.params.vocabulary if t in wrong else world.target)
    return world


def has(pixels, colour):
    return bool((pixels == colour).all(-1).any())


def test_the_tests_mean_the_environments_own_tiers():
    assert len(TIERS) == 10


@pytest.mark.parametrize("feedback", FEEDBACKS)
@pytest.mark.parametrize("tier", TIERS)
def test_every_tier_and_feedback_renders_in_both_forms(tier, feedback):
    for mode in ("rgb_array", "ansi"):
        env = make(tier, feedback=feedback, render_mode=mode)
        env.reset(seed=1)
        env.action_space.seed(1)
        pictures = [env.render()]
        for _ in range(5):
            env.step(env.action_space.sample())
            pictures.append(env.render())
        env.close()
        if mode == "ansi":
            assert all(isinstance(p, str) for p in pictures)
            assert f"PatternWorld {tier} · {feedback}" in pictures[-1]
        else:
            assert all(p.dtype == np.uint8 and p.shape == (480, 768, 3) for p in pictures)
            assert not np.shares_memory(pictures[0], pictures[1])


def test_a_hit_and_a_miss_differ_in_shape_and_colour_at_their_column():
    frames = Frames(make_params("Switch"))
    hit, miss = frames.draw(played()), frames.draw(played(wrong=[20]))
    x, y = int(plots.column(20)), plots.MARKS
    region = slice(y - 4, y + 5), slice(x - 4, x + 4)
    assert has(hit[region], INK["hit"])
    assert not has(hit[region], INK["miss"])
    assert has(miss[region], INK["miss"])
    assert not has(miss[region], INK["hit"])
    ground = np.array(INK["panel"])
    assert ((hit[region] == ground).all(-1) != (miss[region] == ground).all(-1)).any()
    untouched = slice(y - 4, y + 5), slice(x + 4, x + 12)
    np.testing.assert_array_equal(hit[untouched], miss[untouched])


@pytest.mark.parametrize("answers", [40, 200])
def test_the_rule_strip_changes_colour_at_the_column_of_the_switch(answers):
    world = played(answers=answers, hazard=0.1, seed=4)
    recent = world.steps[-59:]
    switches = [n for n, step in enumerate(recent) if step.switched]
    assert switches
    strip = Frames(world.params).draw(world)[plots.STRIP + 17]
    for n, step in enumerate(recent):
        expected = drawing.mix(INK["panel"], SERIES[world.slots[step.rule]], 0.85)
        assert tuple(strip[int(plots.column(n))]) == expected
        tick = strip[int(plots.LEFT + n * plots.PITCH)]
        assert (tuple(tick) == INK["text"]) == (n in switches)


def test_successive_regimes_never_share_a_colour():
    world = played("Heldout", answers=600, hazard=0.2)
    rules = [step.rule for step in world.steps if step.switched]
    assert len(set(rules)) > 50
    for before, after in itertools.pairwise(rules):
        assert world.slots[before] != world.slots[after]


def test_without_spoilers_frames_depend_only_on_what_the_player_knows():
    def frame(switched_at):
        world = make_recording(make_params("Switch", feedback="bandit"))
        world.reset(seed_key(1), 0, {"token": 4, "rule": 0, "dwell": switched_at})
        for _ in range(12):
            world.step(50)  # no token gets there: every answer is wrong
        return Frames(world.params).draw(world, spoilers=False, notes=["notes"])

    np.testing.assert_array_equal(frame(3), frame(9))
    np.testing.assert_array_equal(frame(3), frame(100))


def test_a_belief_glows_where_it_lies_and_is_listed():
    world = played()
    frames = Frames(world.params)
    dark = frames.draw(world)
    belief = np.zeros(100)
    belief[70], belief[10] = 0.9, 0.1
    world.announce(belief, None)
    bright = frames.draw(world)
    y, x = int(plots.row(70, 100)), int(plots.column(40)) + 2
    assert bright[y, x].sum() > dark[y, x].sum() + 200
    assert (bright[400:] == dark[400:]).all()
    world.step(world.target)
    assert world.belief is None
    assert world.steps[-1].belief is not None
    assert frames.draw(world)[y, x].sum() > 300, "the belief stays under its answer"


def test_the_ideal_belief_wrapper_draws_its_belief():
    env = IdealBelief(make(render_mode="rgb_array"))
    _, info = env.reset(seed=1)
    world = env.unwrapped.reference
    np.testing.assert_array_equal(world.belief, info["belief"]["probs"])
    np.testing.assert_array_equal(world.rule_belief, info["belief"]["rule"])


def test_ansi_tells_sequence_answers_rule_and_belief():
    world = played(answers=8, wrong=[5])
    env = make(render_mode="ansi")
    env.reset(seed=3)
    for step in world.steps:
        env.step(step.action)
    env.unwrapped.show_belief(np.eye(100)[42])
    lines = re.sub(r"\x1b\[[0-9;]*m", "", env.render()).splitlines()
    tokens = [world.steps[0].token, *(step.target for step in world.steps)]
    assert lines[0] == "PatternWorld Switch · reveal   step 8   score 7   right 88%"
    assert lines[1].split() == ["tokens", *map(str, tokens), "?"]
    assert lines[2].split() == ["said", *(str(step.action) for step in world.steps)]
    assert lines[3] == "answers ●●●●●×●●"
    assert lines[5].startswith("rule    ████████ ")
    assert lines[6].startswith("belief  42 100%")


def test_ansi_marks_the_switch_above_its_answer():
    env = make(render_mode="ansi")
    env.reset(seed=1, options={"dwell": 4})
    for _ in range(6):
        env.step(0)
    marks = re.sub(r"\x1b\[[0-9;]*m", "", env.render()).splitlines()[4]
    assert marks.index("▼") == len("answers ") + 4


def test_hop_shows_permutation_and_query():
    env = make("Hop", render_mode="ansi")
    env.reset(seed=1)
    world = env.unwrapped.reference
    text = env.render()
    assert " ".join(f"{a}→{b}" for a, b in enumerate(world.permutation)) in text
    assert f"{world.token}, {world.query} hops on" in text


def test_nothing_is_recorded_without_a_render_mode():
    env = make()
    env.reset(seed=1)
    assert type(env.unwrapped.reference) is type(make_reference(env.unwrapped.params))
    assert not isinstance(env.unwrapped.reference, Recording)
    with pytest.warns(UserWarning, match="render_mode"):
        assert env.unwrapped.render() is None
    env.unwrapped.show_belief(np.ones(100) / 100)


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("feedback", FEEDBACKS)
def test_recording_changes_no_bit(tier, feedback):
    params = make_params(tier, feedback=feedback)
    plain, recording = make_reference(params), make_recording(params)
    assert plain.reset(seed_key(5), 0, {}) == recording.reset(seed_key(5), 0, {})
    for t in range(300):
        action = t % params.num_actions
        assert plain.step(action) == recording.step(action)
        assert plain.target == recording.target
    assert [step.masked for step in recording.steps] == [
        feedback != "reveal" and not step.peeked and not (feedback == "closed" and step.hit)
        for step in recording.steps
    ]


@pytest.mark.parametrize("mode", ["rgb_array", "ansi", "human"])
def test_an_environment_that_will_render_pickles(mode):
    assert pickle.loads(pickle.dumps(make(render_mode=mode).unwrapped)).render_mode == mode


def test_a_record_pickles():
    env = make(render_mode="rgb_array").unwrapped
    env.reset(seed=2)
    env.step(1)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(env)).render(), env.render())


def test_rendering_before_reset_says_so():
    with pytest.raises(ResetNeeded, match=r"reset\(\)"):
        make(render_mode="rgb_array").unwrapped.render()


def test_lists_of_frames_come_through_gymnasium():
    env = make(render_mode="rgb_array_list")
    env.reset(seed=1)
    env.step(1)
    assert len(env.render()) == 2


def test_human_mode_shows_every_step_and_leaves_the_sound_off():
    pygame = pytest.importorskip("pygame")
    env = make(render_mode="human")
    env.reset(seed=1)
    env.step(1)
    assert env.render() is None
    shown = pygame.surfarray.array3d(pygame.display.get_surface()).swapaxes(0, 1)
    np.testing.assert_array_equal(shown, Frames(env.unwrapped.params).draw(env.unwrapped.reference))
    assert pygame.mixer.get_init() is None
    env.close()
    env.close()
    assert not pygame.display.get_init()


def test_a_frame_takes_milliseconds():
    world, frames = played(answers=200), Frames(make_params("Switch"))
    frames.draw(world)
    times = []
    for _ in range(10):
        start = time.process_time()
        frames.draw(world)
        times.append(time.process_time() - start)
    assert min(times) < 0.02, "a frame should take about 3 ms"


def test_keys_cover_every_token():
    hop = keys_to_action(make_params("Hop", feedback="probe"))
    assert hop == {**{(ord(str(n)),): n for n in range(8)}, (ord(" "),): 8}
    switch = keys_to_action(make_params("Switch"))
    assert sorted(switch.values()) == list(range(100))
    assert switch[ord("2"), ord("e")] == 42
    assert make().unwrapped.get_keys_to_action() == switch
