from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from tropism.errors import ArtifactError, OptionError, UnknownNameError
from tropism_moe import bench
from tropism_moe.bench import Trial, TrialError, compare, default_budget, measure, same_bits
from tropism_moe.budget import memory_budget
from tropism_moe.commands import moe
from tropism_moe.config import PRESETS, ModelConfig
from tropism_moe.expert_store import ExpertStore
from tropism_moe.pack import STORE, pack_random
from tropism_moe.packed import RECODE

MODEL = ModelConfig(width=128, layers=4, rank=4, head_width=16, hidden=512, inputs=9, outputs=5)
"""19 MB of experts in memory, of which a step of one lane meets three of 384."""
BUDGET, SLACK = 4_000_000, 6_000_000
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    where = tmp_path_factory.mktemp("packed")
    pack_random(MODEL, where, 0)
    return where


@pytest.fixture(scope="module")
def found(directory):
    return compare(directory, BUDGET, lanes=2, steps=200)


def test_all_modes_answer_and_act_with_the_same_bits(found):
    assert list(found) == ["mmap", "resident", "ring"]
    assert same_bits(found)
    assert not same_bits({**found, "ring": found["ring"]._replace(sha256="0")})


def test_other_inputs_are_answered_otherwise_and_the_same_ones_again(directory, found):
    trial = Trial(str(directory), "ring", BUDGET, 2, 200, seed=1)
    assert measure(trial).sha256 != found["ring"].sha256


def test_speeds_and_shares_are_what_their_names_say(found):
    slabs = MODEL.experts * len(MODEL.expert_layers)
    for mode, one in found.items():
        assert one.steps_per_s > 0 < one.steps_per_core_s
        assert 0 < one.p50_ms <= one.p99_ms
        assert 0 <= one.stall_share < 1
        assert slabs / 2 < one.visited <= slabs  # such inputs visit many experts
        assert one.hit_share == 1 if mode == "resident" else 0 < one.hit_share < 1
    store = found["resident"].read_bytes
    assert found["ring"].read_bytes > store == slabs * memory_budget(MODEL).slab


@LINUX
def test_a_model_grows_by_its_budget_and_no_more(found):
    whole = memory_budget(MODEL).experts_in_memory
    assert found["resident"].grown["VmRSS"] > 0.9 * whole  # what is not bounded is seen
    assert found["ring"].grown["VmRSS"] <= BUDGET + SLACK < whole
    assert found["mmap"].grown["RssAnon"] <= BUDGET + SLACK


def test_what_cannot_be_measured_is_refused_by_name(directory):
    for options, message in (
        ({"lanes": 0}, "lanes must be .*>= 1, got 0"),
        ({"steps": 9}, "steps must be .*>= 10, got 9"),
        ({"seed": -1}, "seed must be .*>= 0, got -1"),
        ({"mode": "disk"}, "mode='disk' must be one of mmap, resident, ring"),
    ):
        with pytest.raises(OptionError, match=message):
            Trial(
                **{"directory": str(directory), "mode": "ring", "budget_bytes": BUDGET, **options}
            )
    with pytest.raises(TrialError, match=r"mode 'ring': .*budget_bytes=9 is too small"):
        measure(Trial(str(directory), "ring", 9))


def test_a_process_that_dies_is_an_error_that_shows_what_it_said(directory, monkeypatch):
    monkeypatch.setattr(bench, "CHILD", "tropism_moe.nothing")
    with pytest.raises(TrialError, match=r"status 1: .*tropism_moe\.nothing"):
        measure(Trial(str(directory), "mmap", BUDGET))


@pytest.mark.parametrize("name", PRESETS)
def test_the_default_budget_is_a_quarter_at_most_128_mb_and_enough(name):
    config = PRESETS[name]
    sizes = memory_budget(config)
    needed = 2 * (sizes.slab + sizes.slab_in_memory)
    assert needed <= default_budget(config) <= max(128e6, 2 * needed, sizes.experts_in_memory / 4)


