"""Spaces as JSON, and values of them in memory: every Gymnasium space, and bad ones of a peer."""

import json

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.bridges.random_spaces import any_space
from tests.bridges.vectors.cases import plain

from tropism.bridges.errors import BridgeError, InvalidValue, SpecMismatch
from tropism.bridges.protocol.jsons import read_json, write_json
from tropism.bridges.protocol.layout import Layout
from tropism.bridges.protocol.spaces import space_to_json
from tropism.bridges.protocol.spaces_read import space_from_json


@pytest.mark.filterwarnings("ignore:.*Casting input x")  # Gymnasium's, for stacks of scalars
@settings(max_examples=1000, deadline=None)
@given(any_space, st.integers(0, 2**31 - 1))
def test_any_space_and_its_values_come_back(space, seed):
    wire = write_json(space_to_json(space))
    layout = Layout(read_json(wire, 5))
    assert layout.space == space
    assert layout.json == space_to_json(layout.space)
    assert layout.size % 8 == 0
    space.seed(seed)
    for _ in range(2):
        check_value(layout, space.sample())


def check_value(layout, value):
    buffer = bytearray(b"\xaa" * 8 + bytes(layout.size) + b"\xaa" * 8)
    layout.encode_into(buffer, 8, value)
    assert buffer[:8] == buffer[-8:] == b"\xaa" * 8
    for copy in (True, False):
        back = layout.decode(buffer, 8, copy)
        assert plain(back) == plain(value)
        assert layout.space.contains(back)
    used = bytearray(buffer)
    kept = layout.decode(used, 8, copy=True)
    used[:] = bytes(len(used))
    assert plain(kept) == plain(value)
    again = bytearray(layout.size)
    layout.encode_into(again, 0, back)
    assert again == buffer[8:-8]


@settings(max_examples=200, deadline=None)
@given(any_space, st.integers(0, 2**31 - 1))
def test_a_used_buffer_keeps_nothing_of_the_value_before(space, seed):
    layout = Layout(space)
    space.seed(seed)
    used, fresh = bytearray(layout.size), bytearray(layout.size)
    layout.encode_into(used, 0, space.sample())
    value = space.sample()
    layout.encode_into(used, 0, value)
    layout.encode_into(fresh, 0, value)
    assert used == fresh


@settings(max_examples=300, deadline=None)
@given(any_space, st.data())
def test_any_bytes_are_a_value_or_a_typed_error(space, data):
    layout = Layout(space)
    size = st.sampled_from([layout.size, max(layout.size - 1, 0)])
    raw = data.draw(st.binary(max_size=64)).ljust(data.draw(size), b"\1")[: layout.size]
    try:
        with np.errstate(invalid="ignore"):
            value = layout.decode(raw)
    except BridgeError:
        return
    layout.encode_into(bytearray(layout.size), 0, value)


@pytest.mark.parametrize(
    ("space", "described"),
    [
        (spaces.Box(-1, 1, (3,)), {"t": "box", "d": "f4", "s": [3], "lo": -1, "hi": 1}),
        (
            spaces.Box(0, np.inf, (), np.float64),
            {"t": "box", "d": "f8", "s": [], "lo": 0, "hi": "inf"},
        ),
        (
            spaces.Box(-np.inf, 9, (1,), np.int32),
            {"t": "box", "d": "i4", "s": [1], "lo": "-inf", "hi": 9},
        ),
        (
            spaces.Box(np.array([0, 7], np.uint8), np.array([9, 9], np.uint8), dtype=np.uint8),
            {"t": "box", "d": "u1", "s": [2], "lo": {"b64": "AAc="}, "hi": 9},
        ),
        (spaces.Discrete(5), {"t": "discrete", "n": 5, "start": 0}),
        (
            spaces.Discrete(5, dtype=np.int32),
            {"t": "discrete", "n": 5, "start": 0, "d": "i4"},
        ),
        (spaces.Dict(b=spaces.Discrete(1), a=spaces.Discrete(2)), None),
    ],
)
def test_descriptions_are_those_of_the_page(space, described):
    if described is None:  # names stand in the order of the space, not of the alphabet
        ordered = spaces.Dict([("b", spaces.Discrete(1)), ("a", spaces.Discrete(2))])
        assert [name for name, _ in space_to_json(ordered)["of"]] == ["b", "a"]
    else:
        assert space_to_json(space) == described


def test_an_infinite_integer_box_stays_infinite():
    space = spaces.Box(-np.inf, np.inf, (2,), np.int32)
    assert not space_from_json(space_to_json(space)).is_bounded()


BOX = {"t": "box", "d": "f4", "s": [2], "lo": 0, "hi": 1}
DISCRETE = {"t": "discrete", "n": 3, "start": 0}
EMPTY = {**BOX, "s": [0]}


