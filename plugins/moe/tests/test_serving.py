from __future__ import annotations

import copy
import hashlib
import json

import numpy as np
import pytest
import torch
from plugins.moe.tests.gating import GATED

from tropism.errors import ArtifactError, OptionError, UnknownNameError
from tropism_moe.budget import memory_budget, parameter_budget
from tropism_moe.config import ModelConfig
from tropism_moe.expert_store import ExpertStore
from tropism_moe.model import Model
from tropism_moe.pack import STORE, pack, pack_random, read_shared
from tropism_moe.packed import FORMS, expert_of, slab_of, ternarise
from tropism_moe.packing import pack_2bit
from tropism_moe.serving import Served
from tropism_moe.serving_state import forget
from tropism_moe.store_errors import ChecksumError

TINY = ModelConfig(
    width=32, layers=8, rank=4, head_width=8, window=6, hidden=48, lattice=(2, 2, 2), inputs=11
)
TABLES = ("inputs", "heads.weight")
MODES = [("mmap", None), ("resident", None), ("ring", 64 << 10)]


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.fixture(scope="module", params=GATED, ids=str)
def trained(request, tmp_path_factory):
    """A model and where it is packed; its norms and routers are not as they begin, its tables are as half precision holds them."""
    torch.manual_seed(1)
    model = ternarise(
        Model(ModelConfig(**{**TINY.to_json(), "outputs": 5, **GATED[request.param]}))
    )
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name or "bias" in name:
                parameter += 0.1 * torch.randn_like(parameter)
        for table in (model.inputs, model.heads.weight):
            table.copy_(table.half())
    directory = tmp_path_factory.mktemp("packed")
    pack(model, directory)
    return model.eval(), directory


def play(served, xs):
    state, found = served.begin(xs.shape[1]), []
    for x in xs:
        outputs, state = served.step(x, state)
        found.append(outputs)
    return np.stack(found), state


def observations(steps=15, lanes=3, size=11):
    return np.random.default_rng(2).normal(size=(steps, lanes, size)).astype(np.float32)


def test_the_packed_model_says_what_the_trained_one_says(trained):
    """Int8 activations may round otherwise where a sum was rounded otherwise: rarely, and by a 127th."""
    model, directory = trained
    xs = observations()
    with Served.open(directory) as served, torch.no_grad():
        found, _ = play(served, xs)
        output, _ = model(torch.from_numpy(xs).transpose(0, 1), model.begin(3))
    wanted = output.outputs.transpose(0, 1).numpy()
    off = np.abs(found - wanted)
    assert np.median(off) < 1e-5 * np.abs(wanted).max()
    assert off.max() < 0.1 * np.abs(wanted).max()
    assert (found.argmax(-1) == wanted.argmax(-1)).mean() > 0.97


def test_what_all_inputs_meet_lies_on_disk_in_as_few_bytes_as_the_budget_says(trained, tmp_path):
    model, directory = trained
    config, arrays = read_shared(directory)
    small = sum(a.nbytes for k, a in arrays.items() if a.dtype != np.uint8 and k not in TABLES)
    assert sum(a.nbytes for a in arrays.values()) - small == memory_budget(config).shared_on_disk
    assert small < 4 * parameter_budget(config).small + 12 * len(arrays)
    for name, table in zip(TABLES, (model.inputs, model.heads.weight), strict=True):
        assert arrays[name].dtype == np.float16
        np.testing.assert_array_equal(arrays[name], table.numpy(force=True))


def test_tables_of_routers_are_shortened_only_where_that_loses_nothing(trained, tmp_path):
    model = copy.deepcopy(trained[0])
    routers = model.blocks[0].routers
    routers[0].positions += 1e-12  # as an expert that was folded
    pack(model, tmp_path)
    _, arrays = read_shared(tmp_path)
    kinds = {part: arrays[f"blocks.0.routers.{part}"].dtype for part in ("weights", "positions")}
    assert kinds == {"weights": np.float32, "positions": np.float64}
    for part, table in routers.tables()._asdict().items():
        np.testing.assert_array_equal(arrays[f"blocks.0.routers.{part}"].astype(np.float64), table)


