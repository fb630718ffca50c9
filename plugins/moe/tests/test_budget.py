from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tropism.errors import OptionError, UnknownNameError
from tropism_moe.budget import disk_bytes, memory_budget, memory_bytes, memory_row, parameter_budget
from tropism_moe.config import PRESETS, ModelConfig, matrices, preset

FEW = settings(deadline=None, max_examples=50, derandomize=True)


def test_the_model_of_the_paper_has_exactly_the_parameters_it_should():
    found = parameter_budget(preset("paper-1t"))
    assert found.shared == 6_824_132_608
    assert found.expert == 8_115_978_240
    assert found.total == 1_045_669_347_328
    assert found.active == 14_940_110_848
    norms, biases, routers = 161 * 4096, 245_760, 737_460
    assert found.small == norms + biases + routers


def test_bytes_of_the_paper_model_are_those_of_its_specification():
    found = memory_budget(preset("paper-1t"))
    per_expert = 3 * -(-11008 * 4096 // 5)  # five weights a byte
    assert found.slab == -(-per_expert // 4096) * 4096
    assert found.store == 7680 * found.slab
    assert found.slab_in_memory == 3 * 11008 * 4096 // 4
    assert found.step == 60 * found.slab_in_memory
    keys = 2 * 20 * 512 * 8 * 128
    assert found.state == 4 * (60 * 4096 * 256 + keys)


def test_demos_are_as_large_as_their_names():
    small, large = (parameter_budget(preset(f"demo-{size}b")).total for size in ("0.8", "2.4"))
    assert 0.75e9 < small < 0.85e9
    assert large >= 2.4e9
    assert 500e6 < memory_budget(preset("demo-2.4b")).store < 700e6


@FEW
@given(st.integers(1, 50), st.integers(1, 5000))
def test_matrices_hold_all_their_weights_and_little_more(rows, columns):
    assert 5 * (disk_bytes(rows, columns) - 2) < rows * columns <= 5 * disk_bytes(rows, columns)
    assert memory_bytes(rows, columns) == rows * memory_row(columns)
    assert 4 * (memory_row(columns) - 64) < columns <= 4 * memory_row(columns)
    assert memory_row(columns) % 64 == 0


@FEW
@given(
    width=st.integers(1, 64),
    blocks=st.integers(1, 4),
    rank=st.integers(1, 16),
    heads=st.integers(1, 3),
    hidden=st.integers(1, 64),
    lattice=st.tuples(*[st.integers(1, 4)] * 3),
    outputs=st.integers(0, 9),
)
def test_totals_are_sums_over_the_matrices(width, blocks, rank, heads, hidden, lattice, outputs):
    one = ModelConfig(
        width,
        4 * blocks,
        rank,
        2 * heads,
        heads,
        8,
        16,
        hidden,
        lattice,
        inputs=11,
        outputs=outputs,
    )
    found = parameter_budget(one)
    recurring, attending = 3 * blocks, blocks
    shared = recurring * (3 * width**2 + 2 * rank * width)
    shared += attending * (width * 8 * (2 * 2 * heads + 2 * heads) + 3 * width * hidden)
    assert found.shared == shared + (11 + outputs) * width
    assert found.expert == recurring * 3 * width * hidden
    assert found.total == found.shared + one.experts * found.expert
    assert found.active == found.shared + found.expert
    assert sum(m.weights for m in matrices(one) if m.owner == "expert") == found.expert


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_json(name):
    told = json.loads(json.dumps(PRESETS[name].to_json()))
    assert ModelConfig(**told) == PRESETS[name]


@pytest.mark.parametrize(
    ("changes", "hint"),
    [
        ({"layers": 6}, "layers must be a multiple of 4, got 6"),
        ({"width": 0}, "width must be an integer >= 1, got 0"),
        ({"outputs": -1}, "outputs must be an integer >= 1, got -1"),
        ({"lattice": (8, 4)}, r"lattice must have three axes, got \(8, 4\)"),
        ({"lattice": (8, 0, 4)}, "lattice y must be an integer >= 1, got 0"),
        ({"query_heads": 3}, "query_heads must be a multiple of kv_heads = 2, got 3"),
        ({"head_width": 5}, "head_width must be even"),
    ],
)
def test_shapes_that_do_not_fit_are_refused_by_name(changes, hint):
    with pytest.raises(OptionError, match=hint):
        ModelConfig(**changes)


def test_an_unknown_preset_is_told_with_the_nearest():
    with pytest.raises(UnknownNameError, match=r"Did you mean 'demo-0\.8b'"):
        preset("demo-0.8")
