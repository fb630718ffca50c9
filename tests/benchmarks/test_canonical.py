from __future__ import annotations

import json
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tropism.benchmarks.canonical import decode, encode
from tropism.errors import OptionError

TEXT = st.text(st.characters(codec="utf-8")).map(lambda text: unicodedata.normalize("NFC", text))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_encoding_is_json_and_comes_back_as_it_was(value):
    data = encode(value)
    assert decode(data) == json.loads(data) == value
    assert encode(decode(data)) == data
    assert b"\n" not in data


def test_key_order_of_the_caller_does_not_matter():
    assert encode({"b": 1, "a": [True, None]}) == encode({"a": [True, None], "b": 1})
    assert encode({"b": 1, "a": "é"}) == '{"a":"é","b":1}'.encode()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (0.5, "float 0.5"),
        ({"scores": [1, float("nan")]}, r"value\['scores'\]\[1\] is the float nan"),
        (float("inf"), "float inf"),
        ({1: "a"}, "key 1 of type int"),
        ({"a": (1, 2)}, "type tuple"),
        ({"a": np.int64(3)}, "type int64"),
        (np.float64(0.5), "type float64"),
        (b"a", "type bytes"),
        ({1, 2}, "type set"),
        ("e\u0301", "NFC"),
        ({"e\u0301": 1}, "the key .* NFC"),
        ({"a": [{"b": 0.5}]}, r"value\['a'\]\[0\]\['b'\] is the float"),
        ("\ud800", "surrogate"),
    ],
)
def test_what_is_outside_the_subset_cannot_be_written(value, message):
    with pytest.raises(OptionError, match=message):
        encode(value)


def test_a_value_that_contains_itself_cannot_be_written():
    value = {}
    value["self"] = value
    with pytest.raises(OptionError, match="nested"):
        encode(value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"a":0.5}', "0.5 is no integer"),
        (b'{"a":1e3}', "1e3 is no integer"),
        (b'{"a":NaN}', "NaN is no integer"),
        (b"[-Infinity]", "-Infinity is no integer"),
        (b'{"a":1,"a":1}', "'a' occurs twice"),
        (b'{"b":1,"a":2}', "keys out of order"),
        (b'{"a": 1}', "white space"),
        (b' {"a":1}', "white space"),
        (b'"\\u00e9"', "needless escape"),
        (b"-0", "-0"),
        ('"e\u0301"'.encode(), "NFC"),
        (b'"\\ud800"', "surrogates"),
        (b"\xff", "codec"),
        (b'{"a":1', "delimiter"),
        (b"", "Expecting value"),
        (b"[" * 100_000, "recursion"),
        (b"1" * 5_000, "digits"),
    ],
)
def test_no_other_spelling_can_be_read(data, message):
    with pytest.raises(OptionError, match=message):
        decode(data)
