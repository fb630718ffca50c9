"""A vector of games behaves as Gymnasium's own vectors do, and a lane that fails harms no other."""

import os
import select
import sys
import threading

import gymnasium
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from tests.bridges import odd_game as odd
from tests.bridges.odd import COMMAND
from tests.bridges.sameness import assert_same
from tests.bridges.served import Zoo, options
from tests.bridges.traces import PATIENT, descriptors, is_running

from tropism.bridges.errors import BridgeError, GameCrashed, InvalidValue, SpecMismatch
from tropism.bridges.vector import BridgeVectorEnv
from tropism.errors import OptionError, UnknownNameError

MODES = list(AutoresetMode)


def odd_vector(closing, num_envs=3, **kwargs):
    env = closing(BridgeVectorEnv(num_envs, command=COMMAND, **{"deadlines": PATIENT, **kwargs}))
    env.reset(seed=1)
    return env


def play(env, steps):
    """Everything a vector shows, with resets by mask where it does not reset by itself."""
    env.action_space.seed(4)
    shown = [env.reset(seed=7)]
    for _ in range(steps):
        shown.append(env.step(env.action_space.sample()))
        ended = shown[-1][2] | shown[-1][3]
        if env.metadata["autoreset_mode"] is AutoresetMode.DISABLED and ended.any():
            shown.append(env.reset(options={"reset_mask": ended}))
    return shown


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("transport", ["tcp", "shm"])
def test_lanes_are_those_of_a_sync_vector(closing, mode, transport):
    here = SyncVectorEnv([Zoo] * 3, autoreset_mode=mode)
    there = closing(BridgeVectorEnv(3, mode, **options("Zoo", transport=transport)))
    assert there.observation_space == here.observation_space
    assert there.action_space == here.action_space
    assert_same(play(there, 60), play(here, 60))


def test_made_by_its_id(closing):
    env = closing(gymnasium.make_vec("tropism/Bridge-v0", num_envs=2, **options("Flat")))
    assert isinstance(env.unwrapped, BridgeVectorEnv)
    observations, _ = env.reset(seed=[5, 6])
    assert observations.shape == (2, 3)
    assert env.np_random_seed == (5, 6)


@pytest.mark.filterwarnings(
    "ignore:os.fork:RuntimeWarning"
)  # of JAX, if another test has loaded it
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_other_vectorizations_work_too(closing, mode):
    env = closing(gymnasium.make_vec("tropism/Bridge-v0", 2, mode, **options("Flat")))
    env.reset(seed=1)
    assert env.step(np.zeros((2, 3), np.float32))[0].shape == (2, 3)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings(
    "ignore:This process:DeprecationWarning", "ignore:os.fork:RuntimeWarning"
)
def test_forked_child_that_lives_on_does_not_hold_up_the_end():
    env = BridgeVectorEnv(1, command=COMMAND, deadlines=PATIENT)
    env.reset(seed=1)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writing)
        os.read(reading, 1)  # until the parent is done
        os._exit(0)
    env.close()
    os.close(writing)
    os.close(reading)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_send_and_receive_are_the_halves_of_a_step(closing):
    env = odd_vector(closing)
    env.send(np.full(3, odd.PLAY))
    with pytest.raises(OptionError, match="recv"):
        env.send(np.full(3, odd.PLAY))
    observations, rewards, *_ = env.recv()
    assert observations["count"][:, 0].tolist() == [1, 1, 1]
    assert rewards.tolist() == [1, 1, 1]
    with pytest.raises(OptionError, match="send"):
        env.recv()


def test_an_answer_that_is_there_is_not_late_because_it_is_fetched_late(closing):
    env = odd_vector(closing, 2, transport="tcp")
    env.send(np.full(2, odd.PLAY))
    for lane in env.envs:
        assert select.select([lane.session._channel], [], [], 10)[0]
        lane.session._sent_at -= 3600.0  # a policy has learned for an hour
    observations, *_ = env.recv()
    assert observations["count"][:, 0].tolist() == [1, 1]


def test_games_step_at_the_same_time(closing):
    env = odd_vector(closing, 4)
    waits = []
    env.send(np.full(4, odd.LATE))
    env.recv()
    waits = [lane.session.waited for lane in env.envs]
    assert min(waits) >= odd.LATE_S
    assert max(waits) < 2 * odd.LATE_S  # one after the other the last would wait for four


@pytest.mark.skipif(sys.platform != "linux", reason="SCHED_BATCH is of Linux")
def test_several_games_do_not_interrupt_the_agent_that_wakes_them(closing):
    several, one, told = (
        odd_vector(closing, n, **k) for n, k in ((2, {}), (1, {}), (2, {"batch": False}))
    )
    found = [
        {os.sched_getscheduler(e.session.game_pid) for e in v.envs} for v in (several, one, told)
    ]
    assert found == [{os.SCHED_BATCH}, {os.SCHED_OTHER}, {os.SCHED_OTHER}]


