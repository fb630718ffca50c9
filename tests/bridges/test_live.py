"""Latest-frame mode: the newest frame, however fast the game and however slow the agent."""

import os
import signal
import threading
import time

import numpy as np
import pytest
from tests.bridges import odd_game as odd
from tests.bridges.odd import make
from tests.bridges.served import Zoo, options
from tests.bridges.traces import PATIENT

from tropism.bridges.env import BridgeEnv
from tropism.bridges.errors import (
    BridgeTimeout,
    GameCrashed,
    StepTimeout,
    UnsupportedMessage,
)
from tropism.bridges.game import Game
from tropism.bridges.live import LiveSession
from tropism.bridges.options import Deadlines, GameOptions
from tropism.bridges.protocol.header import Type
from tropism.bridges.protocol.messages import Message
from tropism.bridges.session import Session

PERIOD_S = 0.005  # of the odd game


@pytest.fixture
def play():
    made = []

    def begin(**kwargs):
        made.append(
            make("live", mode="latest", patience_s=10.0, **{"deadlines": PATIENT, **kwargs})
        )
        made[-1].reset(seed=1)
        return made[-1]

    yield begin
    for env in made:
        env.close()


def test_each_step_shows_the_effect_of_its_action(play, transport):
    env = play(transport=transport)
    assert isinstance(env.session, LiveSession)
    count, total, dropped = 0.0, 0.0, 0
    for _ in range(50):
        observation, reward, *ended, info = env.step(odd.PLAY)
        bridge = info["bridge"]
        assert (bridge["applied_lag"], bridge["late"]) == (0, False)
        assert bridge["age_ms"] >= 0
        assert observation["count"][0] > count
        count, total, dropped = observation["count"][0], total + reward, dropped + bridge["dropped"]
        assert not any(ended)
    assert dropped == env.stats.dropped
    assert dropped + 50 >= count
    if transport != "shm":  # frames that nobody has seen have brought nobody a reward
        assert total == count


def test_a_slow_agent_gets_the_newest_frame(play, transport):
    env = play(transport=transport)
    env.step(odd.PLAY)
    for _ in range(3):
        time.sleep(20 * PERIOD_S)
        *_, info = env.step(odd.PLAY)
        assert info["bridge"]["dropped"] >= 5
        assert info["bridge"]["applied_lag"] == 0


def test_without_patience_the_newest_frame_does_not_wait_for_the_action(play):
    env = play()
    env._keeper._patience = 0.0
    time.sleep(5 * PERIOD_S)
    os.kill(env.session.game_pid, signal.SIGSTOP)  # it would answer at once
    try:
        *_, info = env.step(odd.PLAY)
    finally:
        os.kill(env.session.game_pid, signal.SIGCONT)
    assert info["bridge"]["late"]
    assert info["bridge"]["applied_lag"] == 1


def test_the_last_frame_of_an_episode_is_not_overtaken(play, transport):
    env = play(transport=transport)
    for episode in range(3):
        observation, reward, terminated, *_ = env.step(odd.END)
        assert terminated
        assert reward >= 1
        observation, _ = env.reset(seed=episode)
        assert observation["count"][0] <= 5 + 20  # of the new episode, if not its first frame
        assert env.session.episode == episode + 2


def test_death_and_hang_are_told(play, transport):
    env = play(transport=transport)
    with pytest.raises(GameCrashed, match="SIGKILL"):
        env.step(odd.KILL)
    env = play(transport=transport, deadlines={**PATIENT, "step": 0.5})
    with pytest.raises(StepTimeout):
        _hang(env)


def _hang(env):
    while True:  # frames sent before it hung are delivered first
        env.step(odd.HANG)


def test_fault_is_endured(play):
    env = play(on_fault="truncate")
    env.step(odd.PLAY)
    *_, truncated, info = env.step(odd.KILL)
    assert truncated
    assert info["bridge"]["fault"]["error"] == "GameCrashed"
    assert env.reset(seed=1)[0]["count"][0] <= 25
    assert not env.step(odd.PLAY)[3]


def test_game_that_can_only_wait_is_refused():
    with pytest.raises(UnsupportedMessage, match="latest-frame"):
        BridgeEnv(address=_lockstep_only(), mode="latest", deadlines=PATIENT)


def _lockstep_only():
    game = Game(odd.SPEC, listen="tcp://127.0.0.1:0", on_agent_lost="exit")

    def run():
        with game:
            for _ in game:
                pass

    threading.Thread(target=run, daemon=True).start()
    return game.address


def test_served_environment_runs_at_its_own_rate():
    env = BridgeEnv(**options("Zoo", mode="latest", fps=200.0, patience_s=10.0))
    try:
        env.reset(seed=1)
        for _ in range(20):
            observation, _, terminated, truncated, _ = env.step(np.zeros(3, np.float32))
            assert observation in Zoo.observation_space
            if terminated or truncated:
                env.reset()
    finally:
        env.close()


class Flooded:
    """A channel with always one more frame of the first episode."""

    read = 0

    def receive(self, *_):
        self.read += 1
        assert self.read < 10**6
        return Message(Type.OBS, self.read, 1)


def test_a_flood_of_frames_of_an_older_episode_ends_with_the_deadline():
    session = LiveSession(GameOptions(address="tcp://127.0.0.1:1"))
    session._channel, session._episode = Flooded(), 2
    with pytest.raises(BridgeTimeout):
        session._next_frame(0.01, optional=False)
    assert session._next_frame(0.0, optional=True) is None
    assert session.stats.stale > 1


def test_a_flood_of_older_answers_ends_with_the_deadline(monkeypatch):
    session = Session(GameOptions(address="tcp://127.0.0.1:1", deadlines=Deadlines(step=0.01)))
    session._channel, session._seq = Flooded(), 10**6
    session._awaited, session._phase = session._seq, "step"
    monkeypatch.setattr("tropism.bridges.session.LEAST_WAIT", 0.01)
    with pytest.raises(StepTimeout):
        session.receive()
    assert session.stats.stale > 1
