"""Infos and results of calls survive JSON bit by bit, or are left out by name."""

import json
import math

import numpy as np
import pytest

from tropism.bridges.errors import ProtocolError
from tropism.bridges.jsonable import from_json, to_json


def over_the_wire(value):
    return from_json(json.loads(json.dumps(to_json(value), allow_nan=False)))


@pytest.mark.parametrize("kind", ["?", "i1", "<i8", ">i4", "u2", "f2", ">f8"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (2, 3)])
def test_arrays_keep_type_shape_and_values(kind, shape):
    array = np.arange(math.prod(shape)).reshape(shape).astype(kind)
    back = over_the_wire({"a": array})["a"]
    assert back.dtype == array.dtype.newbyteorder("=")
    np.testing.assert_array_equal(back, array)


def test_fortran_order_is_sent_in_c_order():
    array = np.asfortranarray(np.arange(6).reshape(2, 3))
    np.testing.assert_array_equal(over_the_wire(array), array)


def test_plain_values_come_back_as_they_are():
    value = {"n": None, "t": True, "i": 2**70, "f": 0.1, "s": "é", "l": [1, [2]], "d": {"": {}}}
    assert over_the_wire(value) == value


def test_numpy_scalars_become_numbers():
    value = over_the_wire({"f": np.float32(0.1), "i": np.uint8(3), "b": np.bool_(True)})
    assert value == {"f": float(np.float32(0.1)), "i": 3, "b": True}


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan, np.float32("nan")])
def test_numbers_that_are_not_finite_survive(number):
    np.testing.assert_equal(float(over_the_wire([number])[0]), float(number))


def test_what_json_cannot_hold_is_left_out_and_named():
    dropped: list[str] = []
    value = {
        "good": 1, "set": {1}, "deep": {"f": print, "x": 2}, "list": [object()], 3: 1, "c": 1j,
        "objects": np.array([{}]),
    }  # fmt: skip
    assert to_json(value, dropped) == {"good": 1, "deep": {"x": 2}}
    assert dropped == ["set", "deep.f", "list", "3", "c", "objects"]


def test_what_json_cannot_hold_is_an_error_without_a_list_for_it():
    with pytest.raises(TypeError, match=r"a\.b\[1\]: JSON cannot hold a set"):
        to_json({"a": {"b": [0, set()]}})


def test_a_cycle_is_left_out():
    loop: dict = {"x": 1}
    loop["loop"] = loop
    dropped: list[str] = []
    assert to_json(loop, dropped)["x"] == 1
    assert dropped


def test_an_array_with_too_few_bytes_is_refused():
    with pytest.raises(ProtocolError):
        from_json({"d": "f4", "s": [2], "b64": "AAAA"})
