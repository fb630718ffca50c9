"""Shared by several files of tests."""

import numpy as np


def assert_same(one, other):
    assert type(one) is type(other) or {type(one), type(other)} <= {
        int,
        float,
        np.int64,
        np.float64,
    }
    if isinstance(one, dict):
        assert one.keys() == other.keys()  # Gymnasium sorts those of a space
        one, other = list(one.values()), [other[key] for key in one]
    if isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_same(a, b)
    else:
        np.testing.assert_array_equal(one, other)
        assert np.asarray(one).dtype == np.asarray(other).dtype
