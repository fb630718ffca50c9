"""Research v1: its golden bytes; no reset, no action and no picture lost, with the original game loop too."""

import random
import struct
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from tropism.bridges.errors import (
    BridgeClosed,
    ConnectTimeout,
    GameExited,
    InvalidValue,
    ProtocolError,
    ResetTimeout,
    ShmCorrupt,
    ShmUnavailable,
    StepTimeout,
)
from tropism.bridges.legacy import ResearchAgent, ResearchEnv, ResearchGame
from tropism.bridges.legacy.research import Segment, Word, default_path, total_size

IDLE = (0.0,) * 6


@pytest.fixture
def path(tmp_path):
    return tmp_path / "megabonk_env_0"


def picture(value, size=(84, 84)):
    return np.full((*size, 3), value % 256, np.uint8)


class Player(threading.Thread):
    """A game that shows its step counter as grey, `pause` seconds a frame."""

    def __init__(self, path, pause=0.0, size=(84, 84)):
        super().__init__(daemon=True)
        self.game, self.pause, self.requests = ResearchGame(path, size), pause, []

    def run(self):
        with self.game:
            while True:
                time.sleep(self.pause)
                step = self.game.step
                self.game.publish(picture(step, self.game.size), reward=step / 2, done=step == 5)
                try:
                    self.requests.append(self.game.wait(10))
                except BridgeClosed:
                    return

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.game.close()
        self.join()


# --- bytes ---------------------------------------------------------------------------------------


def test_file_has_the_golden_bytes_of_v1(path):
    with ResearchGame(path) as game:
        assert path.stat().st_size == 21_224
        assert path.stat().st_mode & 0o777 == 0o600
        pixels = np.arange(84 * 84 * 3, dtype=np.uint32).astype(np.uint8).reshape(84, 84, 3)
        game.publish(pixels, reward=1.5, done=True, time_ms=1234)
        data = path.read_bytes()
        header = "02000000 00000000 0000c03f 01000000 00000000 d2040000 54000000 54000000"
        assert data[:0x20].hex(" ", 4) == header
        assert data[0x20:0x52D0] == pixels.tobytes()
        with ResearchAgent(path) as agent:
            agent._post(Word.ACTION_READY, (1, -1, 0.5, 0, 0, 1), time.monotonic() + 10, "step")
        data = path.read_bytes()
        assert data[:4] == b"\x01\0\0\0"
        assert data[0x52D0:] == struct.pack("<6f", 1, -1, 0.5, 0, 0, 1)
        assert game.wait().action == (1, -1, 0.5, 0, 0, 1)
    assert not path.exists()


def test_place_is_that_of_the_original(monkeypatch):
    monkeypatch.delenv("MEGABONK_RESEARCH_SHM_DIR", raising=False)
    monkeypatch.delenv("MEGABONK_INSTANCE_ID", raising=False)
    assert default_path() == Path("/dev/shm/megabonk_env_0")
    monkeypatch.setenv("MEGABONK_RESEARCH_SHM_DIR", "/somewhere")
    monkeypatch.setenv("MEGABONK_INSTANCE_ID", "7")
    assert default_path() == Path("/somewhere/megabonk_env_7")


# --- nothing is lost -----------------------------------------------------------------------------


def churn(path, resets, draw, linger=0.006):
    """Steps and resets at random times; how many actions were sent, and the sum of their numbers."""
    sent = total = 0
    with ResearchAgent(path, timeout=20) as agent:
        for _ in range(resets):
            for step in range(1, draw.randint(1, 3) + 1):
                number = draw.randint(1, 100)
                seen = agent.step((float(number), 0, 0, 0, 0, 0))
                assert (seen.step, seen.pixels[0, 0, 0], seen.pixels[-1, -1, -1]) == (step,) * 3
                sent, total = sent + 1, total + number
                time.sleep(draw.uniform(0, linger))
            assert agent.reset().step == 0
            time.sleep(draw.uniform(0, linger))
        assert agent.repeated == 0
        agent._segment.flag = Word.TERMINATED  # for the emulation: the end
    return sent, total


