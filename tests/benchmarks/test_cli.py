from __future__ import annotations

import io
import json
import subprocess
import sys

import pytest

from tropism.benchmarks.cli import INTERRUPTED, run

MEMORY = "tropism/Sanity-Memory-v0"
HEAVY = ("numpy", "gymnasium", "jax", "torch", "scipy", "rich", "matplotlib", "stable_baselines3")


def python(code):
    """Run Python code with this process's path in a process of its own."""
    script = f"import sys; sys.path[:] = {sys.path!r}; {code}"
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize(
    "arguments",
    [
        *(["--help"], ["plugins"], ["agents"], ["plugins", "--json"], ["--version"]),
        *(["bridge", "--help"], ["bridge", "check", "--help"]),
    ],
)
def test_light_commands_load_nothing_heavy(arguments):
    done = python(
        f"from tropism.benchmarks.cli import run; status = run({arguments!r}); "
        f"print(status, sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)"
    )
    assert done.stderr.split("\n")[-2] == "0 []", done.stderr


def test_help_names_every_command(capsys):
    assert run(["--help"]) == 0
    text = capsys.readouterr().out
    for name in (
        "envs",
        "agents",
        "plugins",
        "play",
        "train",
        "evaluate",
        "leaderboard",
        "ledger",
        "bench",
        "bridge",
    ):
        assert f"\n  {name} " in text