def test_numbers_beyond_half_precision_are_the_largest_it_has(trained, tmp_path):
    model = copy.deepcopy(trained[0])
    with torch.no_grad():
        model.inputs[0, 0], model.heads.weight[1, 2] = 1e6, -1e6
    pack(model, tmp_path)
    _, arrays = read_shared(tmp_path)
    most = np.finfo(np.float16).max
    assert [arrays["inputs"][0, 0], arrays["heads.weight"][1, 2]] == [most, -most]


def test_all_residency_modes_give_the_same_bits(trained):
    _, directory = trained
    xs, found = observations(), []
    for mode, budget in MODES:
        with Served.open(directory, mode, budget) as served:
            outputs, state = play(served, xs)
            found.append((outputs, state))
    for outputs, state in found[1:]:
        np.testing.assert_array_equal(outputs, found[0][0])
        for block, first in zip(state, found[0][1], strict=True):
            for layer, one in zip(block, first, strict=True):
                parts = (layer, one) if isinstance(layer, tuple) else ((layer,), (one,))
                for a, b in zip(*parts, strict=True):
                    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("lanes", [2, 20])
def test_a_lane_has_the_bits_that_it_has_alone(trained, lanes):
    _, directory = trained
    xs = observations(8, lanes)
    with Served.open(directory) as served:
        together, _ = play(served, xs)
        for lane in (0, lanes - 1):
            alone, _ = play(served, xs[:, [lane]])
            np.testing.assert_array_equal(together[:, lane], alone[:, 0])


def test_a_state_is_not_changed_and_a_lane_can_be_forgotten(trained):
    _, directory = trained
    xs = observations()
    with Served.open(directory) as served:
        _, state = play(served, xs[:5])
        one, _ = served.step(xs[5], state)
        again, _ = served.step(xs[5], state)
        np.testing.assert_array_equal(one, again)
        mixed, _ = served.step(xs[5], forget(state, np.array([False, True, False])))
        fresh, _ = served.step(xs[5], served.begin(3))
    np.testing.assert_array_equal(mixed[[0, 2]], one[[0, 2]])
    np.testing.assert_array_equal(mixed[1], fresh[1])
    assert np.abs(mixed[1] - one[1]).max() > 1e-3


def test_tokens_and_their_logits(tmp_path):
    model = ternarise(Model(TINY))
    with torch.no_grad():
        model.inputs.copy_(model.inputs.half())
    pack(model, tmp_path)
    tokens = np.random.default_rng(3).integers(0, 11, (12, 2))
    with Served.open(tmp_path) as served, torch.no_grad():
        found, _ = play(served, tokens)
        output, _ = model(torch.from_numpy(tokens.T), model.begin(2))
        assert found.shape == (12, 2, 11)
        wanted = output.outputs.transpose(0, 1).numpy()
        assert np.median(np.abs(found - wanted)) < 1e-4 * np.abs(wanted).max()
        with pytest.raises(OptionError, match=r"tokens must lie in \[0, 11\), got 0 to 11"):
            served.step(np.array([0, 11]), served.begin(2))


def test_experts_of_a_block_are_announced_before_they_are_asked_for(trained):
    _, directory = trained
    with Served.open(directory, "ring", 64 << 10) as served:
        play(served, observations(6, 1))
        assert served.chosen.shape == (6, 1)
        assert served.store.stats.prefetch_misses == 0


def test_with_a_tolerance_experts_at_hand_are_taken(trained):
    _, directory = trained
    xs, misses, substituted = observations(60, 1), [], []
    for tolerance in (0.0, 0.3):
        with Served.open(directory, "ring", 200 << 10, tolerance) as served:
            play(served, xs)
            misses.append(served.store.stats.bytes_read)
            substituted.append(served.substituted)
    assert substituted[0] == 0 < substituted[1]
    assert misses[1] < 0.8 * misses[0]
    with pytest.raises(OptionError, match="tolerance must be >= 0, got -1"):
        Served.open(directory, tolerance=-1)


