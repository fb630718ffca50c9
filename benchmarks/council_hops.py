"""What pondering does on Hop, by the number of hops that are asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tropism.agents.episodes import Episode
from tropism.benchmarks.metrics.episodes import correct
from tropism.benchmarks.metrics.ranks import spearman
from tropism.envs.patternworld.params import SYMBOLS
from tropism.envs.patternworld.permutations import array_unrank

HOPS = range(1, 9)
SHORT = 2
"""Length of cycles on which a question is soon answered, however many hops it asks for: the third symbol is the first or the second."""


def hops(deep: Sequence[Episode], flat: Sequence[Episode]) -> dict[str, Any]:
    """What System 2 (``deep``) and System 1 (``flat``) made of the same episodes.

    Returns:
        By the number of hops, the share of right answers of System 2 (``accuracy``) and of System 1 (``reflex``), and the mean
        compute of System 2.  Rank correlations (Spearman) of that number with the mean compute (``rising``), with the compute of
        single decisions (``spearman``), and of those on cycles of more than two symbols (``spearman_long``).
    """
    k = np.concatenate([e.labels["required_compute"] for e in deep])
    right, reflex = (np.concatenate([correct(e) for e in x]) for x in (deep, flat))
    units = np.concatenate([e.compute for e in deep])
    long = np.concatenate([cycles(e.labels["rule"], e.labels["target"]) for e in deep]) > SHORT
    compute = [float(units[k == n].mean()) for n in HOPS]
    return {
        "accuracy": [float(right[k == n].mean()) for n in HOPS],
        "reflex": [float(reflex[k == n].mean()) for n in HOPS],
        "compute": compute,
        "rising": spearman(np.array(compute), np.array(HOPS)),
        "spearman": spearman(units, k),
        "spearman_long": spearman(units[long], k[long]),
    }


def rising_of_means(runs: Sequence[Mapping[str, Any]]) -> float:
    """Rank correlation of the number of hops with the compute that they take on average over the seeds."""
    means = np.mean([run["compute"] for run in runs], 0)
    return spearman(means, np.array(HOPS))


def cycles(rule: npt.NDArray[np.integer], symbol: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """Lengths of the cycles, in permutations of these numbers, on which these symbols lie; all ``int64[N]``."""
    permutation = np.asarray(array_unrank(np, rule))
    length, at = np.zeros(len(symbol), np.int64), symbol
    for n in range(1, SYMBOLS + 1):
        at = permutation[np.arange(len(at)), at]
        length = np.where((length == 0) & (at == symbol), n, length)
    return length
