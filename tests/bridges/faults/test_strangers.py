"""Rows 33 and 35 again: strangers who know how to say HELLO, and then hold their tongue, while who is waited for comes."""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import numpy as np
import pytest
from gymnasium import spaces
from tests.bridges.faults.peers import strangers
from tests.bridges.pairs import ADDRESSES, both
from tests.bridges.traces import PATIENT, descriptors, eventually

from tropism.bridges.env import BridgeEnv
from tropism.bridges.errors import ConnectTimeout, HandshakeTimeout, PeerBusy, VersionMismatch
from tropism.bridges.game import AgentSpec, Game, Reset, Spec
from tropism.bridges.protocol.header import Type
from tropism.bridges.protocol.messages import encode, write_json
from tropism.bridges.transports.dial import dial
from tropism.bridges.transports.handshake import agent_steps, expect_ready, open_game, ready
from tropism.bridges.transports.hello import new_token, own_hello, proof, read_hello
from tropism.bridges.transports.listener import PENDING, Listener

SOON = 0.7
"""Seconds in which a session is open, strangers or not: a tenth of that where nothing else runs."""
SPEC = Spec("waited for", [AgentSpec("a", spaces.Discrete(2), spaces.Discrete(2))])


def greeting(token=None, **changes):
    facts = own_hello("game", (), "", "stranger", "1", bool(token)) | changes
    return encode(Type.HELLO, write_json(facts))


@contextmanager
def dribbling(socks, words):
    """Says its words byte by byte, for ever."""
    stop = threading.Event()

    def drip():
        for byte in words:
            for sock in socks:
                try:
                    sock.send(bytes((byte,)))
                except OSError:
                    return
            if stop.wait(0.01):
                return

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def game(address, token=None):
    """Dial as a game, and agree."""
    connection = dial(address, 5)
    agreed = open_game(connection, SPEC, dialled=True, token=token)
    assert expect_ready(connection, agreed) is None
    return connection


def comes_up(env, token):
    """How long a session takes from the moment its game dials."""
    start = time.monotonic()
    failed, connection = both(env.connect, lambda: game(env.session.address, token))
    took = time.monotonic() - start
    assert failed is None
    assert not isinstance(connection, Exception), connection
    connection.close()
    return took


@pytest.fixture(params=["tcp", "unix", "ws"])
def wire(request):
    return request.param


@pytest.fixture
def env(wire):
    """An agent that waits for a game somebody else starts."""
    made = []

    def wait(token):
        made.append(
            BridgeEnv(
                listen=ADDRESSES[wire],
                transport=wire,
                token=token,
                connect=False,
                deadlines=PATIENT,
            )
        )
        return made[-1]

    yield wait
    for env in made:
        env.close()


@pytest.mark.parametrize("token", [None, new_token()], ids=["open", "secret"])
@pytest.mark.parametrize("count", [1, 10, 3 * PENDING])
def test_row_35_strangers_who_say_hello_and_nothing_else_keep_no_game_out(env, token, count):
    env, before = env(token), descriptors()
    with strangers(env.session.address, count, greeting(token)) as silent:
        assert comes_up(env, token) < SOON
        assert eventually(lambda: descriptors() < before + count + PENDING)
        for sock in silent[-10:]:  # all are told, and closed
            heard = b"".join(iter(lambda sock=sock: sock.recv(4096), b""))
            assert b'"busy"' in heard


@pytest.mark.parametrize("token", [None, new_token()], ids=["open", "secret"])
def test_row_35_strangers_who_say_it_byte_by_byte_keep_no_game_out(env, token):
    env, words = env(token), greeting(token)
    halves = (words, b""), (words[:40], words[40:]), (b"", words)
    with ExitStack() as stack:
        for said, rest in halves:
            slow = stack.enter_context(strangers(env.session.address, 3, said))
            stack.enter_context(dribbling(slow, rest or encode(Type.AUTH, bytes(1000))))
        time.sleep(0.05)
        assert comes_up(env, token) < SOON


@pytest.mark.parametrize("token", [None, new_token()], ids=["open", "secret"])
@pytest.mark.parametrize("gone", [False, True], ids=["silent", "gone"])
def test_row_35_a_stranger_whose_time_runs_out_does_not_end_the_wait_for_the_game(token, gone):
    deadlines = {**PATIENT, "handshake": 0.1}
    options = {"listen": "tcp://127.0.0.1:0", "transport": "tcp", "token": token}
    env = BridgeEnv(**options, connect=False, deadlines=deadlines)
    with strangers(env.session.address, 1, greeting(token)) as silent:

        def late_game():
            if gone:
                silent[0].shutdown(socket.SHUT_WR)
            heard(silent[0])  # until it is given up
            return game(env.session.address, token)

        failed, connection = both(env.connect, late_game)
        assert failed is None
        connection.close()
    env.close()


def test_row_35_a_game_that_falls_silent_is_told_of_when_nobody_better_has_come():
    deadlines = {**PATIENT, "connect": 0.2, "handshake": 0.1}
    env = BridgeEnv(listen="tcp://127.0.0.1:0", connect=False, deadlines=deadlines)
    with strangers(env.session.address, 1, greeting()), pytest.raises(HandshakeTimeout):
        env.connect()


# -- the listener by itself -------------------------------------------------------------------------------


def opening(timeout, token=None):
    return lambda connection: agent_steps(connection, dialled=False, token=token, timeout=timeout)


def heard(sock):
    """All that it is told until it is closed; nothing if it was too late for that."""
    try:
        return b"".join(iter(lambda: sock.recv(4096), b""))
    except ConnectionError:
        return b""