def test_a_model_that_was_never_in_memory_can_be_packed_and_acts(tmp_path):
    told = []
    pack_random(TINY, tmp_path / "one", 7, told.append)
    assert told[-1] == len(told) == 6 * 8
    pack_random(TINY, tmp_path / "two", 7)
    for part in ("model.safetensors", STORE):
        assert (tmp_path / "one" / part).read_bytes() == (tmp_path / "two" / part).read_bytes()
    with Served.open(tmp_path / "one") as served:
        outputs, _ = play(served, np.random.default_rng(0).integers(0, 11, (20, 2)))
    assert np.isfinite(outputs).all()
    assert 0.1 < outputs.std() < 100


@pytest.mark.parametrize(("form", "digest"), [("base3", "c4cecd04e069602f"), ("2bit", "cd3c0be33ef690e7")])  # fmt: skip
def test_what_is_packed_changes_only_with_the_number_of_the_format(form, digest, tmp_path):
    """Whoever changes how weights lie in bytes raises the number, so that older models are refused, and then the digests."""
    pack_random(TINY, tmp_path, 0, form=form)
    assert json.loads((tmp_path / "model.json").read_text())["format"] == 4
    assert hashlib.sha256((tmp_path / STORE).read_bytes()).hexdigest()[:16] == digest
    facts = (tmp_path / "model.json").read_text()
    (tmp_path / "model.json").write_text(facts.replace('"format": 4', '"format": 3'))
    with pytest.raises(ArtifactError, match="format 3"):
        Served.open(tmp_path)


def test_a_damaged_slab_is_named_and_damaged_weights_are_refused(trained, tmp_path):
    model, _ = trained
    pack(model, tmp_path)
    with ExpertStore.open(tmp_path / STORE) as store:
        slab = store.slabs[4, 5]
    data = bytearray((tmp_path / STORE).read_bytes())
    data[slab.offset + 3] ^= 1
    (tmp_path / STORE).write_bytes(data)
    with Served.open(tmp_path) as served, pytest.raises(ChecksumError, match=r"layer 4, expert 5"):
        served.store.get(4, 5)
    part = tmp_path / "model.safetensors"
    part.write_bytes(part.read_bytes()[:-1] + b"!")
    with pytest.raises(ArtifactError):
        read_shared(tmp_path)


# --- experts on disk as they are in memory ----------------------------------------------------------------------------


def test_both_forms_on_disk_give_the_same_bits_in_all_modes(trained, tmp_path):
    model, directory = trained
    pack(model, tmp_path, form="2bit")
    xs = observations()
    with Served.open(directory) as served:
        wanted, _ = play(served, xs)
    for mode, budget in MODES:
        with Served.open(tmp_path, mode, budget) as served:
            np.testing.assert_array_equal(play(served, xs)[0], wanted)
            if mode == "ring":
                assert served.store.stats.evictions > 0
            if mode == "mmap":
                found = expert_of(served.store.get(0, 0), served.store.slabs[0, 0].meta)
                assert not found.slab.flags.owndata  # it lies in the mapped file


def test_a_form_that_is_not_there_and_a_slab_that_is_too_short_are_refused(tmp_path):
    with pytest.raises(UnknownNameError, match=r"form of experts on disk '2bits'.*'2bit'"):
        pack_random(TINY, tmp_path, 0, form="2bits")
    for form in FORMS:
        codes = [np.zeros(shape, np.int8) for shape in ((6, 4), (6, 4), (4, 6))]
        data, facts = slab_of(codes, [1, 2, 3], form)
        found = expert_of(np.frombuffer(data, np.uint8), facts)
        np.testing.assert_array_equal(found.matrices[2], pack_2bit(codes[2]))
        with pytest.raises(ArtifactError, match=r"has .* bytes, found|slab must be contiguous"):
            expert_of(np.frombuffer(data[1:], np.uint8), facts)
