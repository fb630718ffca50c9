"""Whether two things that environments have said are the same to the type."""

import numpy as np

NUMBERS = {int, float, np.int64, np.float64}


def assert_same(one, other, numbers=False):
    """Fail unless they are; with ``numbers`` those of Python and of NumPy are alike."""
    alike = numbers and {type(one), type(other)} <= NUMBERS
    assert type(one) is type(other) or alike, (one, other)
    if isinstance(one, dict):
        assert one.keys() == other.keys()  # Gymnasium sorts those of a space
        one, other = list(one.values()), [other[key] for key in one]
    if isinstance(one, (list, tuple)) or (isinstance(one, np.ndarray) and one.dtype == object):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_same(a, b, numbers)
    else:
        np.testing.assert_array_equal(one, other)
        assert np.asarray(one).dtype == np.asarray(other).dtype