def test_every_opening_has_its_own_deadline_and_its_own_errors():
    with Listener() as listener, ExitStack() as stack:
        address = listener.address
        late = stack.enter_context(strangers(address, 3, greeting()))
        wrong = stack.enter_context(strangers(address, 1, greeting(proto=[9, 0], min_major=9)))
        start = time.monotonic()
        with pytest.raises(ConnectTimeout, match="handshake"):
            listener.admit(opening(0.05), 0.2)
        assert time.monotonic() - start < 0.2 + SOON
        assert {type(error) for error in listener.refused} == {HandshakeTimeout, VersionMismatch}
        assert all(b'"timeout"' in heard(sock) for sock in late)
        assert b'"version"' in heard(wrong[0])


def test_the_first_who_is_through_is_admitted_and_the_others_are_told():
    def play(address):
        connection = game(address)
        return connection.close()

    with Listener() as listener, strangers(listener.address, 2, greeting()) as late:

        def agent():
            connection, agreed = listener.admit(opening(5), 5)
            ready(connection, agreed)
            return connection, agreed

        (connection, agreed), played = both(agent, lambda: play(listener.address))
        assert played is None
        assert agreed.spec == SPEC
        assert all(b'"busy"' in heard(sock) for sock in late)
        connection.close()


def test_who_has_proved_to_be_the_game_is_not_dropped_to_make_room():
    token = new_token()
    with Listener(token=token) as listener, ExitStack() as stack:

        def slow_game():
            connection = dial(listener.address, 5)
            stack.callback(connection.close)
            mine = own_hello("game", (), "", "slow", "1", True)
            connection.send(Type.HELLO, write_json(mine))
            nonces = read_hello(connection.receive(5).body).nonce, mine["nonce"]
            mac = proof(bytes.fromhex(token), "game", *nonces)
            connection.send(Type.AUTH, write_json({"mac": mac}))
            assert eventually(lambda: 3 in [c.rank for c in listener._candidates.copy().values()])
            stack.enter_context(strangers(listener.address, 3 * PENDING, greeting(token)))
            connection.send(Type.SPEC, SPEC.to_bytes())

        (connection, agreed), failed = both(lambda: listener.admit(opening(5, token), 5), slow_game)
        assert failed is None
        assert agreed.spec == SPEC
        connection.close()


def test_a_peer_that_comes_after_the_first_is_told_that_the_listener_is_busy():
    with Listener() as listener:
        admitted, connection = both(
            lambda: listener.admit(opening(5), 5), lambda: dial_and_agree(listener)
        )
        listener.refuse_others()
        with pytest.raises(PeerBusy):
            game(listener.address)
        connection.close()
        admitted[0].close()


def dial_and_agree(listener):
    connection = dial(listener.address, 5)
    open_game(connection, SPEC, dialled=True)
    return connection


# -- a game that listens ------------------------------------------------------------------------------------


@contextmanager
def waiting_game(wire, token, spec=SPEC):
    """A game that listens and lets one agent play; yields its address."""
    with Game(spec, listen=ADDRESSES[wire], token=token, on_agent_lost="exit") as game:

        def play():
            for request in game:
                game.observe(1 if isinstance(request, Reset) else 0)

        thread = threading.Thread(target=play, daemon=True)
        thread.start()
        yield game.address
        thread.join()


def plays(address, token, **options):
    env = BridgeEnv(address=address, token=token, deadlines=PATIENT, **options)
    assert env.reset()[0] == 1
    assert env.step(0)[0] == 0
    env.close()


def as_agent(token=None):
    return greeting(token, role="agent")


def welcomed():
    """HELLO and WELCOME of an agent that never says READY."""
    welcome = {"caps": [], "max_message": 4096, "mode": "lockstep", "session": ""}
    return as_agent() + encode(Type.WELCOME, write_json(welcome))


@pytest.mark.parametrize("token", [None, new_token()], ids=["open", "secret"])
@pytest.mark.parametrize("count", [1, 3 * PENDING])
def test_row_35_strangers_who_say_hello_to_a_game_keep_no_agent_out(wire, token, count):
    with (
        waiting_game(wire, token) as address,
        strangers(address, count, as_agent(token)) as silent,
    ):
        plays(address, token)
        told = b"".join(map(heard, silent))
        assert b'"busy"' in told
        assert b'"timeout"' not in told  # nobody waited for that


@pytest.mark.parametrize("transport", ["tcp", "shm"])
def test_row_35_an_agent_that_is_never_ready_keeps_no_other_out(transport):
    with waiting_game("tcp", None) as address, strangers(address, 3, welcomed()) as silent:
        plays(address, None, transport=transport)
        assert all(b'"busy"' in heard(sock) for sock in silent)


def test_row_35_agents_that_do_not_read_a_long_specification_keep_no_other_out():
    bounds = np.linspace(1, 2, 200_000, dtype=np.float32)  # more than a Unix socket has room for
    spec = Spec("long", [AgentSpec("a", spaces.Discrete(2), spaces.Box(-bounds, bounds))])
    with waiting_game("unix", None, spec) as address, strangers(address, 3, welcomed()) as deaf:
        env = BridgeEnv(address=address, deadlines=PATIENT)
        assert env.action_space == spec.agents[0].action_space
        assert env.reset()[0] == 1
        assert all(len(heard(sock)) < len(spec.to_bytes()) for sock in deaf)  # given up at once
        env.close()


def test_a_game_that_looks_for_agents_now_and_then_opens_with_them_all_the_same():
    with Game(SPEC, listen="tcp://127.0.0.1:0") as game, ThreadPoolExecutor(1) as pool:
        played = pool.submit(plays, game.address, None)
        while not played.done():
            request = game.next_request(0.001)
            if request is not None:
                game.observe(1 if isinstance(request, Reset) else 0)
        played.result()
