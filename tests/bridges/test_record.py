"""Recorded sessions: complete, readable after a kill, and good enough to stand in for the game."""

import os
import signal
import subprocess
import sys
from functools import partial

import gymnasium
import pytest
from tests.bridges.pairs import SPEC, both
from tests.bridges.raw_agent import RawAgent, next_agent, running
from tests.bridges.toys import Toy

from tropism.bridges.env import BridgeEnv
from tropism.bridges.errors import ConnectionLost, GameExited, PeerError, RecordingError
from tropism.bridges.link import Link
from tropism.bridges.protocol.header import Type
from tropism.bridges.record import HEAD, MAGIC, Direction, Recorder, Tee
from tropism.bridges.recording import Recording
from tropism.bridges.replay import Replay
from tropism.bridges.replay import main as replay_command
from tropism.bridges.serve import Server
from tropism.bridges.transports.handshake import AGENT_CAPS

LOCAL = "tcp://127.0.0.1:0"
cartpole = partial(gymnasium.make, "CartPole-v1", disable_env_checker=True)


def play(agent, steps=60):
    """Play with always the same actions; everything seen but the times."""
    seen = [agent.reset(seed=4)]
    for i in range(steps):
        seen.append(agent.step(i % 2))
        if seen[-1].agents[0].terminated:
            seen.append(agent.reset())
    return repr(seen)


@pytest.fixture
def recorded(tmp_path):
    """A recording of CartPole, and what the agent saw."""
    path = tmp_path / "session.gbr"
    served = Server(cartpole, listen=LOCAL, on_agent_lost="exit", record=path)
    with running(served) as server, RawAgent(server.address) as agent:
        seen = play(agent)
    return path, seen


def replay(path, **options):
    return Replay(path, listen=LOCAL, on_agent_lost="exit", **options)


def test_every_message_is_recorded_in_order(recorded):
    path, _ = recorded
    recording = Recording(path)
    types = [(record.direction, record.message.type) for record in recording]
    assert types[0] == (Direction.TO_AGENT, Type.SPEC)
    assert types[1:3] == [(Direction.TO_GAME, Type.RESET), (Direction.TO_AGENT, Type.OBS)]
    assert types[-1] == (Direction.TO_GAME, Type.CLOSE)
    times = [record.time for record in recording]
    assert times == sorted(times)
    summary = recording.summary()
    assert (summary.steps, summary.complete) == (60, True)
    assert summary.messages == len(types) == 2 * (60 + summary.episodes) + 2
    assert recording.facts == {"name": "CartPole-v1"}
    assert recording.spec.name == "CartPole-v1"


@pytest.mark.parametrize("caps", [AGENT_CAPS, AGENT_CAPS - {"shm"}], ids=["shm", "tcp"])
def test_a_replay_is_the_game_again(recorded, tmp_path, caps):
    path, seen = recorded
    again = tmp_path / "again.gbr"
    with running(replay(path)) as game, RawAgent(game.address, caps=caps) as agent:
        tap = Recorder(again)
        tap.write(Direction.TO_AGENT, Type.SPEC, agent.spec.to_bytes(), 0, 0)
        agent.connection = Tee(agent.connection, tap, "agent")
        assert play(agent) == seen
    tap.close()
    assert Recording(again).summary().sha256 == Recording(path).summary().sha256


def test_the_digest_is_of_what_the_agent_sees_and_nothing_else(tmp_path):
    def digest(name, seed, pause):
        served = Server(Toy, listen=LOCAL, on_agent_lost="exit", record=tmp_path / name, name=name)
        with running(served) as server, RawAgent(server.address) as agent:
            agent.seq = pause
            agent.reset(seed=seed)
            agent.step(1)
        return Recording(tmp_path / name).summary().sha256

    assert digest("a", 1, 0) == digest("b", 2, 50)  # infos and numbers of requests do not count