def test_fresh_observations(closing):
    env = odd_vector(closing)
    first, *_ = env.step(np.full(3, odd.PLAY))
    env.step(np.full(3, odd.PLAY))
    assert first["count"][:, 0].tolist() == [1, 1, 1]


@pytest.mark.parametrize("mode", MODES)
def test_endured_fault_ends_the_episode_of_its_lane_only(closing, mode):
    env = odd_vector(closing, autoreset_mode=mode, on_fault="truncate")
    dead = env.envs[1].session.game_pid
    _, _, terminated, truncated, infos = env.step(np.array([odd.PLAY, odd.KILL, odd.PLAY]))
    assert not terminated.any()
    assert truncated.tolist() == [False, True, False]
    told = infos["final_info"] if mode is AutoresetMode.SAME_STEP else infos
    assert told["bridge"]["fault"]["error"][1] == "GameCrashed"
    assert told["bridge"]["_fault"].tolist() == [False, True, False]
    if mode is AutoresetMode.DISABLED:
        with pytest.raises(ResetNeeded):
            env.step(np.full(3, odd.PLAY))
        env.reset(options={"reset_mask": truncated})
    observations, *_ = env.step(np.full(3, odd.PLAY))
    expected = [2, 0, 2] if mode is AutoresetMode.NEXT_STEP else [2, 1, 2]
    assert observations["count"][:, 0].tolist() == expected
    assert not is_running(dead)


def test_fault_that_is_raised_leaves_the_others_in_step(closing):
    env = odd_vector(closing)
    with pytest.raises(GameCrashed):
        env.step(np.array([odd.PLAY, odd.KILL, odd.PLAY]))
    observations, *_ = env.step(np.full(3, odd.PLAY))  # the lane at fault begins anew
    assert observations["count"][:, 0].tolist() == [2, 0, 2]


def test_action_that_one_lane_refuses(closing):
    env = odd_vector(closing, check_values="raise")
    with pytest.raises(InvalidValue):
        env.step(np.array([odd.PLAY, 99, odd.PLAY]))
    observations, *_ = env.step(np.full(3, odd.PLAY))
    assert observations["count"][:, 0].tolist() == [2, 0, 2]


def test_reset_overtakes_what_was_sent(closing):
    env = odd_vector(closing)
    env.send(np.full(3, odd.LATE))
    observations, _ = env.reset(seed=1)
    assert observations["count"][:, 0].tolist() == [0, 0, 0]
    assert env.step(np.full(3, odd.PLAY))[0]["count"][:, 0].tolist() == [1, 1, 1]


def test_step_needs_a_reset(closing):
    env = closing(BridgeVectorEnv(1, command=COMMAND, deadlines=PATIENT))
    with pytest.raises(ResetNeeded):
        env.step(np.zeros(1, int))


def test_games_may_differ_in_their_arguments_but_not_in_their_spaces(closing):
    env = closing(BridgeVectorEnv([{"transport": "tcp"}, {"transport": "unix"}], **options("Flat")))
    assert [lane.session.transport for lane in env.envs] == ["tcp", "unix"]
    before = descriptors()
    names = ["Flat", "Zoo"]
    with pytest.raises(SpecMismatch, match="game 1"):
        BridgeVectorEnv([{"env_id": f"tests.bridges.served:{name}"} for name in names], **_rest())
    assert descriptors() == before


def _rest():
    return {key: value for key, value in options("Flat").items() if key != "env_id"}


def test_nothing_is_left_if_one_cannot_start():
    before, threads = descriptors(), threading.active_count()
    with pytest.raises(BridgeError):
        BridgeVectorEnv([{}, {"command": ["/no-such-game"]}], command=COMMAND, deadlines=PATIENT)
    assert (descriptors(), threading.active_count()) == (before, threads)


def test_wrong_arguments():
    with pytest.raises(OptionError):
        BridgeVectorEnv(0, command=COMMAND)
    with pytest.raises(UnknownNameError):
        BridgeVectorEnv(1, "sometimes", command=COMMAND)


def test_wrong_masks_and_seeds(closing):
    env = odd_vector(closing, 2)
    for mask, kind in (
        (np.zeros(2, bool), ValueError),
        (np.ones(3, bool), ValueError),
        ([1, 0], TypeError),
    ):
        with pytest.raises(kind):
            env.reset(options={"reset_mask": mask})
    with pytest.raises(ValueError, match="seed"):
        env.reset(seed=[1])


def test_render_and_call(closing):
    env = closing(BridgeVectorEnv(2, render_mode="rgb_array", **options("Flat")))
    env.reset(seed=1)
    assert [frame.shape for frame in env.render()] == [(6, 5, 3)] * 2
    assert len(env.call("render")) == 2