def test_the_least_default_budget_opens_a_ring(tmp_path):
    config = ModelConfig(width=32, layers=4, lattice=(2, 1, 1), inputs=4)
    pack_random(config, tmp_path, 0)
    ExpertStore.open(tmp_path / STORE, "ring", default_budget(config), RECODE).close()


# --- the command ------------------------------------------------------------------------------------------------------


def call(*arguments):
    return CliRunner().invoke(moe, ["bench", *map(str, arguments)], catch_exceptions=False)


def test_a_table_is_printed_and_the_bits_compared(directory, found, monkeypatch):
    asked = []
    monkeypatch.setattr(bench, "compare", lambda *options: asked.append(options) or found)
    told = call(directory, "--budget-mb", 4, "--steps", 20)
    assert asked[0][:-1] == (directory, 4_000_000, 1, 20, 0)
    assert told.exit_code == 0
    assert "budget of mmap and ring 4.0 MB" in told.output
    rows = {line.split()[0]: line.split() for line in told.output.splitlines()[1:]}
    assert {"mode", "mmap", "resident", "ring"} <= rows.keys()
    assert {len(rows[mode]) for mode in ("mmap", "resident", "ring")} == {11}
    assert "All modes gave the same bits." in told.output


def test_without_a_directory_a_random_model_is_measured_and_removed(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    told = call("--preset", "cartpole", "--steps", 10, "--lanes", 2, "--json")
    monkeypatch.setattr("tempfile.tempdir", None)
    table = json.loads(told.output)
    assert table["same_bits"]
    assert table["modes"]["ring"]["steps_per_s"] > 0
    assert table["budget_bytes"] == default_budget(PRESETS["cartpole"])
    assert not os.listdir(tmp_path)


def test_different_bits_are_told_and_end_with_status_1(directory, found, monkeypatch):
    other = {**found, "ring": found["ring"]._replace(sha256="0")}
    monkeypatch.setattr(bench, "compare", lambda *_: other)
    told = call(directory)
    assert "The modes gave DIFFERENT bits." in told.output
    assert told.exit_code == 1


def test_wrong_arguments_are_typed_errors(tmp_path, directory):
    with pytest.raises(UnknownNameError, match=r"Did you mean 'demo-0\.8b'"):
        call("--preset", "demo-0.8")
    with pytest.raises(ArtifactError, match="nothing"):
        call(tmp_path / "nothing")
    with pytest.raises(OptionError, match=r"--budget-mb must be .* got -1"):
        call(directory, "--budget-mb", -1)
    with pytest.raises(OptionError, match=r"lanes must be .*>= 1, got 0"):
        call(directory, "--lanes", 0)
    assert "--steps" in call("--help").output
    assert call("--steps", "many").exit_code == 2


def test_a_damaged_slab_is_told_with_layer_and_expert(tmp_path):
    pack_random(MODEL, tmp_path, 0)
    with ExpertStore.open(tmp_path / STORE) as store:
        places = [slab.offset for slab in store.slabs.values() if slab.layer == 1]
    data = bytearray((tmp_path / STORE).read_bytes())
    for place in places:
        data[place + 5] ^= 16
    (tmp_path / STORE).write_bytes(data)
    with pytest.raises(TrialError, match=r"mode 'ring': .*slab \(layer 1, expert \d+\)"):
        measure(Trial(str(tmp_path), "ring", BUDGET, steps=10))


def test_asking_for_help_loads_nothing_heavy():
    program = (
        "import sys, tropism_moe.commands as c; from click.testing import CliRunner; "
        "out = CliRunner().invoke(c.moe, ['bench', '--help']).output; assert '--lanes' in out; "
        "print([m for m in ('torch', 'numba', 'numpy') if m in sys.modules])"
    )
    output = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert output.stdout.strip() == "[]"
