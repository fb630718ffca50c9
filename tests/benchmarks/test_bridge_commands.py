from __future__ import annotations

import json
import os
import socket
import sys
import threading

import pytest
from tests.bridges.small_game import TOKEN, House, SmallGame

from tropism.benchmarks.cli import run
from tropism.bridges.compliance import all_checks
from tropism.bridges.doctor import launch_game
from tropism.bridges.protocol.header import Type
from tropism.bridges.protocol.messages import encode

SERVE = [sys.executable, "-m", "tropism.bridges.serve", "CartPole-v1"]


def told(capsys, *arguments, command=()):
    """Exit status and what was printed as JSON."""
    status = run(["bridge", *arguments, "--json", *(("--", *command) if command else ())])
    return status, json.loads(capsys.readouterr().out)


@pytest.fixture
def small_game(monkeypatch):
    monkeypatch.setenv("TROPISM_BRIDGE_TOKEN", TOKEN)
    house = House()
    yield house
    house.close()


@pytest.fixture
def quiet_port():
    """A port at which somebody listens who never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def state_of(findings, subject):
    return next((f for f in findings if f["subject"] == subject), None)


# --- check ----------------------------------------------------------------------------------------


def test_list_names_every_check_with_its_rule(capsys):
    status, rows = told(capsys, "check", "--list")
    assert status == 0
    assert [row["name"] for row in rows] == [check.name for check in all_checks()]
    assert run(["bridge", "check", "--list", "--only", "ping"]) == 0
    assert capsys.readouterr().out.split() == [
        *("ping", "6", "PING", "is", "answered", "by", "PONG", "with", "the", "same", "bytes,"),
        *("up", "to", "64", "of", "any", "kind"),
    ]


def test_check_of_a_game_at_an_address(small_game, capsys):
    status, results = told(capsys, "check", "--addr", small_game.address, "--only", "auth-*")
    assert status == 0
    outcomes = {result["name"]: result["outcome"] for result in results}
    assert outcomes["auth-right"] == outcomes["auth-wrong"] == "pass"
    assert outcomes["auth-not-asked-for"] == "skip"


def test_check_that_fails_says_what_was_expected_and_what_came(small_game, capsys):
    small_game.kind = type("Mute", (SmallGame,), {"on_ping": lambda self, header, body: None})
    options = ["--addr", small_game.address, "--only", "ping", "--patience", "0.3"]
    assert run(["bridge", "check", *options]) == 1
    text = capsys.readouterr().out
    assert "fail  ping" in text
    assert "section 6: PING is answered by PONG" in text
    assert "expected PONG" in text
    assert "got      silence" in text
    assert "0 passed, 1 failed, 0 skipped" in text


def test_check_of_a_command(capsys):
    status, results = told(capsys, "check", "--only", "hello-session", command=SERVE)
    assert (status, results[0]["outcome"]) == (0, "pass")


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["check"], "--addr ADDR, or -- COMMAND"),
        (["check", "--addr", "tcp://127.0.0.1:1", "--", "game"], "--addr ADDR, or -- COMMAND"),
        (["check", "--addr", "127.0.0.1:1"], "expected tcp://host:port"),
        (["check", "--list", "--only", "pign"], "Did you mean 'ping'"),
        (["bench", "--rounds", "0"], "rounds and sizes must be >= 1"),
        (["bench", "--transport", "udp"], "Unknown transport 'udp'"),
    ],
)
def test_mistakes_are_named(arguments, hint, capsys):
    assert run(["bridge", *arguments]) == 2
    assert hint in capsys.readouterr().err


# --- doctor ---------------------------------------------------------------------------------------


def test_doctor_looks_at_the_machine(capsys):
    _, findings = told(capsys, "doctor")
    subjects = [finding["subject"] for finding in findings]
    for subject in ("interpreter", "processors", "environment", "loopback", "shared memory"):
        assert subject in subjects
    assert state_of(findings, "loopback")["state"] == "ok"
    for finding in findings:
        assert finding["state"] == "ok" or finding["remedy"], finding


def test_doctor_names_a_token_that_is_none_and_does_not_show_it(capsys, monkeypatch):
    monkeypatch.setenv("TROPISM_BRIDGE_TOKEN", "hush-hush")
    status, findings = told(capsys, "doctor")
    found = state_of(findings, "environment")
    assert (status, found["state"]) == (1, "bad")
    assert "64 hexadecimal digits" in found["remedy"]
    assert "hush" not in json.dumps(findings)


def test_doctor_says_that_there_is_no_shared_memory(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("TROPISM_BRIDGE_SHM_DIR", str(tmp_path / "nowhere"))
    status, findings = told(capsys, "doctor")
    found = state_of(findings, "shared memory")
    assert found["state"] == "warn"
    assert "TROPISM_BRIDGE_SHM_DIR" in found["remedy"]
    assert status == 0


def test_doctor_on_a_right_game(small_game, capsys):
    status, findings = told(capsys, "doctor", "--addr", small_game.address)
    assert status == 0
    assert "small" in state_of(findings, "HELLO")["text"]


def test_doctor_when_nobody_listens(capsys):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    status, findings = told(capsys, "doctor", "--addr", f"tcp://127.0.0.1:{port}")
    assert status == 1
    assert "nobody listens" in state_of(findings, "connect")["text"]


def test_doctor_when_somebody_else_listens(quiet_port, capsys, monkeypatch):
    monkeypatch.setattr("tropism.bridges.doctor.games.OPENING", 0.3)
    status, findings = told(capsys, "doctor", "--addr", f"tcp://127.0.0.1:{quiet_port}")
    assert status == 1
    assert "says nothing within" in state_of(findings, "HELLO")["text"]
    if sys.platform == "linux":
        assert f"process {os.getpid()}" in state_of(findings, "connect")["text"]


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"role":"game"}', b'{"min_major":"x"}'])
def test_doctor_on_a_game_that_says_a_wrong_hello(body, capsys):
    def answer():
        sock, _ = server.accept()
        with sock:
            sock.sendall(encode(Type.HELLO, body))
            sock.recv(65536)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer)
        thread.start()
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        status, findings = told(capsys, "doctor", "--addr", address)
        thread.join()
    assert status == 1
    assert "says a wrong HELLO" in state_of(findings, "HELLO")["text"]


def test_doctor_says_who_has_the_port(quiet_port, capsys):
    status, findings = told(capsys, "doctor", "--listen", f"tcp://127.0.0.1:{quiet_port}")
    found = state_of(findings, "listen")
    assert (status, found["state"]) == (1, "bad")
    if sys.platform == "linux":
        assert f"process {os.getpid()}" in found["text"]


def test_doctor_on_an_address_that_is_none(capsys):
    status, findings = told(capsys, "doctor", "--addr", "localhost", "--listen", "tcp://x")
    assert status == 1
    assert state_of(findings, "address")["state"] == state_of(findings, "listen")["state"] == "bad"


@pytest.mark.parametrize(
    ("command", "subject", "text"),
    [
        (["/nonexistent/game"], "command", "is no program here"),
        ([sys.executable, "-c", "import sys; sys.exit('no plugin')"], "dial", "no plugin"),
        ([sys.executable, "-c", "import time; time.sleep(60)"], "dial", "has not dialled"),
    ],
)
def test_doctor_on_commands_that_never_become_games(command, subject, text):
    found = {finding.subject: finding for finding in launch_game(command, 0.5)}
    assert found[subject].state == "bad"
    assert text in found[subject].text
    assert found[subject].remedy


@pytest.mark.skipif(sys.platform != "linux", reason="only there can the environment be seen")
def test_doctor_sees_that_the_environment_was_cleared():
    found = {finding.subject: finding for finding in launch_game(["env", "-i", "sleep", "60"], 0.5)}
    assert found["variables"].state == "bad"
    assert "TROPISM_BRIDGE_ADDR" in found["variables"].text


def test_doctor_on_a_command_that_is_a_game():
    found = {finding.subject: finding for finding in launch_game(SERVE)}
    assert {finding.state for finding in found.values()} == {"ok"}
    assert "CartPole" in found["HELLO"].text


# --- bench and serve ------------------------------------------------------------------------------


def test_bench_measures_what_it_is_asked_for(capsys):
    options = ["--rounds", "1", "--seconds", "0.05", "--size", "64", "--size", "4096"]
    status, rows = told(capsys, "bench", *options, "--transport", "unix")
    assert status == 0
    assert [(row["transport"], row["size"]) for row in rows] == [("unix", 64), ("unix", 4096)]
    for row in rows:
        assert 0 < row["p50_us"] <= row["p99_us"]
        assert row["steps_per_s"] > 0


def test_bench_prints_a_table_with_the_peer_beside_it(capsys):
    options = [
        "--rounds",
        "1",
        "--seconds",
        "0.05",
        "--size",
        "64",
        "--transport",
        "tcp",
        "--peers",
    ]
    assert run(["bridge", "bench", *options]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["transport", "bytes", "p50", "us", "p99", "us", "steps/s"]
    assert [line.split()[0] for line in lines[1:]] == ["tcp", "async-vector"]


def test_serve_hands_its_arguments_on(capsys):
    with pytest.raises(SystemExit) as end:
        run(["bridge", "serve", "--help"])
    assert end.value.code == 0
    assert "--listen ADDRESS" in capsys.readouterr().out
