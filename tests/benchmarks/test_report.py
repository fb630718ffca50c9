from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tropism.benchmarks.leaderboard import sections
from tropism.benchmarks.ledger import Ledger
from tropism.benchmarks.report import render
from tropism.benchmarks.svg import Series, lines, scatter, spread
from tropism.benchmarks.table import few_runs, number, print_board


def test_the_table_shows_every_player(board, capsys):
    print_board(board)
    text = capsys.readouterr().out
    for word in ("PatternWorld-Switch", "two-mode", "oracle", "excess lag", "10 of 10 cells"):
        assert word in text
    assert "Warning" not in text


def test_learners_with_few_seeds_are_warned_of(board):
    section = sections(board.results)[0]
    learner = replace(section.rows[1], env_steps=1000, runs=3)
    assert few_runs([replace(section, rows=(learner,))]).startswith("3 training seeds; below 10")
    assert few_runs([section]) == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (0.0, "0.00"), (-0.0001, "0.00"), (963.46, "963"), (9.25, "9.25"), (1234.5, "1234"), (9.999, "10.00"), (-12.34, "-12.3")],
)  # fmt: skip
def test_numbers(value, text):
    assert number(value) == text


class _Page(HTMLParser):
    VOID = ("meta", "br")

    def __init__(self):
        super().__init__()
        self.open, self.links, self.tags = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href", "srcset", "data")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_report_stands_alone(board, ledger):
    page = render(board)
    parser = _Page()
    parser.feed(page)
    assert parser.open == []
    assert parser.links == []
    assert "script" not in parser.tags
    assert not re.search(r"url\(|@import|https?://(?!jfly)", page)
    assert parser.tags.count("svg") > 10
    for word in ("two tiers &amp; memory", "PatternWorld-Switch", "two-mode", "random gate",
                 Ledger.open(ledger).verify().root, "prefers-color-scheme: dark", "width=device-width"):  # fmt: skip
        assert word in page


def test_an_unfinished_board_says_so(board):
    assert "10 of 12 cells are finished" in render(replace(board, total=12))
    assert "0 of 12 cells" in render(replace(board, total=12, results=()))


@given(st.lists(st.floats(0, 100), min_size=1, max_size=8))
def test_labels_keep_their_distance_and_order(wanted):
    placed = spread(wanted, 12, 0, 100)
    assert all(p <= 100 + 1e-9 for p in placed)
    gaps = np.diff(sorted(placed))
    assert np.all(gaps >= 12 - 1e-6)
    assert [sorted(placed).index(p) for p in placed] == [
        sorted(range(len(wanted)), key=lambda i: wanted[i]).index(i) for i in range(len(wanted))
    ]


def test_plots_escape_names_and_survive_odd_data():
    odd = [Series("<a&b>", "red", ((0.0, float("nan")), (1.0, 0.5), (2.0, 0.5)))]
    assert "&lt;a&amp;b&gt;" in lines(odd, "x", "y")
    assert "nan" not in lines(odd, "x", "y")
    assert "<circle" in scatter([Series("one", "red", ((5.0, 0.0),), dashed=True)], "x", "y")
