"""Confidence that can be taken at its word: a monotone map from what a policy claims to how often it was right.

The map is isotonic regression (Zadrozny & Elkan 2002), fitted on rollouts that were held out of training.  Measure it on others
yet: on its own pairs it is perfect by construction.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import isotonic_regression

from tropism.errors import ArtifactError, OptionError
from tropism_moe.lattice import Floats

LEAST = 100
"""Pairs without which nothing is fitted.

Of an overconfident source (ECE 0.26) maps of 100 pairs left 0.06 on others, 0.10 at worst of 40; of 500 pairs 0.03 and 0.06, of
2,000 pairs 0.02 and 0.03.
"""


def expected_calibration_error(confidence: ArrayLike, right: ArrayLike, bins: int = 15) -> float:
    """ECE over equal-width bins (Guo et al. 2017, arXiv:1706.04599): mean gap of confidence and accuracy, in [0, 1].

    Args:
        confidence: ``float[N]`` in [0, 1], at least one.
        right: ``bool[N]``.
        bins: at least 1; the last one holds its upper end.

    Raises:
        tropism.errors.OptionError: for anything else.
    """
    c, r = _pairs(confidence, right, 1)
    if bins < 1:
        raise OptionError(f"bins of the calibration error: expected at least 1, got {bins!r}")
    where = np.minimum((c * bins).astype(np.int64), bins - 1)
    return float(np.abs(np.bincount(where, weights=c - r)).sum() / len(c))


@dataclass(frozen=True)
class Calibration:
    """A non-decreasing map of [0, 1] into itself: straight between knots, level beyond them.

    Attributes:
        confidence: of the knots, strictly increasing.
        accuracy: there, non-decreasing.

    Raises:
        tropism.errors.OptionError: for other knots.
    """

    confidence: tuple[float, ...]
    accuracy: tuple[float, ...]

    def __post_init__(self) -> None:
        x, y = np.array(self.confidence), np.array(self.accuracy)
        inside = all(np.all((v >= 0) & (v <= 1)) for v in (x, y))  # NaN is not
        rising = np.all(np.diff(x) > 0) and np.all(np.diff(y) >= 0)
        if not (len(x) == len(y) > 0 and inside and rising):
            raise OptionError(
                "knots of a calibration: expected confidences that rise and as many accuracies that do not fall, all in [0, 1], "
                f"got {len(x)} and {len(y)}: {list(x[:4])}…, {list(y[:4])}…"
            )

    @classmethod
    def fit(cls, confidence: ArrayLike, right: ArrayLike) -> Calibration:
        """The map of least squared error on pairs ``float[N]`` in [0, 1] and ``bool[N]``; equal confidences become one knot.

        Raises:
            tropism.errors.OptionError: for fewer than :data:`LEAST` pairs, NaN, or confidences outside [0, 1].
        """
        c, r = _pairs(confidence, right, LEAST)
        x, where, counts = np.unique(c, return_inverse=True, return_counts=True)
        means = np.bincount(where, weights=r) / counts
        y = np.clip(isotonic_regression(means, weights=counts).x, 0, 1)
        level = np.diff(y) == 0  # between knots; one with level on both sides says nothing
        inner = np.append(False, level) & np.append(level, False)
        return cls(tuple(x[~inner].tolist()), tuple(y[~inner].tolist()))

    def apply(self, confidence: ArrayLike) -> Floats:
        """The accuracy to be expected at ``float[...]``, ``float64[...]`` in [0, 1]."""
        c = np.asarray(confidence, np.float64)
        _inside(c)
        return np.interp(c, self.confidence, self.accuracy)

    def errors(self, confidence: ArrayLike, right: ArrayLike) -> tuple[float, float]:
        """ECE before and after the map, on pairs as in :func:`expected_calibration_error` that it has not seen."""
        before = expected_calibration_error(confidence, right)
        return before, expected_calibration_error(self.apply(confidence), right)

    def to_json(self) -> str:
        """The knots, for :meth:`from_json`, which gives the same map to the bit."""
        return json.dumps({"confidence": self.confidence, "accuracy": self.accuracy})

    @classmethod
    def from_json(cls, text: str) -> Calibration:
        """Read :meth:`to_json`.

        Raises:
            tropism.errors.ArtifactError: if the text is anything else.
        """
        try:
            knots = json.loads(text)
            return cls(*(tuple(map(float, knots[key])) for key in ("confidence", "accuracy")))
        except (ValueError, TypeError, KeyError) as error:
            raise ArtifactError(
                f"calibration: expected JSON with lists of numbers 'confidence' and 'accuracy', got {text[:60]!r} ({error}); "
                "fit it again"
            ) from error


def _pairs(confidence: ArrayLike, right: ArrayLike, least: int) -> tuple[Floats, Floats]:
    """Both as ``float64[N]``, checked."""
    c, r = np.asarray(confidence, np.float64), np.asarray(right)
    if c.ndim != 1 or c.shape != r.shape or len(c) < least:
        raise OptionError(
            f"pairs of confidence and outcome: expected two arrays [N] of one length, at least {least}, "
            f"got shapes {c.shape} and {r.shape}; play more episodes"
        )
    if not np.isin(r, (0, 1)).all():
        raise OptionError("outcomes: expected right (1) or wrong (0), got other values")
    _inside(c)
    return c, r.astype(np.float64)


def _inside(confidence: Floats) -> None:
    """All in [0, 1], which NaN is not."""
    bad = confidence[~((confidence >= 0) & (confidence <= 1))]
    if bad.size:
        raise OptionError(
            f"confidence: expected numbers in [0, 1], got {bad.flat[0]} and {bad.size - 1} more that are not"
        )
