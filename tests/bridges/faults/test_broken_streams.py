"""Rows 9, 11 and 13 to 15 of the matrix: bytes that end too early or are no message.

All are to be told within 0.1 s; `AT_ONCE` is asserted, for the machine may be busy.
"""

import tracemalloc

import pytest
from tests.bridges.faults.bare_game import act
from tests.bridges.faults.games import comes_back, fault, len_of_observation
from tests.bridges.traces import AT_ONCE, eventually, is_running

from tropism.bridges.errors import BridgeClosed, UnsupportedMessage


def over(env, told, error):
    """It was told at once, the session has ended, the game is gone, and the next reset makes another."""
    assert told.error == error
    assert told.seconds < AT_ONCE
    pid = env.session.game_pid
    assert not is_running(pid)
    with pytest.raises(BridgeClosed, match=error):
        env.session.send_step((act("play"),))
    comes_back(env)


def test_row_09_half_a_header_and_then_the_end(play, transport, on_fault):
    env = play(transport=transport, on_fault=on_fault)
    told = fault(env, "half_header")
    wanted = "a WebSocket message, " if transport == "ws" else "header, 10/32 bytes"
    assert f"EOF inside {wanted}" in told.text
    over(env, told, "ProtocolError")


@pytest.mark.parametrize(("on_fault", "size"), [("raise", 3), ("truncate", 30_000)])
def test_row_11_half_an_observation_and_then_the_end(play, transport, on_fault, size):
    env = play("--size", str(size), transport=transport, on_fault=on_fault)
    told = fault(env, "half_body_close")
    whole = len_of_observation(size)
    part = f"body of OBS, {whole // 2}/{whole} bytes"
    assert f"EOF inside {'a WebSocket message' if transport == 'ws' else part}" in told.text
    over(env, told, "ProtocolError")


def test_row_13_garbage_is_not_searched_for_the_next_message(play, transport, on_fault):
    env = play(transport=transport, on_fault=on_fault)
    told = fault(env, "garbage")
    assert "it begins with 3c 3d 3e 3f" in told.text
    over(env, told, "BadMagic")


def test_row_14_a_length_of_4_gigabytes_is_refused_unread(play, transport, on_fault):
    env = play(transport=transport, on_fault=on_fault)
    tracemalloc.start()
    try:
        told = fault(env, "huge")
        assert tracemalloc.get_traced_memory()[1] < 16 * 2**20
    finally:
        tracemalloc.stop()
    assert "4294967295" in told.text
    assert "the most is 16777216" in told.text
    over(env, told, "MessageTooLarge")


def test_row_15_unknown_message_is_skipped_and_counted(play, transport):
    env = play(transport=transport)
    for step in range(1, 4):
        assert env.step(act("unknown"))[0]["x"][0] == step
    # an observation in shared memory may overtake what comes over the connection
    assert eventually(lambda: env.step(act("play")) and env.session.skipped == 3)


def test_row_15_unknown_message_that_must_be_understood(play, transport, on_fault):
    env = play(transport=transport, on_fault=on_fault)
    told = fault(env, "must")
    assert "type 99" in told.text
    over(env, told, UnsupportedMessage.__name__)