def deep(levels):
    value = DISCRETE
    for _ in range(levels):
        value = {"t": "tuple", "of": [value]}
    return value


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (None, "space"),
        ([], "space"),
        ({"t": "cube"}, "space.t"),
        ({"t": ["box"]}, "space.t"),
        ({**BOX, "d": "f16"}, "space.d"),
        ({**BOX, "s": [-1]}, "space.s"),
        ({**BOX, "s": [True]}, "space.s"),
        ({**BOX, "s": "3"}, "space.s"),
        ({**BOX, "s": [1] * 33}, "space.s"),
        ({**BOX, "s": [2**31]}, "space.s"),
        ({**BOX, "s": [2**30, 2**30]}, "space"),
        ({**BOX, "s": [0, 2**30, 2**30]}, "space"),
        ({**BOX, "lo": None}, "space.lo"),
        ({**BOX, "lo": True}, "space.lo"),
        ({**BOX, "lo": 2}, "space"),
        ({**BOX, "hi": 10**400}, "space.hi"),
        ({**BOX, "hi": 1e300}, "space.hi"),
        ({**BOX, "d": "i4", "hi": 0.5}, "space.hi"),
        ({**BOX, "d": "i4", "hi": 2**31}, "space.hi"),
        ({**BOX, "d": "i4", "lo": "inf"}, "space.lo"),
        ({**BOX, "d": "b1", "hi": 2}, "space.hi"),
        ({**BOX, "hi": {"b64": "AAA="}}, "space"),
        ({**BOX, "hi": {"b64": "!"}}, "space"),
        ({**BOX, "d": "u1", "lo": "-inf"}, "space"),
        ({**DISCRETE, "n": 0}, "space"),
        ({**DISCRETE, "n": 1.5}, "space"),
        ({**DISCRETE, "n": 2**63, "start": 1}, "space"),
        ({**DISCRETE, "start": -(2**63) - 1}, "space"),
        ({**DISCRETE, "d": "f4"}, "space.d"),
        ({**DISCRETE, "d": "i1", "n": 300}, "space"),
        ({"t": "multidiscrete", "d": "i8", "s": [2], "nvec": [3], "start": [0, 0]}, "space"),
        ({"t": "multidiscrete", "d": "i8", "s": [1], "nvec": [0], "start": [0]}, "space"),
        ({"t": "multidiscrete", "d": "i8", "s": [1], "nvec": 3, "start": [0]}, "space.nvec"),
        ({"t": "multibinary", "s": [0]}, "space"),
        ({"t": "text", "min": 3, "max": 2, "chars": "a"}, "space"),
        ({"t": "text", "min": 0, "max": 2, "chars": None}, "space.chars"),
        ({"t": "text", "min": 0, "max": 2**40, "chars": "a"}, "space"),
        ({"t": "text", "min": -1, "max": 2, "chars": "a"}, "space.min"),
        ({"t": "dict", "of": {"a": DISCRETE}}, "space.of"),
        ({"t": "dict", "of": [["a", DISCRETE], ["a", DISCRETE]]}, "space"),
        ({"t": "dict", "of": [[1, DISCRETE]]}, "space"),
        ({"t": "dict", "of": [["a", {"t": "tuple", "of": [DISCRETE, 7]}]]}, "space.a[1]"),
        ({"t": "oneof", "of": []}, "space"),
        ({"t": "seq", "of": DISCRETE, "max": 2**30}, "space"),
        ({"t": "seq", "of": DISCRETE, "max": 3, "stack": 1}, "space.stack"),
        ({"t": "seq", "of": EMPTY, "max": 3}, "space[]"),
        ({"t": "seq", "of": {"t": "dict", "of": []}, "max": 2**50}, "space[]"),
        ({"t": "graph", "nodes": BOX, "edges": None, "max_nodes": 2**30, "max_edges": 0}, "space"),
        ({"t": "graph", "nodes": EMPTY, "edges": None, "max_nodes": 3, "max_edges": 0},
         "space.nodes"),
        ({"t": "graph", "nodes": deep(1), "edges": None, "max_nodes": 3, "max_edges": 0},
         "space.nodes"),
        ({"t": "graph", "nodes": BOX, "edges": BOX, "max_nodes": 3}, "space.max_edges"),
        (deep(33), "space" + "[0]" * 33),
    ],
)  # fmt: skip
def test_a_bad_description_is_refused_with_its_place(value, path):
    with pytest.raises(SpecMismatch) as caught:
        Layout(value)
    assert caught.value.path == path


def test_a_graph_without_edges_may_leave_them_out():
    graph = {"t": "graph", "nodes": DISCRETE, "max_nodes": 3, "max_edges": 5}
    assert Layout(graph).size == Layout({**graph, "edges": None}).size == 40


def test_the_deepest_allowed_description_is_taken():
    assert Layout(deep(32)).size == 8


def test_many_large_choices_are_refused_before_they_are_built():
    large = {**BOX, "s": [2**21]}
    with pytest.raises(SpecMismatch, match="fit a message"):
        space_from_json({"t": "oneof", "of": [large] * 3})


@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(-1, 1, (2,), np.longdouble),
        spaces.Dict({1: spaces.Discrete(2)}),
        spaces.Discrete(2**62, start=2**62 + 1),
        spaces.Graph(spaces.Text(3), None),
        spaces.Tuple([spaces.Dict(deep=spaces.Box(-1, 1, (2,), np.longdouble))]),
    ],
)
def test_a_space_that_cannot_be_said_is_refused(space):
    with pytest.raises(InvalidValue):
        space_to_json(space)


def test_the_place_of_such_a_space_is_named():
    inner = spaces.Dict(wide=spaces.Box(-1, 1, (2,), np.longdouble))
    with pytest.raises(InvalidValue, match=r"in 1: in 'wide': .*longdouble|float128"):
        space_to_json(spaces.Tuple([spaces.Discrete(2), inner]))


def test_descriptions_are_plain_json():
    space = spaces.Box(np.float32(0.1), np.float32(0.7), (2,))
    assert space_from_json(json.loads(json.dumps(space_to_json(space)))) == space