def test_another_action_than_the_recorded_one_is_refused(recorded):
    path, _ = recorded
    with running(replay(path), raises=RecordingError) as game:
        agent = RawAgent(game.address)
        agent.reset(seed=4)
        agent.step(0)
        with pytest.raises(PeerError, match="request 3 is STEP, but another one was recorded"):
            agent.step(0)
        agent.vanish()


def test_another_seed_than_the_recorded_one_is_refused(recorded):
    path, _ = recorded
    with running(replay(path), raises=RecordingError) as game:
        agent = RawAgent(game.address)
        with pytest.raises(PeerError, match="request 1 is RESET, but another one"):
            agent.reset(seed=5)
        agent.vanish()


def test_a_loose_replay_does_not_mind(recorded):
    path, seen = recorded
    with running(replay(path, strict=False)) as game, RawAgent(game.address) as agent:
        agent.seq = 1000
        first = agent.reset(seed=9)
        assert first.applied == 1001
        assert repr(first.agents) in seen
        assert repr(agent.step(1).agents) in seen


def test_a_replay_ends_where_the_recording_does(tmp_path):
    path = tmp_path / "short.gbr"
    served = Server(Toy, listen=LOCAL, on_agent_lost="exit", record=path)
    with running(served) as server, RawAgent(server.address) as agent:
        agent.reset()
    with running(replay(path), raises=RecordingError) as game:
        agent = RawAgent(game.address)
        agent.reset()
        with pytest.raises(PeerError, match="the recording is over after 1 requests"):
            agent.step(0)
        agent.vanish()


def test_every_agent_gets_the_recording_from_the_beginning(recorded):
    path, seen = recorded
    game = Replay(path, listen=LOCAL)
    with running(game):
        for number in range(2):
            with next_agent(game.address) as agent:
                assert play(agent) == seen
                game._link.wait = number == 0


def test_calls_are_replayed_under_their_new_numbers(tmp_path):
    path = tmp_path / "calls.gbr"
    served = Server(Toy, listen=LOCAL, on_agent_lost="exit", record=path)
    with running(served) as server, RawAgent(server.address) as agent:
        agent.reset()
        picture = agent.call("render", number=1)
    with running(replay(path)) as game, RawAgent(game.address) as agent:
        agent.reset()
        assert agent.call("render", number=2) == {**picture, "id": 2}


def test_a_recording_is_never_overwritten(recorded):
    path, _ = recorded
    before = path.read_bytes()
    with pytest.raises(RecordingError, match="File exists"):
        Recorder(path)
    assert path.read_bytes() == before


def test_a_game_that_did_not_come_up_can_be_recorded_when_it_is_tried_again(tmp_path):
    path = tmp_path / "x.gbr"
    for _ in range(2):
        with pytest.raises(GameExited):
            BridgeEnv([sys.executable, "-I", "-S", "-c", ""], record=str(path))
        assert not path.exists()
    with Recorder(path) as recorder:
        recorder.write(Direction.TO_AGENT, Type.SPEC, b"{}", 0, 0)
    assert not path.exists()
    with Recorder(path) as recorder:
        recorder.write(Direction.TO_GAME, Type.RESET, b"{}", 1, 1)
    assert path.exists()


def test_a_directory_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(RecordingError, match="no_such"):
        Recorder(tmp_path / "no_such" / "x.gbr")


def test_nothing_can_be_written_after_the_end(tmp_path):
    recorder = Recorder(tmp_path / "x.gbr")
    recorder.close()
    recorder.close()
    with pytest.raises(RecordingError, match="closed"):
        recorder.write(Direction.TO_GAME, Type.STEP, b"", 1, 1)


def test_a_recording_that_was_cut_is_read_up_to_its_last_whole_record(recorded, tmp_path):
    path, _ = recorded
    data, cut = path.read_bytes(), tmp_path / "cut.gbr"
    starts = []  # of the records
    offset = data.index(b"\n", len(MAGIC)) + 1
    while offset < len(data):
        starts.append(offset)
        offset += HEAD.size + HEAD.unpack_from(data, offset)[2]
    for length in range(starts[1], starts[3]):
        cut.write_bytes(data[:length])
        whole = sum(start <= length for start in starts) - 1
        assert len(list(Recording(cut))) == whole
        assert not Recording(cut).summary().complete


