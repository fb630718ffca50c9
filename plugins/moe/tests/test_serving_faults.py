"""What whole models promise when something goes wrong: damage is named while they act, and killing harms no store."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys

import numpy as np
import pytest

from tropism.errors import ArtifactError
from tropism_moe import pack
from tropism_moe.config import ModelConfig
from tropism_moe.expert_store import ExpertStore, verify
from tropism_moe.pack import STORE, pack_random
from tropism_moe.serving import Served
from tropism_moe.store_errors import ChecksumError

MODEL = ModelConfig(
    width=64, layers=4, rank=4, head_width=8, window=6, hidden=96, lattice=(4, 2, 2), inputs=7,
    outputs=5,
)  # fmt: skip
MODES = [("mmap", None), ("ring", 100_000), ("resident", None)]
STEPS = 12


@pytest.fixture
def directory(tmp_path):
    pack_random(MODEL, tmp_path / "packed", 0)
    return tmp_path / "packed"


def observations():
    return np.random.default_rng(1).normal(size=(STEPS, 3, 7)).astype(np.float32)


def flip(directory, key):
    """Change a bit of a slab where it lies; done twice, it is as it was."""
    with ExpertStore.open(directory / STORE) as store:
        place = store.slabs[key].offset + 11
    with (directory / STORE).open("r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 8]))


def play(model, state=None, first=0):
    """Outputs, actions and experts of every step."""
    state = model.begin(3) if state is None else state
    for x in observations()[first:]:
        outputs, state = model.step(x, state)
        yield outputs, outputs.argmax(-1), model.chosen, state


def test_outputs_and_actions_are_the_same_bits_in_all_modes(directory):
    every = []
    for mode, budget in MODES:
        with Served.open(directory, mode, budget) as model:
            every.append(list(play(model)))
            if mode == "ring":
                assert model.store.stats.evictions > 0
    for run in every[1:]:
        for step, first in zip(run, every[0], strict=True):
            for one, other in zip(step[:3], first[:3], strict=True):
                np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("mode", "budget"), MODES)
def test_damage_is_named_while_a_model_acts_and_no_step_is_half_done(directory, mode, budget):
    with Served.open(directory) as model:
        sound = list(play(model))
    late = STEPS // 2
    seen = {(layer, e) for step in sound[:late] for layer in range(3) for e in step[2][layer]}
    key = next((n, int(e)) for n in range(3) for e in sound[late][2][n] if (n, e) not in seen)
    flip(directory, key)
    named = rf"slab \(layer {key[0]}, expert {key[1]}\)"
    if mode == "resident":
        with pytest.raises(ChecksumError, match=named):
            Served.open(directory, mode, budget)
        return
    with Served.open(directory, mode, budget) as model:
        steps = play(model)
        before = [next(steps) for _ in range(late)]
        with pytest.raises(ChecksumError, match=named):
            next(steps)
        flip(directory, key)
        after = list(
            play(model, before[-1][-1], late)
        )  # the step is done again from the same state
    for one, other in zip(before + after, sound, strict=True):
        np.testing.assert_array_equal(one[0], other[0])


PACK = """
import sys
from pathlib import Path
from tropism_moe.config import ModelConfig
from tropism_moe.pack import pack_random
config = ModelConfig(**eval(sys.argv[2]))
print("go", flush=True)
while True:
    pack_random(config, Path(sys.argv[1]), 0)
"""

ACT = """
import sys
from pathlib import Path
import numpy as np
from tropism_moe.serving import Served
with Served.open(Path(sys.argv[1]), sys.argv[2], 100_000) as model:
    state, rng = model.begin(3), np.random.default_rng(0)
    while True:
        _, state = model.step(rng.normal(size=(3, 7)).astype(np.float32), state)
        print("go", flush=True)
"""


def killed(code, after, *arguments):
    """Kill a program some time after it says that it has begun."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "go\n"
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        process.kill()
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("after", [0.0, 0.03, 0.11, 0.31])
def test_a_packing_that_is_killed_leaves_a_model_that_acts(directory, after):
    killed(PACK, after, directory, MODEL.to_json())
    assert verify(directory / STORE).sound
    with Served.open(directory, "ring", 100_000) as model:
        assert np.isfinite(list(play(model))[-1][0]).all()
    known = {STORE, "model.json", "model.safetensors"}
    assert all(f.name in known or f.name.startswith(".tmp-") for f in directory.iterdir())


def test_a_packing_over_another_model_that_is_killed_between_its_parts_is_refused(
    directory, monkeypatch
):
    def dies(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(type(pack.PARTS), "write", dies)
    with pytest.raises(KeyboardInterrupt):
        pack_random(MODEL, directory, 1)
    with pytest.raises(ArtifactError, match=r"of different models.*pack the model again"):
        Served.open(directory)
    monkeypatch.undo()
    pack_random(MODEL, directory, 1)
    Served.open(directory).close()


@pytest.mark.parametrize("mode", ["mmap", "ring"])
def test_a_model_that_is_killed_while_it_acts_leaves_its_files_as_they_were(directory, mode):
    def contents():
        return {f.name: hashlib.sha256(f.read_bytes()).digest() for f in directory.iterdir()}

    before = contents()
    killed(ACT, 0.2, directory, mode)
    assert contents() == before
    assert verify(directory / STORE).sound
