from __future__ import annotations

import json

import pytest

from tropism.agents.manifest import source_hash
from tropism.agents.progress import progress
from tropism.agents.runs import Run, read_metrics, write_atomic
from tropism.errors import ArtifactError

CONFIG = {"agent": "x", "seed": 3, "sizes": (1, 2)}


def start(directory, **changes):
    with Run(directory, CONFIG | changes) as run:
        run.log(10, loss=0.5)
        with run.checkpoint_dir(10) as work:
            write_atomic(work / "weights.bin", b"w" * 100)
            (work / "deep").mkdir()
            (work / "deep" / "more.json").write_text("{}")
    return directory


def snapshot(directory):
    return {p: p.read_bytes() for p in sorted(directory.rglob("*")) if p.is_file()}


def refused(directory, match, **changes):
    """Opening must fail with ``match`` and leave every byte as it was."""
    before = snapshot(directory)
    with pytest.raises(ArtifactError, match=match):
        Run(directory, CONFIG | changes)
    assert {p: c for p, c in snapshot(directory).items() if p.name != ".lock"} == {
        p: c for p, c in before.items() if p.name != ".lock"
    }


def test_run_directory_holds_what_it_says(tmp_path):
    directory = start(tmp_path / "deep" / "run")
    assert json.loads((directory / "config.json").read_text()) == {
        "agent": "x",
        "seed": 3,
        "sizes": [1, 2],
    }
    (first,) = json.loads((directory / "manifest.json").read_text())["starts"]
    assert first["seed"] == 3
    assert first["source"] == source_hash()
    assert first["versions"].keys() >= {"tropism", "numpy", "gymnasium"}
    assert first["utc"].endswith("+00:00")
    assert first.keys() >= {"command", "python", "platform", "cpu", "cores"}
    assert read_metrics(directory) == [{"step": 10, "loss": 0.5}]


def test_resume_continues_and_notes_the_start(tmp_path):
    directory = start(tmp_path / "run")
    with Run(directory, CONFIG) as run:
        assert run.checkpoint_steps() == [10]
        latest = run.latest_checkpoint()
        assert latest is not None
        assert (latest / "weights.bin").read_bytes() == b"w" * 100
        run.log(20, loss=0.25)
        assert [row["step"] for row in run.metrics()] == [10, 20]
    assert len(json.loads((directory / "manifest.json").read_text())["starts"]) == 2


def test_fresh_run_has_no_checkpoint(tmp_path):
    with Run(tmp_path / "run", CONFIG) as run:
        assert run.latest_checkpoint() is None
        assert run.metrics() == []


def test_latest_checkpoint_is_the_highest_step(tmp_path):
    with Run(tmp_path / "run", CONFIG) as run:
        for step in (9, 100, 20):
            with run.checkpoint_dir(step) as work:
                (work / "w").write_text(str(step))
        assert run.checkpoint_steps() == [9, 20, 100]
        latest = run.latest_checkpoint()
        assert latest is not None
        assert (latest / "w").read_text() == "100"


@pytest.mark.parametrize(
    ("change", "field"), [({"seed": 4}, "seed"), ({"extra": 1}, "extra"), ({"sizes": [1]}, "sizes")]
)
def test_other_configuration_is_refused_naming_the_field(tmp_path, change, field):
    refused(start(tmp_path / "run"), f"field '{field}'", **change)


