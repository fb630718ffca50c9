from __future__ import annotations

import select as select_module
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.bridges.broken_games import BROKEN
from tests.bridges.side_by_side import GAMES, every_check
from tests.bridges.small_game import TOKEN, House, SmallGame
from tests.bridges.small_games import Live, Pair, Shared

from tropism.bridges.compliance import Dialled, Launched, all_checks, run_checks, select
from tropism.bridges.compliance.checks import opening
from tropism.bridges.compliance.upgrade import sniff
from tropism.errors import UnknownNameError

IMPATIENT = 1.0
"""Seconds after which a broken game is taken to be silent."""
DIES = """
import os, signal
from tropism.bridges.protocol.spec import AgentSpec, Spec
from tropism.bridges.game import Game
from gymnasium import spaces

spec = Spec("dies", [AgentSpec("only", spaces.Discrete(2), spaces.Discrete(2))])
for request in Game(spec):
    os.kill(os.getpid(), signal.SIGSEGV)
"""
"""A game that crashes at its first request."""
SERVE = [sys.executable, "-m", "tropism.bridges.serve"]


class Own(Dialled):
    """A small game in this process, whose token can be chosen."""

    def __init__(self, kind=SmallGame):
        self.kind, self.house = kind, House(kind)
        super().__init__(self.house.address, kind.token)

    def use_token(self, token):
        self.token = token
        self.house.kind = type(self.kind.__name__, (self.kind,), {"token": token})

    def close(self):
        self.house.close()


class Served(Dialled):
    """A game in a process of its own, which listens and ends with its target."""

    def __init__(self, command):
        self.game = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        super().__init__(self.game.stdout.readline().removeprefix("listening at ").strip(), TOKEN)

    def close(self):
        self.game.kill()
        self.game.communicate()


def play(target, names=(), patience=5.0):
    """The results by name."""
    try:
        return {r.name: r for r in run_checks(target, select(names), patience=patience)}
    finally:
        target.close()


def failures(results):
    return {name: (r.expected, r.got) for name, r in results.items() if r.outcome == "fail"}


def test_there_are_at_least_fifty_checks_each_with_a_rule_and_a_section():
    checks = all_checks()
    assert len(checks) >= 50
    for check in checks:
        assert check.rule, check
        assert 1 <= int(check.section) <= 10, check


@pytest.mark.parametrize("kind", [SmallGame, Pair, Shared, Live])
def test_a_right_game_passes(kind, monkeypatch):
    monkeypatch.setattr(opening, "OPENING", 0.5)
    right = type(kind.__name__, (kind,), {"patience": 0.5})
    meant = {check for check, broken in BROKEN if broken.__base__ is kind}
    results = every_check(lambda: Own(right), () if kind in (SmallGame, Pair) else meant)
    assert failures(results) == {}
    passed = {name for name, r in results.items() if r.outcome == "pass"}
    assert meant <= passed  # a check that is skipped on a right game proves nothing


@pytest.fixture(scope="module")
def caught(request):
    """What a check says of a broken game: they wait for half a second each, so the next ones play meanwhile."""
    chosen = [i.callspec.params for i in request.session.items if "caught" in i.fixturenames]
    with ThreadPoolExecutor(GAMES) as pool:
        said = {
            (case["check"], case["kind"]): pool.submit(
                play, Own(case["kind"]), [case["check"]], IMPATIENT
            )
            for case in chosen
        }
        yield lambda check, kind: said[check, kind].result()[check]


@pytest.mark.parametrize(
    ("check", "kind"),
    [  # every other one by default; all of them with the slow tests
        pytest.param(check, kind, id=f"{i}-{check}", marks=[pytest.mark.slow] * (i % 2))
        for i, (check, kind) in enumerate(BROKEN)
    ],
)
def test_a_broken_game_is_caught_by_its_check(caught, check, kind):
    result = caught(check, kind)
    assert result.outcome == "fail", result
    assert result.expected
    assert result.got


