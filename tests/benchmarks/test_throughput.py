from __future__ import annotations

import json

import pytest

from tropism.benchmarks import throughput
from tropism.benchmarks.cli import run
from tropism.benchmarks.throughput import faces, measure

SWITCH, MEMORY = "tropism/PatternWorld-Switch-v0", "tropism/Sanity-Memory-v0"


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(throughput, "SINGLE_STEPS", 50)
    monkeypatch.setattr(throughput, "VECTOR_STEPS", {64: 5, 1024: 2})
    monkeypatch.setattr(throughput, "find_spec", lambda name: None)


def test_contestants_take_turns_against_a_named_peer():
    played = []
    speeds = measure({SWITCH: {"flat": True}}, rounds=3, progress=played.append)
    assert [(s.face, s.name) for s in speeds] == [
        (face, name) for face in ("single", "vector-64", "vector-1024") for name in (SWITCH, "CartPole-v1")
    ]  # fmt: skip
    assert played == list(range(1, 19))
    for own, peer in zip(speeds[::2], speeds[1::2], strict=True):
        assert len(own.rounds) == 3
        assert own.steps_per_s == sorted(own.rounds)[1] > 0
        assert own.peer == peer.name == "CartPole-v1"
        assert own.ratio == pytest.approx(own.steps_per_s / peer.steps_per_s)
        assert (peer.peer, peer.ratio) == ("", None)


def test_an_id_without_a_vector_class_is_measured_alone():
    assert list(faces({MEMORY: {}})) == ["single"]


def test_scans_are_measured_where_jax_is(monkeypatch):
    monkeypatch.setattr(throughput, "find_spec", lambda name: name == "jax" or None)
    monkeypatch.setattr("tropism.benchmarks.throughput_jax.SCAN_LANES", 4)
    monkeypatch.setattr("tropism.benchmarks.throughput_jax.SCAN_STEPS", 3)
    contestants = faces({SWITCH: {"flat": True}})["scan-1024"]
    assert list(contestants) == [SWITCH]
    assert contestants[SWITCH]() > 0


def test_the_command_prints_and_records(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(["bench", MEMORY, "--rounds", "1", "--record"]) == 0
    text = capsys.readouterr().out
    assert "steps/s" in text
    assert "CartPole-v1" in text
    body = json.loads((tmp_path / "benchmarks/results/throughput.json").read_text())
    assert body["rounds"] == 1
    assert body["kwargs"] == {MEMORY: {}}
    assert {"command", "cpu", "versions", "speeds"} <= set(body)