def test_no_resume_refuses_a_run(tmp_path):
    directory = start(tmp_path / "run")
    with pytest.raises(ArtifactError, match="already holds a run"):
        Run(directory, CONFIG, resume=False)
    with Run(tmp_path / "new", CONFIG, resume=False) as run:
        run.log(1, a=1)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("config.json", '{"agent": "x", "se', r"config\.json is damaged"),
        ("config.json", "", r"config\.json is damaged"),
        ("config.json", "[]", "must hold a JSON object"),
        ("config.json", None, r"no config\.json but holds 'metrics\.jsonl'"),
        ("manifest.json", '{"starts": [', r"manifest\.json is damaged"),
        ("manifest.json", '{"starts": 3}', r"manifest\.json lists no starts"),
        ("manifest.json", None, r"manifest\.json is missing"),
        (
            "metrics.jsonl",
            '{"step": 1, "_start": 0}\n{"st\n{"step": 3, "_start": 0}\n',
            "line 2 is damaged",
        ),
        ("metrics.jsonl", '{"step": 1, "_start": 0}\nnull\n', "line 2 is damaged"),
        ("metrics.jsonl", '{"loss": 1}\n', "line 1 is damaged"),
    ],
)
def test_damaged_run_is_refused_and_not_touched(tmp_path, file, content, message):
    directory = start(tmp_path / "run")
    path = directory / file
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    refused(directory, message)


def test_checkpoints_without_configuration_are_refused(tmp_path):
    directory = start(tmp_path / "run")
    (directory / "config.json").unlink()
    (directory / "metrics.jsonl").unlink()
    refused(directory, r"checkpoints but no config\.json")


def test_somebody_elses_directory_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    refused(tmp_path, r"thesis\.tex")


@pytest.mark.parametrize("damage", [b"w" * 99, b"v" * 100, b""])
def test_damaged_checkpoint_is_refused(tmp_path, damage):
    directory = start(tmp_path / "run")
    (directory / "checkpoints" / f"{10:012d}" / "weights.bin").write_bytes(damage)
    with (
        Run(directory, CONFIG) as run,
        pytest.raises(ArtifactError, match=r"'weights\.bin' is edited or truncated"),
    ):
        run.latest_checkpoint()


def test_checkpoint_of_the_same_step_is_never_overwritten(tmp_path):
    directory = start(tmp_path / "run")
    with (
        Run(directory, CONFIG) as run,
        pytest.raises(ArtifactError, match="never overwritten"),
        run.checkpoint_dir(10),
    ):
        raise AssertionError("not reached")


def test_torn_last_row_is_cut_on_resume_only(tmp_path):
    directory = start(tmp_path / "run")
    path = directory / "metrics.jsonl"
    path.write_bytes(path.read_bytes() + b'{"step": 20, "lo')
    with pytest.raises(ArtifactError, match="line 2 is damaged"):
        read_metrics(directory)
    with Run(directory, CONFIG) as run:
        assert [row["step"] for row in run.metrics()] == [10]
        run.log(20, loss=0.1)
        assert [row["step"] for row in run.metrics()] == [10, 20]


def test_rows_logged_again_after_a_resume_are_given_once(tmp_path):
    for logged in (((10, 1), (20, 2), (20, 3), (30, 4)), ((20, 5), (20, 6), (40, 7)), ((50, 8),)):
        with Run(tmp_path / "run", CONFIG) as run:
            for step, value in logged:
                run.log(step, value=value)
    assert [row["value"] for row in read_metrics(tmp_path / "run")] == [1, 5, 6, 7, 8]


def test_numbers_json_does_not_know_become_null(tmp_path):
    with Run(tmp_path / "run", CONFIG) as run:
        run.log(1, nan=float("nan"), inf=float("-inf"), yes=True, whole=7)
        assert run.metrics() == [{"step": 1, "nan": None, "inf": None, "yes": 1, "whole": 7}]


def test_two_writers_are_refused(tmp_path):
    with Run(tmp_path / "run", CONFIG), pytest.raises(ArtifactError, match="in use"):
        Run(tmp_path / "run", CONFIG)
    Run(tmp_path / "run", CONFIG).close()


def test_progress_is_silent_without_a_terminal(capsys):
    with progress(10, "training") as update:
        update(5)
    assert capsys.readouterr() == ("", "")


def test_progress_shows_when_asked(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with progress(10, "training", show=True) as update:
        update(10)
    out, err = capsys.readouterr()
    assert out == ""
    assert "training" in err
    assert "100%" in err
