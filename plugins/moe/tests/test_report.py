"""One command from the teacher to the report; what it says is checked against the run."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from tropism.agents import plugins
from tropism.agents.contract import Task
from tropism.benchmarks.cli import cli
from tropism.benchmarks.cli import run as tropism
from tropism.errors import ArtifactError
from tropism_moe.commands import moe
from tropism_moe.stage_policy import load_network
from tropism_moe.teachers import refusal, teach

LEVEL = "tropism/Chemotaxis-L0.0-v0"
OPTIONS = {
    "width": 16, "hidden": 16, "head_width": 8, "window": 8, "rank": 4, "lattice": [2, 2, 1],
    "lanes": 4, "stretch": 16,
}  # fmt: skip


@pytest.fixture(scope="module")
def command(host):
    """``command(*words) -> status``: ``tropism moe ...``, whether the plugin is installed or not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plugins, "default_host", lambda: host)
        patch.setitem(cli.commands, "moe", moe)
        yield lambda *words: tropism(["moe", *map(str, words)])


@pytest.fixture(scope="module")
def run(command, tmp_path_factory):
    """What the one command leaves behind."""
    where = tmp_path_factory.mktemp("report") / "run"
    options = [f"--set={key}={json.dumps(value)}" for key, value in OPTIONS.items()]
    sizes = ["--steps", 5200, "--env", "max_episode_steps=40", "--episodes", 3]
    assert command("train", LEVEL, "--out", where, *sizes, *options) == 0
    return where


def test_a_report_tells_of_every_stage_and_draws_the_losses(run):
    told = json.loads((run / "report.json").read_text())
    assert told["episodes"] == 3
    rows = {row["player"]: row for row in told["rows"]}
    assert list(rows) == ["random", "teacher", "dense", "sparse", "ternary", "packed"]
    assert rows["teacher"]["score"] > rows["random"]["score"]
    assert rows["random"]["same"] is None
    assert rows["teacher"]["same"] < 0.6  # of five actions, chance does one in five alike
    assert rows["packed"]["same"] >= 0.99  # it computes what the ternary network computes
    assert rows["packed"]["score"] == pytest.approx(rows["ternary"]["score"], rel=0.02)
    weights = sum(w.numel() for w in load_network(run, "sparse").parameters())
    assert rows["sparse"]["weight_bytes"] == 4 * weights
    assert rows["packed"]["weight_bytes"] < rows["sparse"]["weight_bytes"] / 2
    assert 0 <= rows["sparse"]["unevenness"] < 1
    assert (run / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_a_report_is_a_table_for_people(run):
    found = CliRunner().invoke(moe, ["report", str(run), "--episodes", "1"], catch_exceptions=False)
    lines = found.output.splitlines()
    assert lines[0].split()[:3] == ["player", "score", "of"]
    assert [line.split()[0] for line in lines[1:7]] == [
        row["player"] for row in json.loads((run / "report.json").read_text())["rows"]
    ]


def test_a_directory_without_a_run_is_told(tmp_path):
    with pytest.raises(ArtifactError, match=r"config\.json"):
        CliRunner().invoke(moe, ["report", str(tmp_path)], catch_exceptions=False)


def test_a_finished_run_is_a_teacher(run):
    """Of any agent; here one of its own kind."""
    task = Task(LEVEL, {"max_episode_steps": 40})
    assert refusal(str(run), task) is None
    assert teach(str(run), task).directory == run / "policy"
    with pytest.raises(ArtifactError, match="observation_space"):
        teach(str(run), Task("tropism/Chemotaxis-L3.0-v0"))


def test_a_negative_budget_is_refused(command, tmp_path, capsys):
    assert command("train", LEVEL, "--steps", -1, "--out", tmp_path / "x") == 2
    assert "steps must be >= 0" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