@pytest.mark.parametrize("check", ["opening-stalled", "opening-stalled-inside-a-message"])
def test_a_game_that_waits_for_ever_is_caught(check, monkeypatch):
    monkeypatch.setattr(opening, "OPENING", 0.5)
    monkeypatch.setattr(opening, "SLACK", 0.5)
    patient = type("Patient", (SmallGame,), {"patience": 60.0})
    result = play(Own(patient), [check])[check]
    assert (result.outcome, result.got) == ("fail", "silence")


def test_a_game_that_hangs_up_at_once_is_caught():
    hasty = type("Hasty", (SmallGame,), {"patience": 0.1})
    result = play(Own(hasty), ["opening-stalled"])["opening-stalled"]
    assert result.outcome == "fail"
    assert "five seconds" in result.expected


def test_a_game_that_forgets_its_session_is_caught():
    target = Own()
    target.session = "run-7"
    result = play(target, ["hello-session"])["hello-session"]
    assert (result.outcome, result.expected) == ("fail", "session 'run-7'")


def test_every_check_has_a_game_that_it_catches():
    elsewhere = {"opening-stalled", "opening-stalled-inside-a-message", "hello-session"}
    assert {check.name for check in all_checks()} == {name for name, _ in BROKEN} | elsewhere


def test_selection():
    assert [c.name for c in select(["ping", "auth-w*"])] == ["ping", "auth-wrong"]
    with pytest.raises(UnknownNameError, match="Did you mean 'ping'"):
        select(["pign"])


def test_a_game_that_is_not_there():
    house = House()
    house.close()
    result = play(Dialled(house.address), ["ping"], 0.2)["ping"]
    assert result.outcome == "fail"
    assert "listening at tcp://" in result.expected


def test_a_command_that_cannot_be_run():
    result = play(Launched(["/nonexistent/game"]), ["ping"])["ping"]
    assert result.outcome == "fail"
    assert "cannot start the game" in result.got


def test_a_command_that_ends_before_it_dials_is_told_with_its_last_words():
    command = [sys.executable, "-c", "import sys; sys.exit('no plugin')"]
    result = play(Launched(command), ["ping"])["ping"]
    assert result.outcome == "fail"
    assert "ended with 1" in result.got
    assert "no plugin" in result.got


def test_a_game_that_dies_is_launched_again_and_its_death_is_a_failure():
    results = play(
        Launched([sys.executable, "-c", DIES]), ["hello-keys", "reset-answered", "hello-order"]
    )
    assert results["hello-keys"].outcome == "pass"
    assert results["reset-answered"].outcome == "fail"
    assert "SIGSEGV" in results["reset-answered"].got
    assert results["hello-order"].outcome == "pass"


@pytest.mark.parametrize(
    "transport",
    ["tcp", *(pytest.param(name, marks=pytest.mark.slow) for name in ("unix", "ws"))],
)
def test_serve_passes_when_launched(transport):
    command = [*SERVE, "CartPole-v1", "--on-agent-lost", "wait", "--fps", "100"]
    results = every_check(lambda: Launched(command, transport))
    assert failures(results) == {}


@pytest.mark.parametrize(
    ("address", "env_id"),
    [
        ("unix://", "CartPole-v1"),
        pytest.param("tcp://127.0.0.1:0", "Pendulum-v1", marks=pytest.mark.slow),
    ],
)
def test_serve_passes_when_dialled(address, env_id, monkeypatch):
    monkeypatch.setenv("TROPISM_BRIDGE_TOKEN", TOKEN)
    command = [*SERVE, env_id, "--listen", address, "--kwargs", '{"render_mode": "rgb_array"}']
    results = every_check(lambda: Served(command))
    assert failures(results) == {}


@pytest.mark.skipif(not hasattr(select_module, "POLLRDHUP"), reason="the system does not tell")
def test_a_connection_that_its_game_has_given_up_is_passed_over():
    ours, theirs = socket.socketpair()
    theirs.sendall(b"GBR1")
    theirs.close()
    assert sniff(ours, 1.0) is None
