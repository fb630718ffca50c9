"""An evolution strategy: gradients of what can only be tried, such as where the experts of a router lie.

The loss around a point, smoothed by ``N(0, sigma^2 I)``, has the gradient ``E[L(x + sigma e) e] / sigma``.  Losses enter by rank, so
that neither their scale nor an outlier matters, and perturbations in pairs ``e, -e`` (Salimans et al. 2017, arXiv:1703.03864).  The
seed (``002``) had the pairs in a comment only, and lost one factor ``1 / sigma``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from tropism.errors import OptionError

FloatArray = npt.NDArray[np.float64]


def antithetic(population: int, size: int, rng: np.random.Generator) -> FloatArray:
    """Directions ``float64[M, n]``, each standard normal: the second half is the first, negated.

    Raises:
        OptionError: ``population`` is odd, or less than 2.
    """
    if population < 2 or population % 2:
        raise OptionError(f"population is {population}; an even number, 2 or more, expected")
    half = rng.standard_normal((population // 2, size))
    return np.concatenate([half, -half])


def evolution_gradient(noise: FloatArray, losses: npt.ArrayLike, sigma: float) -> FloatArray:
    """An estimate of the gradient of the smoothed, rank-shaped loss, ``float64[n]``; go against it.

    Ranks are centred in [-1/2, 1/2], equal losses share theirs.  For a loss that is linear the mean lies along its gradient and
    has length ``((M - 2) / sqrt(4 pi) + 1 / sqrt(2 pi)) / ((M - 1) sigma)``, about ``0.28 / sigma``, however steep it is.

    Args:
        noise: from :func:`antithetic`, ``float64[M, n]``.
        losses: at ``x + sigma * noise``, ``float[M]``; infinity is the worst.
        sigma: greater than 0.

    Raises:
        OptionError: another number of losses, one is not a number, or sigma is out of range.
    """
    found = np.asarray(losses, np.float64)
    if found.shape != noise.shape[:1] or np.isnan(found).any():
        raise OptionError(
            f"losses have shape {found.shape}, {np.isnan(found).sum()} of them not a number; "
            f"one for each of {len(noise)} candidates expected, infinity for one that failed"
        )
    if not 0 < sigma < np.inf:
        raise OptionError(f"sigma is {sigma}; a finite number greater than 0 expected")
    shaped = (rankdata(found) - 1) / (len(found) - 1) - 0.5
    return shaped @ noise / (len(found) * sigma)
