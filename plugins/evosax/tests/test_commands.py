from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from tropism.agents.baselines import BaselinePolicy
from tropism.agents.contract import Task
from tropism.agents.evaluate import evaluate
from tropism.errors import ArtifactError, OptionError, UnknownNameError, UnsupportedTaskError
from tropism_evosax.commands import NAMES, evo
from tropism_evosax.commands.bar import Bar
from tropism_evosax.commands.options import make_config
from tropism_evosax.config import PRESETS
from tropism_evosax.filters import Rung, Viability
from tropism_evosax.genomes.files import read_genome, write_genome
from tropism_evosax.heldout import METRICS, play
from tropism_evosax.records import read_run
from tropism_evosax.store import BEST, MEAN, read_rows

L02 = "tropism/Chemotaxis-L0.2-v0"
TINY = [
    *("--env", "steps=24", "--population", 4, "--episodes", 1, "--generations", 200),
    *("--plasticity", "event", "--network", "neurons=5", "--network", "edges=2"),
    *("--network", "plasticity.scale=9", "--set", "finalists=1", "--set", "finalist_episodes=2"),
    *("--set", "checkpoint_every=50", "--devices", 1),
]
KILLED = """
import os, signal, sys
sys.path[:] = {!r}
from tropism_evosax.commands import evo
from tropism_evosax.store import RunStore

checkpoint, count = RunStore.checkpoint, iter(range(9))
def dies(store, state):
    if next(count) == 2:  # its rows are written
        os.kill(os.getpid(), signal.SIGKILL)
    checkpoint(store, state)
RunStore.checkpoint = dies
evo({!r})
"""
LOADED = """
import atexit, contextlib, io, sys
sys.path[:] = {path!r}
from tropism_evosax.commands import NAMES, evo
for name in ("", *NAMES):
    with contextlib.redirect_stdout(io.StringIO()) as text:
        evo.main([*([name] if name else []), "--help"], "tropism evo", standalone_mode=False)
    assert "Usage: tropism evo " + name in text.getvalue()
heavy = {{"jax", "evosax", "optax", "matplotlib", "numpy", "gymnasium", "scipy", "rich"}}
print(sorted(heavy & set(sys.modules)))
"""


def call(*arguments, status=0):
    """What a command printed."""
    done = CliRunner().invoke(evo, [str(a) for a in arguments], catch_exceptions=False)
    assert done.exit_code == status, done.output
    return done.output


pytestmark = pytest.mark.usefixtures("quick_evolutions")


@pytest.fixture(scope="module")
def run(tmp_path_factory, quick_evolutions):
    """A finished run: its directory, and what was printed."""
    directory = tmp_path_factory.mktemp("runs") / "whole"
    return directory, call("train", L02, *TINY, "--out", directory)


@pytest.fixture
def copy(run, tmp_path):
    return shutil.copytree(run[0], tmp_path / "copy")


def test_a_run_leaves_what_others_need(run):
    directory, printed = run
    files = {path.name for path in directory.iterdir()}
    assert files >= {"config.json", "manifest.json", "generations.jsonl", BEST, MEAN, "result.json"}
    assert f"Next: tropism evo evaluate {directory}" in printed
    assert "200 generations" in printed
    config = read_run(directory)
    assert (config.population, config.env_kwargs) == (4, {"steps": 24})
    plasticity = {"modulator": "event", "scale": 9}
    assert config.controller_kwargs == {"neurons": 5, "edges": 2, "plasticity": plasticity}


