import sys

import pytest
from gymnasium import spaces
from tests.bridges.sameness import assert_same
from tests.bridges.served import options, play
from tests.bridges.traces import PATIENT

from tropism.bridges.env import BridgeEnv
from tropism.bridges.errors import (
    ProtocolError,
)
from tropism.bridges.options import GameOptions
from tropism.bridges.protocol.bodies import ObsCodec, Outcome
from tropism.bridges.protocol.header import Type
from tropism.bridges.protocol.messages import Message
from tropism.bridges.protocol.spec import AgentSpec, Spec
from tropism.bridges.recording import Recording
from tropism.bridges.session import Session


def test_recorded_session_is_whole_and_plays_again(closing, tmp_path):
    path = tmp_path / "session.gbr"
    env = BridgeEnv(**options("Zoo", record=str(path)))
    shown = play(env, 20)
    env.close()
    summary = Recording(path).summary()
    assert summary.complete
    assert summary.steps == 20
    command = [sys.executable, "-m", "tropism.bridges.replay", str(path)]
    again = closing(BridgeEnv(command, deadlines=PATIENT))
    assert_same(play(again, 20), shown, numbers=True)


BYTES = {"d": "u1", "s": [2], "b64": "AQI="}


def read(info, agents=1):
    """An answer as a session reads it."""
    discrete = spaces.Discrete(2)
    spec = Spec("x", [AgentSpec(str(i), discrete, discrete) for i in range(agents)])
    session = Session(GameOptions(address="tcp://127.0.0.1:1"))
    session._observations = codec = ObsCodec(spec)
    body = codec.encode([Outcome(observation=0)] * agents, info=info)
    return session._decode(Message(Type.OBS, body=body))


def test_the_arrays_of_an_info_are_arrays_again():
    assert read({"a": {"b": [BYTES]}}).info["a"]["b"][0].tolist() == [1, 2]
    assert read({"0": {"a": BYTES}, "1": {}}, 2).info["0"]["a"].tolist() == [1, 2]
    assert read(BYTES).info == BYTES  # an info is an object, whatever it looks like


@pytest.mark.parametrize(
    ("info", "agents"),
    [({"a": {**BYTES, "s": [3]}}, 1), ({"0": 5}, 2), ({"0": {}, "1": BYTES}, 2)],
)
def test_an_info_that_is_none_breaks_the_protocol(info, agents):
    with pytest.raises(ProtocolError):
        read(info, agents)
