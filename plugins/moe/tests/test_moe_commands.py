from __future__ import annotations

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from tropism.errors import ArtifactError, UnknownNameError
from tropism_moe.commands import moe
from tropism_moe.expert_store import ExpertStore
from tropism_moe.pack import STORE

HEAVY = ("torch", "numba", "gymnasium", "numpy")


def call(*arguments):
    return CliRunner().invoke(moe, [str(a) for a in arguments], catch_exceptions=False)


def test_budgets_are_told_for_people_and_for_programs():
    found = call("budget", "paper-1t")
    assert found.exit_code == 0
    for figure in ("6,824,132,608", "8,115,978,240", "1,045,669,347,328", "14,940,110,848"):
        assert figure in found.output
    every = json.loads(call("budget", "--json").output)
    assert set(every) == {"cartpole", "demo-0.8b", "demo-2.4b", "paper-1t"}
    assert every["paper-1t"]["total"] == 1_045_669_347_328


def test_a_model_is_packed_inspected_and_verified_and_damage_is_told(tmp_path):
    where = tmp_path / "model"
    assert "48 slabs written" in call("pack", "cartpole", where).output
    told = call("inspect", where).output
    assert "lattice      [4, 2, 2]" in told
    assert "48 of" in told
    assert "48 slabs" in (sound := call("verify", where)).output
    assert sound.exit_code == 0
    with ExpertStore.open(where / STORE) as store:
        slab = store.slabs[2, 7]
    data = bytearray((where / STORE).read_bytes())
    data[slab.offset] ^= 4
    (where / STORE).write_bytes(data)
    damaged = call("verify", where)
    assert damaged.exit_code == 1
    assert "layer 2, expert 7" in damaged.output
    assert "1 damaged" in damaged.output


def test_names_that_do_not_exist_are_answered_with_the_nearest(tmp_path):
    with pytest.raises(UnknownNameError, match=r"Did you mean 'demo-2\.4b'"):
        call("budget", "demo-2.4")
    with pytest.raises(UnknownNameError, match="Did you mean 'verify'"):
        call("verifx", tmp_path)
    with pytest.raises(ArtifactError, match="nothing"):
        call("inspect", tmp_path / "nothing")


def test_hooks_and_help_load_nothing_heavy():
    program = (
        "import sys, tropism_moe.plugin, tropism_moe.commands as c; from click.testing import CliRunner; "
        "out = CliRunner().invoke(c.moe, ['--help']).output; assert 'budget' in out; "
        f"print([m for m in {HEAVY} if m in sys.modules])"
    )
    output = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert output.stdout.strip() == "[]"


def test_the_host_lists_agent_and_command(host):
    import click

    group = click.Group()
    host.add_commands(group)
    assert "moe" in group.commands
    assert host.make_agent("moe", {"width": 32}, seed=3).config.width == 32
