"""The matched random gate: does a policy know *when* to think, or does it merely think often enough?

A policy with a cheap and a costly mode is played twice on the same seeds: once with its own gate, once with
the costly mode imposed at random at the same rate.  What it gains over the second is the worth of its gate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tropism.benchmarks.estimates import estimate
from tropism.benchmarks.statistics import mean, paired_difference

if TYPE_CHECKING:
    from tropism.agents.contract import Policy, Task
    from tropism.agents.episodes import Episode


@dataclass(frozen=True)
class MatchedGate:
    """A policy against itself under a random gate.

    Attributes:
        rate: Share of decisions in the costly mode, of both.
        gain: Mean return with its own gate minus with the random one.
        low: Lower end of the 95 % interval of the gain, by a bootstrap over the paired episodes.
        high: Upper end.
        scores: Returns with its own gate, by episode.
        control_scores: Returns with the random gate, on the same seeds.
        compute: Mean compute of a decision with its own gate.
        control_compute: The same with the random gate.
    """

    rate: float
    gain: float
    low: float
    high: float
    scores: tuple[float, ...]
    control_scores: tuple[float, ...]
    compute: float
    control_compute: float

    def to_json(self) -> dict[str, Any]:
        """The same as JSON values."""
        return asdict(self)


def matched_gate(
    policy: Policy,
    task: Task,
    episodes: Sequence[Episode] | None = None,
    *,
    seeds: Sequence[int] = (),
    privileged: bool = False,
    progress: Callable[[float], None] | None = None,
) -> MatchedGate | None:
    """Play ``policy`` against itself with the costly mode at random, at its own rate.

    Args:
        policy: What acts.
        task: Where.
        episodes: What it played with its own gate; played on ``seeds`` if not given.
        seeds: Evaluation seeds, used without ``episodes``.
        privileged: The policy sees the labels.
        progress: Told the number of control episodes played.

    Returns:
        The comparison, or ``None`` if the policy does not report its mode (it has one only).
    """
    from tropism.agents.evaluate import RandomGate, evaluate

    own = list(episodes or evaluate(policy, task, seeds, privileged=privileged))
    modes = [episode.gated for episode in own if episode.gated is not None]
    if len(modes) < len(own):
        return None
    rate = float(np.mean(np.concatenate(modes)))
    played = [episode.seed for episode in own]
    gate = RandomGate(rate, seed=0)
    control = evaluate(policy, task, played, privileged=privileged, gate=gate, progress=progress)
    return compare(own, control, rate)


def compare(own: Sequence[Episode], control: Sequence[Episode], rate: float) -> MatchedGate:
    """The gain of ``own`` over ``control``, episodes of the same seeds in the same order."""
    scores = [episode.score for episode in own]
    control_scores = [episode.score for episode in control]
    gain = paired_difference(scores, control_scores, mean)
    return MatchedGate(
        rate,
        gain.estimate,
        gain.low,
        gain.high,
        tuple(scores),
        tuple(control_scores),
        _mean_compute(own),
        _mean_compute(control),
    )


def pool(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The comparisons of several training seeds as one.

    Args:
        records: ``MatchedGate.to_json`` of each training seed, all on the same evaluation seeds.

    Returns:
        ``rate``, ``compute`` and ``control_compute``, the means; ``gain`` with ``low`` and ``high``, its
        95 % interval by a bootstrap that crosses training and evaluation seeds.
    """
    gains = np.array([np.subtract(r["scores"], r["control_scores"]) for r in records])
    found = estimate(gains, statistic=mean)
    assert found is not None  # scores are finite
    means = {
        name: float(np.mean([record[name] for record in records]))
        for name in ("rate", "compute", "control_compute")
    }
    return {**means, "gain": found.estimate, "low": found.low, "high": found.high}


def _mean_compute(episodes: Sequence[Episode]) -> float:
    return float(np.mean(np.concatenate([episode.compute for episode in episodes])))