@contextmanager
def original_game(path, frame):
    """The emulation of the original loop, as a process of its own; after `ready`."""
    script = Path(__file__).with_name("research_original.py")
    command = [sys.executable, str(script), str(path), str(frame)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as game:
        try:
            assert game.stdout.readline() == "ready\n"
            yield game
        finally:
            game.kill()


def test_original_loop_loses_none_of_200_resets_and_no_action(path, record_property):
    with original_game(path, 0.002) as game:
        sent, total = churn(path, 200, random.Random(3))
        found = game.stdout.readline().split()
        record_property("resets", int(found[1]))
        assert found == [str(sent), "200", str(total)]


def test_original_loop_does_lose_resets_that_are_written_out_of_turn(path):
    """The control: without it the test above might pass against a loop that cannot lose any."""
    with original_game(path, 0.01) as game, ResearchAgent(path, timeout=20) as agent:
        for _ in range(30):
            agent._post(Word.ACTION_READY, IDLE, time.monotonic() + 10, "step")
            time.sleep(0.003)
            agent._segment.flag = Word.RESET
            agent.observe()
        agent._segment.flag = Word.TERMINATED
        _, resets, _ = map(int, game.stdout.readline().split())
        assert resets < 30


def test_own_game_loses_none_of_200_resets_and_no_action(path, record_property):
    with Player(path, 0.001) as player, ResearchAgent(path) as agent:
        draw, expected = random.Random(4), []
        for _ in range(200):
            for _ in range(draw.randint(0, 3)):
                action = (float(draw.randint(0, 9)),) * 6
                agent.step(action)
                expected.append((False, action))
            agent.reset()
            expected.append((True, None))
        seen = [(r.reset, None if r.reset else r.action) for r in player.requests]
        record_property("resets", sum(reset for reset, _ in seen))
        assert seen == expected


def test_own_game_loses_nothing_to_an_agent_that_writes_out_of_turn(path):
    with ResearchGame(path) as game:
        game.publish(picture(0))
        raw = Segment(path)  # as the original agent: any time
        for word, reset in [(Word.RESET, True), (Word.ACTION_READY, False)] * 20:
            raw.action, raw.flag = IDLE, Word.ACTION_READY
            assert not game.wait().reset
            raw.action, raw.flag = (2.0,) * 6, word  # while the frame is being made
            game.publish(picture(1))
            assert raw.flag != Word.OBS_READY  # for nobody waits for this picture
            request = game.wait(0)
            assert (request.reset, request.action) == (reset, (2.0,) * 6)
            game.publish(picture(2))
            assert raw.flag == Word.OBS_READY
        raw.close()


def test_what_a_game_overwrote_is_written_again(path):
    """A game that forgets the first of each request, as one does that starts over a file left behind."""
    with ResearchGame(path) as game, ResearchAgent(path) as agent:

        def forgetful():
            for pause in (False, True) * 2:
                game.publish(picture(game.step))
                step = game.step
                game.wait()
                if not pause:
                    game.step = step
            game.publish(picture(game.step))

        player = threading.Thread(target=forgetful)
        player.start()
        assert agent.step(IDLE).step == 1
        assert agent.reset().step == 0
        player.join()
        assert agent.repeated == 2


# --- errors --------------------------------------------------------------------------------------


def test_jump_of_the_counter_is_an_error(path):
    with ResearchGame(path) as game, ResearchAgent(path) as agent:
        game.publish(picture(0))

        def jump():
            game.wait()
            game.step = 7
            game.publish(picture(0))

        player = threading.Thread(target=jump)
        player.start()
        with pytest.raises(ProtocolError, match="from 0 to 7"):
            agent.step(IDLE)
        player.join()


def test_dead_game_is_a_timeout_and_what_comes_late_is_not_lost(path):
    with ResearchGame(path) as game, ResearchAgent(path) as agent:
        with pytest.raises(StepTimeout, match="flag"):
            agent.step(IDLE, 0.05)
        game.publish(picture(0))
        with pytest.raises(StepTimeout):
            agent.step(IDLE, 0.05)
        with pytest.raises(ResetTimeout):
            agent.reset(0.05)  # not written: it is not our turn
        assert not game.wait(0).reset
        game.publish(picture(1))
        assert agent.observe(0).step == 1
        with pytest.raises(StepTimeout):
            game.wait(0.05)


def test_end_of_the_game_is_told(path):
    with Player(path) as player, ResearchAgent(path) as agent:
        agent.reset()
        player.game.close()
        with pytest.raises(GameExited):
            agent.step(IDLE)
        agent.close()
        with pytest.raises(BridgeClosed):
            agent.observe()


@pytest.mark.parametrize("content", [None, b"", bytes(31), bytes(21_223)])
def test_missing_or_short_file_is_told_after_the_timeout(path, content):
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConnectTimeout):
        ResearchAgent(path, timeout=0.05)


@pytest.mark.parametrize("side", [-1, 8193, 85])
def test_impossible_sizes_are_refused(path, side):
    data = bytearray(total_size(84, 84))
    struct.pack_into("<2i", data, 0x18, side, 84)
    path.write_bytes(data)
    with pytest.raises(ConnectTimeout, match="84"):
        ResearchAgent(path, timeout=0.0)


def test_sizes_left_out_mean_the_default(path):
    path.write_bytes(bytes(total_size(84, 84)))
    with ResearchAgent(path) as agent:
        assert agent.size == (84, 84)


def test_size_that_the_game_has_not_written_yet_is_waited_for(path):
    path.write_bytes(bytes(total_size(100, 100)))
    with pytest.raises(ConnectTimeout, match="unknown size"):
        ResearchAgent(path, timeout=0.0)
    with path.open("r+b") as file:
        file.seek(0x18)
        file.write(struct.pack("<2i", 100, 100))
    with ResearchAgent(path) as agent:
        assert agent.size == (100, 100)
        with path.open("r+b") as file:
            file.write(struct.pack("<8i", Word.OBS_READY, 0, 0, 0, 0, 0, 50, 50))
        with pytest.raises(ShmCorrupt, match="became"):
            agent.observe(0)


def test_values_are_checked(path):
    with ResearchGame(path, (10, 20)) as game, ResearchAgent(path) as agent:
        game.publish(picture(3, (10, 20)))
        assert agent.observe(0).pixels.shape == (10, 20, 3)
        for action in ((0.0,) * 5, (float("nan"),) * 6):
            with pytest.raises(InvalidValue):
                agent.step(action)
        with pytest.raises(InvalidValue):
            game.publish(picture(3))


def test_no_room_for_the_file_is_told(tmp_path):
    with pytest.raises(ShmUnavailable):
        ResearchGame(tmp_path / "missing" / "file")


# --- environment ---------------------------------------------------------------------------------


def test_environment_passes_gymnasiums_checks(path):
    with Player(path, size=(8, 12)):
        env = ResearchEnv(path)
        check_env(env, skip_render_check=True)
        observation, info = env.reset(seed=1)
        assert (observation.shape, info["seed_ignored"]) == ((8, 12, 3), True)
        ends = [env.step(env.action_space.sample())[1:3] for _ in range(5)]
        assert ends == [(0.5, False), (1.0, False), (1.5, False), (2.0, False), (2.5, True)]
        env.close()