def test_a_killed_run_goes_on_to_the_same_bits(run, tmp_path, quick_flags):
    directory = tmp_path / "killed"
    arguments = ["train", L02, *map(str, TINY), "--out", str(directory)]
    program = [sys.executable, "-c", KILLED.format(sys.path, arguments)]
    done = subprocess.run(
        program, env=os.environ | quick_flags, capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert len(list(directory.glob("checkpoints/0*"))) == 2
    assert not (directory / BEST).exists()
    with pytest.raises(ArtifactError, match="--resume"):
        call("evaluate", directory)
    call("train", "--resume", "--out", directory)
    for name in (BEST, MEAN):
        np.testing.assert_array_equal(
            read_genome(directory / name)[0], read_genome(run[0] / name)[0]
        )
    assert read_rows(directory) == read_rows(run[0])


def test_a_run_is_neither_begun_twice_nor_resumed_as_another(run):
    with pytest.raises(ArtifactError, match="already holds a run"):
        call("train", L02, *TINY, "--out", run[0])
    with pytest.raises(ArtifactError, match=r"'sigma' is .* there and 0\.3"):
        call("train", "--resume", "--out", run[0], "--sigma", 0.3)


def test_a_stopped_run_ends_with_status_130(tmp_path, monkeypatch):
    stopped = SimpleNamespace(generations=10)
    monkeypatch.setattr("tropism_evosax.evolve.evolve", lambda *_: [stopped])
    printed = call("train", L02, *TINY, "--out", tmp_path / "a", status=130)
    assert "Stopped after 10 of 200 generations; the same command with --resume goes on" in printed


def test_the_first_interrupt_asks_and_the_second_insists():
    bar = Bar([3, 4], 20)
    row = {"generation": 9, "best_score": 1.5, "fitness_mean": 1.0}
    with bar.shown():
        assert bar(3, [row]) is False
        os.kill(os.getpid(), signal.SIGINT)
        assert bar(3, [row | {"best_score": None}]) is True
        with pytest.raises(KeyboardInterrupt):
            bar(4, [row])  # the next seed does not begin
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_evaluation_compares_the_genome_with_baselines_and_controls(run):
    told = json.loads(call("evaluate", run[0], "--episodes", 40, "--json"))
    controls = ["best", "best, eta = 0", "best, shuffled"]
    assert list(told["players"]) == [*controls, "random", "stay", "greedy", "probe", "oracle"]
    assert set(told["differences"]) == set(told["players"]) - {"best"}
    for player in told["players"].values():
        assert set(player) == set(METRICS)
        assert all(m["low"] <= m["mean"] <= m["high"] for m in player.values())
    gap = told["players"]["best"]["fitness"]["mean"] - told["players"]["stay"]["fitness"]["mean"]
    assert told["differences"]["stay"]["mean"] == pytest.approx(gap)
    alone = call(
        "baseline", L02, "--env", "steps=24", "--episodes", 40, "--player", "probe", "--json"
    )
    assert json.loads(alone)["players"]["probe"] == told["players"]["probe"]


def test_grown_up_organisms_are_evaluated_apart(by_hand):
    growth = {"gradient_gain": [0, 1, 0.5, 1]}
    directory = by_hand(env_kwargs={"steps": 24, "development": growth})
    lines = call("evaluate", directory, "--episodes", 64, "--player", "greedy").splitlines()[1:]
    columns = [re.split("  +", line) for line in lines]
    assert [column[0] for column in columns] == [
        "player",
        "best",
        "greedy",
        "best, adult",
        "greedy, adult",
    ]
    assert columns[0][1:] == [*METRICS, "best minus it"]
    assert [len(column) for column in columns] == [7, 6, 7, 6, 7]
    fitness = [float(column[1].split()[0]) for column in columns[1:]]
    assert fitness[1] < fitness[3]


def test_baselines_play_what_everybody_else_would_see():
    task, seeds = Task(L02), range(100, 120)
    for name in ("random", "oracle"):
        outcomes = play(name, task, seeds)
        episodes = evaluate(BaselinePolicy(task, name), task, seeds, privileged=True)
        assert outcomes["fitness"].tolist() == [episode.score for episode in episodes]
        assert outcomes["t_alive"].tolist() == [len(episode) for episode in episodes]
        harm = outcomes["bad_arrivals"] * 0.25
        np.testing.assert_allclose(outcomes["integrity_lost"], harm)
    assert outcomes["success"].all()


def test_what_an_environment_does_not_label_is_not_told():
    printed = call("baseline", "CartPole-v1", "--episodes", 3, "--first-seed", 5)
    assert printed.splitlines()[1].split() == ["player", "fitness", "t_alive"]


def test_a_preset_brings_the_rate_of_its_own_strategy_only():
    said: dict[str, Any] = dict.fromkeys(
        ("base", "strategy", "lr", "viability", "rungs", "novelty", "plasticity")
    )
    said |= dict.fromkeys(("network", "fields", "env", "development"), ())
    said |= dict.fromkeys(
        ("generations", "population", "episodes", "controller", "genome", "sigma")
    )
    assert make_config(L02, said) == PRESETS["tropism"]
    assert make_config(L02, said | {"strategy": "snes"}).lr is None
    assert make_config(L02, said | {"strategy": "snes", "lr": 0.3}).lr == 0.3
    grown = make_config(L02, said | {"genome": "cppn", "network": ("neurons=64",)})
    assert grown.controller_kwargs == {"topology": "lattice", "neurons": 64}
    rungs = make_config(L02, said | {"rungs": "8:1:0.5,16:2:.25", "viability": True})
    assert rungs.rungs == (Rung(8, 1, 0.5), Rung(16, 2, 0.25))
    assert rungs.viability == Viability()


def test_several_seeds_are_runs_of_their_own(run, tmp_path):
    printed = call("batch", L02, *TINY, "--seeds", "0,5", "--out", tmp_path, "--held-out", 16)
    lines = printed.splitlines()
    assert [line.split()[0] for line in lines[-4:]] == ["seed", "0", "5", "mean"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["seed-0", "seed-5"]
    first, alone = read_genome(tmp_path / "seed-0" / BEST)[0], read_genome(run[0] / BEST)[0]
    np.testing.assert_array_equal(first, alone)


def test_a_replay_tells_the_same_bits_from_others(copy):
    genome, spec = read_genome(copy / BEST)
    write_genome(copy / BEST, genome + np.float32(1e-6), spec)
    printed = call("replay", copy, status=1).splitlines()
    assert printed[0].endswith("best_genome.npz: DIFFERENT")
    assert printed[1].endswith("mean_genome.npz: the same bits")


def test_help_of_every_command_loads_nothing_heavy():
    code = LOADED.format(path=sys.path)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_the_suites_command_brings_it_along_and_its_errors_take_one_line():
    code = f"import sys; sys.path[:] = {sys.path!r}; from tropism.benchmarks.cli import run; sys.exit(run(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "evo", "train", "tropism/Chemotaxis-L0.3-v0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(
        "Error: Unknown environment 'tropism/Chemotaxis-L0.3-v0'. Did you"
    )
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        ("trian", UnknownNameError, "Did you mean 'train'"),
        ("train", OptionError, "name an environment"),
        ("train --resume --out nowhere", OptionError, "name an environment"),
        (f"train {L02} --strategy opnes", UnknownNameError, "openes"),
        (f"train {L02} --preset orgin", UnknownNameError, "origin"),
        (f"train {L02} --controller spikin", UnknownNameError, "spiking"),
        (f"train {L02} --encoding cpn", UnknownNameError, "cppn"),
        (f"train {L02} --plasticity evnt", UnknownNameError, "event"),
        (f"train {L02} --network neurns=3", UnknownNameError, "neurons"),
        (f"train {L02} --controller mlp --plasticity event", UnknownNameError, "plasticity"),
        (f"train {L02} --env stepps=3", UnknownNameError, "steps"),
        (f"train {L02} --env steps", OptionError, "--env 'steps' must be key=value"),
        (f"train {L02} --set popul=3", UnknownNameError, "population"),
        (f"train {L02} --population 0", OptionError, r"\[2, 1000000\], got 0"),
        (f"train {L02} --population 7", OptionError, "even"),
        (f"train {L02} --sigma 0", OptionError, "sigma"),
        (f"train {L02} --novelty 2", OptionError, "novelty.weight"),
        (f"train {L02} --rungs 64:2", OptionError, "--rungs takes 3"),
        (f"train {L02} --rungs 64:2:0", OptionError, "rung.keep"),
        (f"train {L02} --development motr=0:1", UnknownNameError, "motor"),
        (f"train {L02} --development motor=1", OptionError, "--development takes 2"),
        (f"train {L02} --seed -1", OptionError, "seed"),
        ("train tropism/Sanity-Memory-v0", UnsupportedTaskError, "functional face"),
        ("train tropism/PatternWorld-Switch-v0", UnsupportedTaskError, "flat=True"),
        (f"batch {L02} --seeds 1,1", OptionError, "seeds must be"),
        (f"batch {L02} --seeds x", OptionError, "seeds must be"),
        (f"batch {L02} --set train_seeds=[424300,424400]", OptionError, "training seeds"),
        (f"baseline {L02} --player greed", UnknownNameError, "greedy"),
        (f"baseline {L02} --episodes 1", OptionError, "episodes"),
        ("baseline CartPole-v1 --env zoo=1", OptionError, "does not take"),
        ("evaluate nowhere", ArtifactError, "no run directory"),
        ("plot nowhere", ArtifactError, "no run directory"),
        ("plot nowhere --out x.jpg", OptionError, "must end in"),
        ("replay nowhere", ArtifactError, "no run directory"),
    ],
)
def test_what_is_mistyped_is_answered_with_help(arguments, error, hint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=hint):
        call(*arguments.split())
    assert not list(tmp_path.iterdir())


