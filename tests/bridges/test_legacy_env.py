"""BonkLink v1 as an environment."""

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from tests.bridges.bonklink_live import Game
from tests.bridges.bonklink_original import OriginalGame

from tropism.bridges.errors import ConnectionLost, SpecMismatch
from tropism.bridges.legacy import BonkLinkEnv, Enemy, State
from tropism.bridges.legacy.bonklink import encode_state
from tropism.bridges.legacy.bonklink_stream import encode_packet

FAST = {"connect": 10.0, "step": 10.0, "reset": 10.0}


@pytest.fixture
def env():
    with Game(length=400) as game:
        env = BonkLinkEnv(port=game.port, mode="fifo", frame=(4, 6), timeouts=FAST)
        env.game = game
        yield env
        env.close()


def test_gymnasium_finds_nothing_to_complain_about(env):
    check_env(env, skip_render_check=True)
    assert env.game.seeds  # and the seeds were asked of the game


def test_episode_has_its_rewards_and_its_end(env):
    _, info = env.reset(seed=3)
    assert "seed_ignored" not in info
    total, terminated = 0.0, False
    while not terminated:
        observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
        assert env.observation_space.contains(observation)
        assert not truncated
        total += reward
    assert total == 400 == env.reading.state.outcome.total
    assert info["events"] == [{"name": "ended", "data": "terminated", "game_time": 400.0}]
    env.reset()
    assert env.step(env.action_space.sample())[2] is False


def test_frame_shows_the_tick_and_stays_until_the_next(env):
    observation, info = env.reset()
    assert info["new_frame"]
    assert (observation["frame"] == int(observation["game_time"][0]) % 256).all()


def test_actions_reach_the_game_and_clicks_are_in_its_pixels(env):
    env.reset()
    action = {key: np.zeros_like(value) for key, value in env.action_space.sample().items()}
    action |= {"move": np.float32([1, -1]), "buttons": np.int8([0, 1, 0])}
    action |= {"click": 1, "point": np.float32([1, 0])}
    env.step(action)
    while not (seen := [a for a in env.game.actions if a.click]):
        env.step(action | {"click": 0})
    assert seen[0].click == (5, 3)
    assert (seen[0].move, seen[0].fire, seen[0].ability) == ((1.0, -1.0), False, True)


def test_lost_game_is_an_error_and_reset_connects_again(env):
    env.reset()
    env.game.ending.set()
    env.game.join()
    with pytest.raises(ConnectionLost):
        play(env, 10**5)
    with Game(env.game.port):
        env.reset(seed=1)
        assert env.reading.state.outcome.episode == 1


def play(env, steps):
    for _ in range(steps):
        env.step(env.action_space.sample())


def test_frame_of_another_size_is_refused(env):
    env.frame, env._picture = (8, 8), np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(SpecMismatch, match="frame"):
        env.reset()


def test_original_game_can_be_played_by_a_judge_of_ones_own():
    enemies = (Enemy((1.0, 2.0, 3.0), 4.0),) * 12
    state = State(health=40.0, enemies=enemies, menu="Somewhere", level_up=("Sword",))
    with OriginalGame(encode_packet(encode_state(state))) as game:
        env = BonkLinkEnv(port=game.port, judge=lambda a, b: (b.health, True), timeouts=FAST)
        observation, info = env.reset(seed=1)
        assert info["seed_ignored"]
        assert (info["menu"], info["level_up"]) == ("Somewhere", ["Sword"])
        assert (observation["enemies"] == [1, 2, 3, 4]).all()
        assert (observation["enemy_count"], observation["menu"]) == (10, 6)
        assert env.observation_space.contains(observation)
        assert env.step(env.action_space.sample())[1:4] == (40.0, True, False)
        env.close()
