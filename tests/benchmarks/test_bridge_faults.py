"""``benchmarks/bridge_faults.py``: outcomes and figures of tests, as pytest reports them."""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[2]
REPORT = """
<suite>
  <testcase classname="tests.bridges.faults.test_leaks" name="test_row_41_random_kills_leave_nothing[a]" time="2">
    <properties><property name="kills" value="8" /><property name="grown_bytes" value="0" /></properties>
  </testcase>
  <testcase classname="tests.bridges.faults.test_leaks" name="test_row_41_random_kills_leave_nothing[b]" time="1">
    <properties><property name="kills" value="3" /></properties>
    <failure message="left" />
  </testcase>
  <testcase classname="tests.bridges.faults.test_leaks" name="test_row_41_else" time="1" />
  <testcase classname="tests.bridges.test_leaks" name="test_row_41_random_kills_leave_nothing[c]" time="1">
    <skipped />
  </testcase>
</suite>
"""


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import bridge_faults

    return bridge_faults


def test_what_failed_and_every_figure_is_in_the_record(script, monkeypatch):
    cases = list(ElementTree.fromstring(REPORT).iter("testcase"))
    monkeypatch.setattr(script, "run", lambda marks: cases)
    assert script.results("slow") == {
        "games killed": {
            "passed": 1,
            "failed": 1,
            "seconds": 3.0,
            "figures": {"kills": [8.0, 3.0], "grown_bytes": [0.0]},
        }
    }
    assert script.outcome(cases[-1]) == "skipped"


def test_every_name_is_that_of_a_test(script):
    for test in script.TESTS.values():
        file, _, name = test.partition("::")
        assert f"def {name}" in (ROOT / "tests/bridges" / file).read_text(encoding="utf-8"), test


def test_a_quick_look_is_not_recorded(script, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["bridge_faults.py", "--quick", "--record"])
    with pytest.raises(SystemExit):
        script.main()
