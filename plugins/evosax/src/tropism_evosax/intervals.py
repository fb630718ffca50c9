"""Means with 95 % intervals."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

CONFIDENCE = 0.95


class Interval(NamedTuple):
    """A mean and where it may as well be.

    Attributes:
        mean: of the sample.
        low: lower end of the 95 % interval.
        high: upper end.
    """

    mean: float
    low: float
    high: float


def mean_interval(values: npt.ArrayLike) -> Interval:
    """The mean of independent ``values``: Student's t, or Wilson's interval of a proportion where they are bools.

    Sources: "Student", Biometrika 6, 1908; E. Wilson, Journal of the American Statistical Association 22, 1927.
    One value alone has no interval: its ends are infinite.
    """
    sample = np.asarray(values)
    if sample.dtype == np.bool_:
        return _proportion(float(sample.mean()), sample.size)
    mean = float(sample.mean(dtype=np.float64))
    if sample.size < 2:
        return Interval(mean, -math.inf, math.inf)
    error = float(sample.std(dtype=np.float64, ddof=1)) / math.sqrt(sample.size)
    width = error * float(stats.t.ppf((1 + CONFIDENCE) / 2, sample.size - 1))
    return Interval(mean, mean - width, mean + width)


def _proportion(share: float, count: int) -> Interval:
    z2 = float(stats.norm.ppf((1 + CONFIDENCE) / 2)) ** 2
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    spread = math.sqrt(z2 * (share * (1 - share) / count + z2 / (4 * count**2))) / (1 + z2 / count)
    return Interval(share, max(0.0, middle - spread), min(1.0, middle + spread))


def shown(interval: Any, digits: int) -> str:
    """An interval for a table: ``164.3 [162.1, 166.5]``."""
    mean, low, high = (f"{number:.{digits}f}" for number in interval)
    return f"{mean} [{low}, {high}]" if math.isfinite(interval[1]) else mean