def test_a_recording_that_was_altered_is_refused(recorded, tmp_path):
    path, _ = recorded
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    altered = tmp_path / "altered.gbr"
    altered.write_bytes(data)
    with pytest.raises(RecordingError, match=r"altered|no message"):
        list(Recording(altered))


@pytest.mark.parametrize("data", [b"", b"GBR1", MAGIC, MAGIC + b"{\n", b"x" * 100])
def test_what_is_no_recording_is_refused(data, tmp_path):
    path = tmp_path / "x.gbr"
    path.write_bytes(data)
    with pytest.raises(RecordingError):
        Recording(path)


def test_a_recording_without_specification_says_so(tmp_path):
    (tmp_path / "x.gbr").write_bytes(MAGIC + b"{}\n")
    with pytest.raises(RecordingError, match="no specification"):
        Replay(tmp_path / "x.gbr", listen=LOCAL)


def test_what_was_played_before_a_kill_is_on_the_disk(tmp_path):
    path = tmp_path / "killed.gbr"
    setup = f"import sys; sys.path[:0] = {sys.path!r}; sys.argv[0] = 'serve'; "
    program = setup + "from tropism.bridges.serve.__main__ import main; sys.exit(main())"
    arguments = ["CartPole-v1", "--listen", LOCAL, "--record", str(path)]
    with subprocess.Popen(
        [sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE, text=True
    ) as process:
        agent = RawAgent(process.stdout.readline().split()[-1])
        seen = play(agent)
        os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    agent.vanish()
    summary = Recording(path).summary()
    assert (summary.steps, summary.complete) == (60, False)
    with running(replay(path)) as game, RawAgent(game.address) as again:
        assert play(again) == seen


def test_secrets_are_not_recorded(tmp_path):
    path, token = tmp_path / "secret.gbr", "5a" * 32
    served = Server(Toy, listen=LOCAL, on_agent_lost="exit", record=path, token=token)
    with running(served) as server, RawAgent(server.address, token=token) as agent:
        agent.reset()
    kinds = {record.message.type for record in Recording(path)}
    assert kinds == {Type.SPEC, Type.RESET, Type.OBS, Type.CLOSE}


def test_the_command_refuses_what_is_no_recording(tmp_path, capsys):
    assert replay_command([str(tmp_path / "none.gbr"), "--listen", LOCAL]) == 1
    assert "none.gbr: No such file" in capsys.readouterr().err


def test_a_request_that_is_none_ends_its_session_and_not_the_replay(recorded):
    path, seen = recorded
    game = Replay(path, listen=LOCAL)
    with running(game):
        agent = RawAgent(game.address)
        agent.send(Type.RESET, b"{")
        with pytest.raises(PeerError, match="not JSON"):
            agent.receive()
        agent.vanish()
        with next_agent(game.address) as agent:
            assert play(agent) == seen
            game._link.wait = False


def test_a_recording_that_cannot_be_ended_is_closed(tmp_path, monkeypatch):
    recorder = Recorder(tmp_path / "x.gbr")
    file = recorder._file

    def refuse(_):
        raise RecordingError("the disk is full")

    monkeypatch.setattr(recorder, "_write", refuse)
    with pytest.raises(RecordingError):
        recorder.close()
    assert file.closed
    recorder.close()


def test_an_agent_whose_session_cannot_be_recorded_is_told(tmp_path):
    with Recorder(tmp_path / "x.gbr") as recorder:
        pass
    link = Link(SPEC, AGENT_CAPS, listen=LOCAL, recorder=recorder)
    opened, agent = both(lambda: link.connect(0.5), lambda: RawAgent(link.address, caps=()))
    assert not opened
    assert "record" in str(bytes(agent.receive(Type.CLOSE).body))
    with pytest.raises(ConnectionLost):
        agent.receive()
    agent.vanish()
    link.close()