def forget(name):
    return lambda path: (path / name).unlink()


def rewrite(name, **changes):
    def change(path):
        text = json.loads((path / name).read_text())
        (path / name).write_text(json.dumps(text | changes))

    return change


def spoil(value=None, **spec):
    def change(path):
        with np.load(path / BEST) as file:
            genome, found = file["genome"], json.loads(file["spec"].tobytes())
        if value is not None:
            genome[3] = value
        text = np.frombuffer(json.dumps(found | spec).encode(), np.uint8)
        np.savez(path / BEST, genome=genome, spec=text)

    return change


@pytest.mark.parametrize(
    ("damage", "hint"),
    [
        (forget("manifest.json"), "manifest.json"),
        (rewrite("manifest.json", starts=[]), "lists no starts"),
        (forget("config.json"), "config.json"),
        (rewrite("config.json", agent="ppo"), "none of `tropism evo train`"),
        (rewrite("config.json", population=-3), "none of `tropism evo train`"),
        (forget(BEST), "did not finish"),
        (spoil(np.nan), "gene 3 is nan"),
        (spoil(version=99), "version of the genome is 99"),
        (spoil(num_params=7), r"float32\[7\]"),
        (rewrite("config.json", controller_kwargs={}), "another network"),
    ],
)
def test_damaged_runs_are_refused_in_one_line(copy, damage, hint):
    damage(copy)
    with pytest.raises(ArtifactError, match=hint) as error:
        call("evaluate", copy)
    assert "\n" not in str(error.value)


def test_held_out_episodes_are_none_of_the_training(run):
    last = read_run(run[0]).train_seeds[1] - 1
    with pytest.raises(OptionError, match=r"outside the training seeds \[0, "):
        call("evaluate", run[0], "--first-seed", last)


def test_every_command_is_listed():
    printed = call("--help")
    assert all(f"\n  {name} " in printed for name in NAMES)
    assert "..." not in printed.split("Commands:")[1]
