"""Kaplan–Meier survival curve and restricted mean, for lags that may be cut short.

An agent that has not recovered from a switch when the next one comes has a lag of which only a
lower bound is known: it is right-censored. Dropping such switches, or counting them as recovered
there, makes slow agents look fast, so lags are averaged over the Kaplan–Meier curve.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tropism.errors import OptionError


def kaplan_meier(times: ArrayLike, observed: ArrayLike) -> tuple[NDArray, NDArray]:
    """Estimate the survival function S(t) = P(T > t) from right-censored times.

    Product-limit estimator of Kaplan & Meier (1958), J. Am. Stat. Assoc. 53, 457–481. A censoring
    that ties with an event is taken to happen just after it, as there and in
    ``scipy.stats.ecdf``.

    Args:
        times: Shape (n,), n >= 1, each >= 0: time of the event, or of the censoring.
        observed: Shape (n,), bool: True where the event happened, False where it was censored.

    Returns:
        ``(t, survival)``, both float64 of one length: the distinct times in rising order, 0 always
        first, and the right-continuous step function: ``survival[i]`` on [t[i], t[i + 1]).

    Raises:
        OptionError: If there are no times, the shapes differ, or a time is negative or not finite.
    """
    time, event = _checked(times, observed)
    t = np.union1d(0.0, time)
    at_risk = len(time) - np.searchsorted(np.sort(time), t, side="left")
    events = np.bincount(np.searchsorted(t, time[event]), minlength=len(t))
    return t, np.cumprod(1.0 - events / np.maximum(at_risk, 1))


def restricted_mean(times: ArrayLike, observed: ArrayLike, horizon: float) -> float:
    """Return the mean time to the event, counted up to ``horizon``: E[min(T, horizon)].

    It is the area under the Kaplan–Meier curve from 0 to the horizon (Royston & Parmar 2013, BMC
    Med. Res. Methodol. 13:152). Where the longest time is censored before the horizon, the curve
    keeps its last value up to there, so an agent is never credited with a recovery that was not
    seen.

    Args:
        times: Shape (n,), n >= 1, each >= 0, in the unit of ``horizon`` (steps, for lags).
        observed: Shape (n,), bool: True where the event happened, False where it was censored.
        horizon: Positive, finite upper end of the mean.

    Returns:
        The restricted mean, in [0, horizon].

    Raises:
        OptionError: As ``kaplan_meier``, or if the horizon is not positive and finite.
    """
    if not 0 < horizon < np.inf:
        raise OptionError(f"horizon={horizon!r} must be a positive, finite number of steps")
    t, survival = kaplan_meier(times, observed)
    edges = np.append(np.minimum(t, horizon), horizon)
    return float(np.sum(survival * np.diff(edges)))


def _checked(times: ArrayLike, observed: ArrayLike) -> tuple[NDArray, NDArray]:
    time, event = np.asarray(times, dtype=np.float64), np.asarray(observed)
    if time.ndim != 1 or not time.size or time.shape != event.shape:
        raise OptionError(
            f"times has shape {time.shape} and observed {event.shape}; "
            "expected one shape (n,) with n >= 1"
        )
    if event.dtype != np.bool_:
        raise OptionError(
            f"observed has dtype {event.dtype}; expected bool, True where the event happened"
        )
    if not np.all(np.isfinite(time) & (time >= 0)):
        raise OptionError("times must be finite and >= 0; give a censored lag its censoring time")
    return time, event
