"""``benchmarks/claims.py``: what is promised, held against what was recorded."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tropism.benchmarks.leaderboard import board_json

SCRIPTS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def claims(monkeypatch, tmp_path):
    """The script, reading an empty directory of results."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import claims

    monkeypatch.setattr(claims, "RESULTS", tmp_path)
    return claims


def write(claims, name, body):
    (claims.RESULTS / f"{name}.json").write_text(json.dumps(body))


def verdict(claims, check):
    return next(v for v, promise, _ in claims.findings() if claims.CLAIMS[promise] is check)


def row(player, low, high, runs=3):
    score = {"estimate": (low + high) / 2, "low": low, "high": high}
    return {"player": player, "runs": runs, "estimates": {"score": score}}


def test_what_was_never_recorded_is_missing_not_kept(claims, monkeypatch):
    assert {v for v, _, _ in claims.findings()} == {"MISSING"}
    monkeypatch.setattr(sys, "argv", ["claims.py", "--strict"])
    with pytest.raises(SystemExit) as ended:
        claims.main()
    assert ended.value.code == 1


def test_a_slow_demo_or_a_small_one_breaks_the_promise(claims):
    players = [row(name, 0, 1) for name in claims.DEMO]
    tasks = {f"tier {n}": players for n in range(4)}
    write(claims, "quick", {"tasks": tasks | {"Sanity-Memory": [row("recurrent-ppo", 1, 1)]}})
    write(claims, "demo", {"seconds": 150})
    assert verdict(claims, claims.demo) == "PASS"
    write(claims, "demo", {"seconds": 181})
    assert verdict(claims, claims.demo) == "FAIL"
    write(claims, "demo", {"seconds": 150})
    write(claims, "quick", {"tasks": tasks})
    assert verdict(claims, claims.demo) == "FAIL"


def test_intervals_that_touch_are_not_apart(claims):
    def played(low):
        return {
            "tasks": {"Switch": [row("random", 0, 10), row("ppo", low, 30), row("table", 5, 9)]}
        }

    write(claims, "full", played(11))
    assert verdict(claims, claims.ppo_learns) == "PASS"
    assert verdict(claims, claims.memory_helps) == "FAIL"
    write(claims, "full", played(10))
    assert verdict(claims, claims.ppo_learns) == "FAIL"


@pytest.fixture
def survived(claims):
    """Writes what is recorded of the bridge's long tests: one row, with these outcomes and figures."""

    def record(what, **row):
        write(claims, "bridge_faults", {"results": {what: row}})

    return record


def test_enough_kills_are_promised_and_that_every_test_passes(claims, survived):
    promise = "bridge: nothing left of 200 killed agents"

    def told():
        return next((v, numbers) for v, p, numbers in claims.findings() if p == promise)

    survived("agents killed", passed=200, figures={"kills": [1] * 200})
    assert told() == ("PASS", "200 kills")
    survived("agents killed", passed=199, failed=1, figures={"kills": [1] * 200})
    assert told() == ("FAIL", "200 kills, not all passed")
    survived("agents killed", passed=4, figures={"kills": [1] * 4})
    assert told() == ("FAIL", "4 kills")
    survived("agents killed", skipped=200, figures={})
    assert told()[0] == "MISSING"


def test_a_recorded_board_is_read(claims, board):
    write(claims, "quick", board_json(board))
    assert verdict(claims, claims.nobody_beyond) == "PASS"
    assert verdict(claims, claims.memory_helps) == "PASS"


@pytest.mark.parametrize(
    "name", ["throughput", "start", "sb3_vecenv", "ledger", "patternworld_scores"]
)
def test_the_records_in_the_repository_are_complete(claims, name):
    (claims.RESULTS / f"{name}.json").write_bytes(
        (SCRIPTS / "results" / f"{name}.json").read_bytes()
    )
    assert sum(v != "MISSING" for v, _, _ in claims.findings()) == 1


def test_the_record_of_the_bridge_answers_every_promise(claims):
    import bench_bridge
    import claims_bridge

    promised = {name: least for name, (_, _, least) in bench_bridge.RATIOS.items() if least}
    assert promised == claims_bridge.RATIOS
    write(claims, "bridge", json.loads(bench_bridge.RESULTS.read_bytes()))
    told = {p: numbers for v, p, numbers in claims.findings() if v != "MISSING"}
    assert len(told) == len(promised) + 2  # a promise that is not kept is told with its number, too
    assert all(any(map(str.isdigit, numbers)) for numbers in told.values())
