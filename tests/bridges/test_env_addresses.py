import sys
import threading

import pytest
from tests.bridges import odd_game as odd
from tests.bridges.odd import COMMAND, make
from tests.bridges.served import CHILD
from tests.bridges.traces import PATIENT

from tropism.bridges.env import BridgeEnv
from tropism.bridges.errors import (
    AuthError,
    BridgeError,
    PortInUse,
)
from tropism.bridges.game import Game
from tropism.bridges.launcher import Launcher


@pytest.mark.parametrize("scheme", ["tcp://127.0.0.1:0", "ws://127.0.0.1:0", "unix://"])
def test_game_that_listens_is_dialled_and_dialled_again(closing, scheme, tmp_path):
    address = f"unix://{tmp_path}/x" if scheme == "unix://" else scheme
    with Game(odd.SPEC, listen=address, token="ab" * 32) as game:
        thread = threading.Thread(target=odd.lockstep, args=(game,))
        thread.start()
        for _ in range(2):
            env = BridgeEnv(address=game.address, token="ab" * 32, deadlines=PATIENT)
            assert env.reset(seed=1)[0]["count"].tolist() == [0, 0]
            env.close()
        with pytest.raises(AuthError):
            BridgeEnv(address=game.address, token="cd" * 32, deadlines=PATIENT)
        game.wait = False
        env = closing(BridgeEnv(address=game.address, token="ab" * 32, deadlines=PATIENT))
        env.close()
        thread.join(20)
        assert not thread.is_alive()


def test_game_that_somebody_else_starts_is_listened_for(closing, tmp_path):
    address = f"unix://{tmp_path}/agent.sock"
    game = Launcher(COMMAND)
    game.start(address, "ab" * 32)
    try:
        env = BridgeEnv(listen=address, token="ab" * 32, deadlines={**PATIENT, "connect": 20})
    except BridgeError:  # it came before we listened; it tries again no more
        game = Launcher(COMMAND)
        raise
    try:
        assert env.reset(seed=1)[0]["count"].tolist() == [0, 0]
        assert env.session.game_pid is None
    finally:
        env.close()
        assert game.wait(20) == 0


def test_stranger_who_does_not_know_the_secret_is_passed_over(closing):
    """A process that dials first with a wrong token must not keep the real game away."""
    stranger = (
        "import os, sys, subprocess\n"
        "from tropism.bridges.transports.dial import dial\n"
        "from tropism.bridges.transports.handshake import open_game\n"
        "from tests.bridges import odd_game as odd\n"
        "from tropism.bridges.errors import BridgeError\n"
        "connection = dial(os.environ['TROPISM_BRIDGE_ADDR'])\n"
        "try: open_game(connection, odd.SPEC, dialled=True, token='00' * 32)\n"
        "except BridgeError: pass\n"
        f"os.execv(sys.executable, {COMMAND!r})\n"
    )
    env = closing(BridgeEnv([sys.executable, "-c", stranger], deadlines=PATIENT, **CHILD))
    assert env.reset(seed=1)[0]["count"].tolist() == [0, 0]


def test_second_game_is_told_that_we_are_busy(closing):
    env = closing(make(transport="tcp"))
    env.reset(seed=1)
    intruder = Launcher(COMMAND)
    intruder.start(env.session.address, "ab" * 32)
    assert intruder.wait(30) not in (None, 0)
    assert "busy" in intruder.stderr_tail or "under way" in intruder.stderr_tail
    assert env.step(odd.PLAY)[0]["count"].tolist() == [1, 1]


def test_fixed_port_that_is_taken(closing):
    env = closing(make(transport="tcp"))
    with pytest.raises(PortInUse):
        make(listen=env.session.address)
