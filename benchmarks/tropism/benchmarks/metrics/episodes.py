"""What the metrics read out of recorded episodes: who was right when, and where the regime switched.

Labels stand beside the action they judge: ``labels["switched"][t]`` tells that the action at step ``t`` is
the first to be judged by a new regime.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tropism.errors import ArtifactError, OptionError

if TYPE_CHECKING:
    from tropism.agents.evaluate import Episode

WINDOW = 10
"""Steps after a switch that count as adaptation, W of the PatternWorld protocol; later steps are stable."""


def label(episode: Episode, name: str) -> NDArray[Any]:
    """The label ``name`` of every step, shape (T,).

    Raises:
        OptionError: If the environment does not label its steps with ``name``.
    """
    if name not in episode.labels:
        raise OptionError(
            f"the metric needs the label {name!r} of every step; this episode has "
            f"{', '.join(sorted(episode.labels)) or 'none'}"
        )
    return np.asarray(episode.labels[name])


def correct(episode: Episode) -> NDArray[np.bool_]:
    """Where the action was the target, shape (T,)."""
    return np.asarray(episode.action) == label(episode, "target")


def since_switch(episode: Episode) -> NDArray[np.int64]:
    """Steps since the last real switch, shape (T,): 0 where it switched, -1 before the first switch."""
    switched = label(episode, "switched").astype(bool)
    steps = np.arange(len(switched))
    last = np.maximum.accumulate(np.where(switched, steps, -1))
    return np.where(last < 0, -1, steps - last)


def regimes(episode: Episode) -> Iterator[tuple[int, int]]:
    """Half-open ranges ``(switch, next switch or end)`` of the regimes that began with a switch."""
    starts = np.flatnonzero(label(episode, "switched").astype(bool)).tolist()
    yield from itertools.pairwise([*starts, len(episode.reward)])


def paired(
    episodes: Sequence[Episode], reference: Sequence[Episode]
) -> Iterator[tuple[Episode, Episode]]:
    """Pairs of an episode and the reference's episode of the same seed.

    Raises:
        ArtifactError: If a seed is missing in the reference, or its regimes switch at other times.
    """
    by_seed = {episode.seed: episode for episode in reference}
    for episode in episodes:
        other = by_seed.get(episode.seed)
        if other is None:
            raise ArtifactError(
                f"the reference played the seeds {sorted(by_seed)}, not {episode.seed}; "
                "play both on the same seeds"
            )
        if not np.array_equal(since_switch(episode), since_switch(other)):
            raise ArtifactError(
                f"seed {episode.seed}: the regimes of the two players switch at different steps; "
                "they were recorded on different tasks or versions"
            )
        yield episode, other
