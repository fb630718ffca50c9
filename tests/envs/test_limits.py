from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest

from tropism.errors import OptionError
from tropism.limits import check_fields, check_flag, check_number, within


@dataclass(frozen=True)
class Config:
    count: int = 3
    rate: float = 0.5
    size: int | None = None
    name: str = "x"


LIMITS = {"count": (1, 9), "rate": (0.0, math.inf), "size": (2, 4)}


@pytest.mark.parametrize(
    "config", [Config(), Config(1, 0, 2), Config(9, 1e300, 4), Config(rate=7, name="")]
)
def test_what_lies_within_its_limits_is_taken(config):
    check_fields(config, LIMITS)
    check_fields(config, {**LIMITS, "what others have": (0, 0)})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"count": 0}, "count must be an integer in [1, 9], got 0"),
        ({"count": 10}, "count must be an integer in [1, 9], got 10"),
        ({"count": 3.0}, "count must be an integer in [1, 9], got 3.0"),
        ({"count": True}, "count must be an integer in [1, 9], got True"),
        ({"count": None}, "count must be an integer in [1, 9], got None"),
        ({"count": "3"}, "count must be an integer in [1, 9], got '3'"),
        ({"count": np.int64(3)}, "count must be an integer in [1, 9], got np.int64(3)"),
        ({"rate": -0.1}, "rate must be a number >= 0.0, got -0.1"),
        ({"rate": math.nan}, "rate must be a number >= 0.0, got nan"),
        ({"rate": math.inf}, "rate must be a number >= 0.0, got inf"),
        ({"rate": np.float32(1)}, "rate must be a number >= 0.0, got np.float32(1.0)"),
        ({"size": 5}, "size must be an integer in [2, 4], got 5"),
    ],
)
def test_fields_out_of_range_are_named_with_value_and_range(fields, message):
    with pytest.raises(OptionError) as error:
        check_fields(Config(**fields), LIMITS)
    assert str(error.value) == message
    with pytest.raises(OptionError) as error:
        check_fields(Config(**fields), LIMITS, "part.")
    assert str(error.value) == f"part.{message}"


def test_numbers_of_numpy_are_taken_where_they_are_asked_for():
    within("delay", np.int32(3), 0, 3, integer=True)
    within("noise", np.float32(0.5), 0, 1)
    within("noise", np.uint8(1), 0, 1)
    check_number("noise", 1, 0, 1)
    for value in (np.bool_(True), True, np.float32(3), np.array([3]), None, "3"):
        with pytest.raises(OptionError, match=r"delay must be an integer in \[0, 3\], got"):
            within("delay", value, 0, 3, integer=True)
    for value in (np.float64(1.1), np.float32("nan"), np.bool_(True), 1j):
        with pytest.raises(OptionError, match=r"noise must be a number in \[0, 1\], got"):
            within("noise", value, 0, 1)


def test_flags_are_true_or_false():
    check_flag("online", True)
    check_flag("online", False)
    for value in (1, 0, None, "yes", np.bool_(True)):
        with pytest.raises(OptionError, match="online must be true or false, got"):
            check_flag("online", value)