@pytest.mark.parametrize(
    "group",
    [
        *(["leaderboard"], ["ledger"], ["train"], ["evaluate"], ["bench"], ["play"], ["bridge"]),
        *(["bridge", "check"], ["bridge", "doctor"], ["bridge", "bench"]),
    ],
)
def test_every_command_has_help(group, capsys):
    assert run([*group, "--help"]) == 0
    assert "Usage: tropism" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["trian"], "Did you mean 'train'"),
        (["train", "random", "tropism/Sanity-Memori-v0"], f"Did you mean '{MEMORY}'"),
        (["train", "randon", MEMORY], "Did you mean 'random'"),
        (["train", "random", MEMORY, "--set", "x=1"], "Unknown option of agent 'random'"),
        (["train", "random", MEMORY, "--set", "x"], "must be key=value"),
        (["train", "random", MEMORY, "--steps", "-1"], "steps must be >= 0, got -1"),
        (["train", "random", MEMORY, "--stepps", "1"], "'--steps'"),
        (["evaluate", "random", MEMORY, "--metric", "excess_lag"], "Did you mean 'excess-lag'"),
        (["evaluate", "random", MEMORY, "--episodes", "0"], "episodes must be >= 1, got 0"),
        (["evaluate", "random", MEMORY, "--env", "deley=3"], "Did you mean 'delay'"),
        (["evaluate", "random", MEMORY, "--env", "delay=-3"], "delay must be an integer in [0, 1000]"),
        (["evaluate", "random", "CartPole-v1", "--env", "zoo=3"], "does not take"),
        (["evaluate", "random"], "name an environment"),
        (["leaderboard", "run", "quik", "--out", "x"], "Did you mean 'quick'"),
        (["leaderboard", "run", "quick", "--out", "x", "--agents", "tabel"], "Did you mean 'table'"),
        (["leaderboard", "run", "quick", "--out", "x", "--shard", "5/2"], "shard='5/2' must be i/n"),
        (["leaderboard", "run", "quick", "--out", "x", "--seeds", "0"], "seeds must be >= 1"),
        (["leaderboard", "shwo"], "show"),
        (["bench", "CartPole-v2"], "Did you mean"),
        (["bench", "--rounds", "0"], "rounds must be >= 1, got 0"),
        (["play", "tropism/Sanity-Memory"], f"Did you mean '{MEMORY}'"),
    ],
)  # fmt: skip
def test_what_was_mistyped_is_answered_with_help_and_status_2(
    arguments, hint, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert run(arguments) == 2
    captured = capsys.readouterr()
    assert hint in captured.err
    assert "Traceback" not in captured.err
    assert not list(tmp_path.iterdir())


def test_what_went_wrong_is_one_line_and_status_1(capsys, tmp_path):
    assert run(["evaluate", "table", MEMORY]) == 1
    assert run(["leaderboard", "show", str(tmp_path)]) == 1
    assert run(["ledger", "verify", str(tmp_path / "none.jsonl")]) == 1
    lines = capsys.readouterr().err.strip().split("\n")
    assert [line[:7] for line in lines] == ["Error: "] * 3


def test_debug_shows_the_traceback():
    from tropism.errors import UnknownNameError

    with pytest.raises(UnknownNameError):
        run(["--debug", "train", "randon", MEMORY])


def test_interrupts_end_with_130(monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("tropism.benchmarks.commands.listing._show", interrupted)
    assert run(["plugins"]) == INTERRUPTED == 130
    assert "Interrupted" in capsys.readouterr().err


def test_listings(capsys):
    assert run(["envs", "--json"]) == 0
    envs = {row["id"]: row for row in json.loads(capsys.readouterr().out)}
    assert envs["tropism/PatternWorld-Switch-v0"]["vector"] is True
    assert envs[MEMORY]["action"] == "Discrete(2)"
    assert envs["tropism/Chemotaxis-Shared-v0"]["agents"] == 4
    assert run(["agents", "--json"]) == 0
    assert {"random", "ideal"} <= {row["name"] for row in json.loads(capsys.readouterr().out)}
    assert run(["envs"]) == 0
    assert MEMORY in capsys.readouterr().out


def test_plugins_bring_commands_agents_and_are_listed(third_party, capsys):
    assert run(["odd-hello"]) == 0
    assert capsys.readouterr().out == "hello from a plugin\n"
    assert run(["--help"]) == 0
    assert "odd-hello" in capsys.readouterr().out
    assert run(["plugins", "--json"]) == 0
    row = next(r for r in json.loads(capsys.readouterr().out) if r["name"] == "odd")
    assert (row["distribution"], row["version"], row["state"]) == ("tropism-odd", "1.0", "loaded")


def test_broken_plugins_are_listed_with_their_reason(third_party, capsys):
    (third_party / "tropism_odd.py").write_text("import nowhere_to_be_found\n")
    assert run(["plugins"]) == 0
    line = next(x for x in capsys.readouterr().out.split("\n") if x.startswith("odd"))
    assert "failed" in line
    assert "ModuleNotFoundError" in line


def test_train_then_evaluate(tmp_path, capsys):
    out = tmp_path / "run"
    train = ["train", "random", MEMORY, "--steps", "10", "--out", str(out), "--env", "delay=2"]
    assert run(train) == 0
    assert run(train) == 0
    capsys.readouterr()
    assert run(["evaluate", str(out), "--episodes", "20", "--json"]) == 0
    body = json.loads(capsys.readouterr().out)
    assert set(body["metrics"]) == {"score", "nis", "compute", "wall"}
    assert len(body["scores"]) == len(body["action_hashes"]) == 20
    assert run(["evaluate", str(out), MEMORY]) == 2
    assert run([*train[:4], "11", *train[5:]]) == 1
    assert "field 'env_steps' is 10 there and 11 here" in capsys.readouterr().err


def test_unfinished_training_is_not_evaluated(tmp_path, capsys):
    out = tmp_path / "run"
    assert run(["train", "random", MEMORY, "--out", str(out)]) == 0
    (out / "policy").rename(tmp_path / "elsewhere")
    assert run(["evaluate", str(out)]) == 1
    assert "training did not finish" in capsys.readouterr().err
    (out / "config.json").write_text("{}")
    assert run(["evaluate", str(out)]) == 1
    assert "was not written by `tropism train`" in capsys.readouterr().err


def test_metrics_of_an_agent_on_a_task(capsys):
    assert run(["evaluate", "two-mode", "tropism/PatternWorld-Switch-v0", "--episodes", "1"]) == 0
    text = capsys.readouterr().out
    for name in (
        "accuracy",
        "nis",
        "excess-lag",
        "log-regret",
        "perseveration",
        "ece",
        "gate-gain",
    ):
        assert f"  {name} " in text


@pytest.mark.parametrize(
    ("env_id", "said"),
    [
        ("tropism/PatternWorld-Switch-v0", "0 of 0 answers right"),
        ("tropism/Chemotaxis-L0.2-v0", "stopped after 0 steps"),
    ],
)
def test_play_finds_the_player_that_an_environment_brings(monkeypatch, capsys, env_id, said):
    monkeypatch.setattr("sys.stdin", io.StringIO("q\n"))
    assert run(["play", env_id]) == 0
    assert said in capsys.readouterr().out


def test_play_in_the_terminal(monkeypatch, capsys):
    answers = iter(["9", "nonsense", "[0]", *["0"] * 8])
    monkeypatch.setattr("builtins.input", lambda _: next(answers))
    assert run(["play", MEMORY]) == 0
    text = capsys.readouterr().out
    assert text.count("not an action of Discrete(2)") == 3
    assert "reward 1, total 1" in text or "reward 0, total 0" in text


def test_a_whole_leaderboard(small_suite, tmp_path, capsys):
    out = str(tmp_path / "board")
    command = ["leaderboard", "run", "small", "--out", out, "--workers", "1"]
    assert run([*command, "--shard", "0/2"]) == 0
    assert "1 of 2 cells are finished" in capsys.readouterr().out
    assert run(command) == 0
    captured = capsys.readouterr()
    assert "1 of 2 cells were finished before" in captured.err
    assert "2 entries added" in captured.out
    assert run(["leaderboard", "show", out]) == 0
    assert "Sanity-Memory" in capsys.readouterr().out
    assert run(["leaderboard", "show", out, "--json"]) == 0
    body = json.loads(capsys.readouterr().out)
    assert body["cells"] == {"finished": 2, "total": 2}
    assert [row["player"] for row in body["tasks"]["Sanity-Memory"]] == ["oracle", "random"]
    assert run(["leaderboard", "report", out]) == 0
    assert (tmp_path / "board" / "report.html").read_text().startswith("<!doctype html>")
    assert (
        run(["ledger", "verify", out, "--checkpoint", f"{out}/ledger/ledger.jsonl.checkpoint"]) == 0
    )
    assert "2 entries" in capsys.readouterr().out
    assert run(["ledger", "reproduce", out, "0"]) == 0
    assert "reproduced" in capsys.readouterr().out


def test_a_leaderboard_with_failures_ends_with_status_1(small_suite, tmp_path, capsys, third_party):
    out = str(tmp_path / "board")
    command = [
        "leaderboard",
        "run",
        "small",
        "--out",
        out,
        "--agents",
        "odd-raises",
        "--workers",
        "1",
    ]
    assert run(command) == 1
    out, err = capsys.readouterr()
    assert "ZeroDivisionError: by the plugin" in err
    assert "1 cells failed" in err
    assert "2 of 3 cells" in out


def test_an_empty_choice_of_agents_is_refused(tmp_path, capsys):
    assert run(["leaderboard", "run", "quick", "--agents", " ,", "--out", str(tmp_path / "b")]) == 2
    assert "names no agent" in capsys.readouterr().err
    assert not (tmp_path / "b").exists()


def test_a_suite_whose_plugin_is_missing_is_refused_before_anything_is_played(
    tmp_path, capsys, monkeypatch
):
    from tropism.agents.plugins import PluginHost

    bare = PluginHost(entry_points=())
    monkeypatch.setattr("tropism.agents.plugins.default_host", lambda: bare)
    assert run(["leaderboard", "run", "quick", "--out", str(tmp_path / "b")]) == 1
    assert "no usable plugin brings" in capsys.readouterr().err
    assert not (tmp_path / "b").exists()


def test_evaluate_tells_plugins_of_each_episode(monkeypatch):
    from tropism.agents.plugins import default_host

    told = []
    monkeypatch.setattr(
        default_host().hook, "tropism_episode_end", lambda episode: told.append(episode.seed), False
    )
    command = ["evaluate", "table", "tropism/PatternWorld-Hop-v0", "--episodes", "2"]
    assert run([*command, "--env", "max_episode_steps=20"]) == 0
    assert told == [10_000, 10_001]
