"""How two come to share memory, or go on without."""

import gc

import pytest
from tests.bridges.pairs import SPEC, both, connected, session

from tropism.bridges.errors import (
    ProtocolError,
    ShmCorrupt,
    ShmUnavailable,
)
from tropism.bridges.protocol.header import Type
from tropism.bridges.protocol.messages import write_json
from tropism.bridges.transports.handshake import expect_ready, open_agent, open_game, ready
from tropism.bridges.transports.patience import Patience
from tropism.bridges.transports.shm.region import Region
from tropism.bridges.transports.shm.ring import (
    Plan,
)
from tropism.bridges.transports.shm.upgrade import answer, offer

NONCE = 2**64 - 1
PLAN = Plan.of(SPEC)
HEAD = PLAN.head(SPEC.hash, NONCE)


def upgraded(near, far, game_answers):
    def agent():
        agreed = open_agent(near, dialled=False)
        try:
            return offer(near, agreed)
        finally:
            if not near.closed:
                ready(near, agreed)

    def game():
        agreed = open_game(far, SPEC, dialled=True)
        result = game_answers(agreed, expect_ready(far, agreed))
        if not far.closed:
            assert expect_ready(far, agreed) is None
        return result

    return both(agent, game)


def test_nothing_is_left_once_both_have_it(directory):
    gc.collect()  # for other tests may have forgotten one
    before = Patience.sessions
    with session("shm") as (agent, _):
        assert list(directory.iterdir()) == []
        assert agent.fileno() >= 0
        assert Patience.sessions == before + 2
    assert Patience.sessions == before


def test_a_game_that_cannot_map_it_goes_on_without(directory):
    with connected("tcp") as (near, far):

        def blind(agreed, offered):
            for path in directory.iterdir():
                path.unlink()
            return answer(far, agreed, offered)

        refused, channel = upgraded(near, far, blind)
        assert channel is None
        assert isinstance(refused, ShmUnavailable)
        assert "declines" in str(refused)
        near.send(Type.RESET, b"{}", 1, 1)
        assert far.receive(5).type == Type.RESET


@pytest.mark.parametrize(
    ("ack", "error"),
    [
        ({"ok": True}, ShmCorrupt),  # but nothing was written
        ({"ok": False, "reason": "no"}, ShmUnavailable),
        ({}, ShmUnavailable),
    ],
)
def test_the_agent_believes_what_it_sees(directory, ack, error):
    with connected("tcp") as (near, far):

        def lie(agreed, offered):
            far.send(Type.SHM_ACK, write_json(ack))

        refused, _ = upgraded(near, far, lie)
    assert isinstance(refused, error)
    assert list(directory.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "declined"),
    [
        ({"path": "/none"}, True),
        ({"nonce": "5"}, True),
        ({"size": PLAN.size + 64}, True),
        ({"path": 5}, False),
        ({"nonce": 5}, False),
        ({"nonce": "9" * 20}, False),
        ({"nonce": "9" * 5000}, False),
        ({"size": 64}, False),
        ({"size": True}, False),
    ],
)
def test_the_game_checks_the_offer(directory, changes, declined):
    region = Region.create(PLAN.size)
    region.memory[: len(HEAD)] = HEAD
    facts = {"path": region.path, "size": region.size, "nonce": str(NONCE)} | changes

    def agent(connection):
        agreed = open_agent(connection, dialled=False)
        connection.send(Type.SHM_OFFER, write_json(facts))
        connection.receive(5)
        ready(connection, agreed)

    def game(connection):
        agreed = open_game(connection, SPEC, dialled=True)
        return answer(connection, agreed, expect_ready(connection, agreed))

    with connected("tcp") as (near, far):
        _, result = both(lambda: agent(near), lambda: game(far))
        assert result is None if declined else isinstance(result, ProtocolError)
        assert far.closed is not declined
    region.close()


def test_memory_that_was_not_agreed_upon_is_not_offered():
    with connected("tcp") as (near, far):

        def agent():
            agreed = open_agent(near, dialled=False, caps=())
            return offer(near, agreed)

        refused, _ = both(agent, lambda: open_game(far, SPEC, dialled=True))
    assert isinstance(refused, ShmUnavailable)
