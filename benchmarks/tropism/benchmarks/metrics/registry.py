"""The table of metrics: one row a metric, with what it needs, so that a board can pick what applies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tropism.benchmarks.metrics import calibration, compute, lag, regret, score
from tropism.errors import UnknownNameError

if TYPE_CHECKING:
    from tropism.agents.evaluate import Episode

References = Mapping[str, "Sequence[Episode]"]
"""Episodes of reference players by name: ``"ideal"`` and ``"random"``, on the same seeds."""


@dataclass(frozen=True)
class Metric:
    """A number computed from recorded episodes.

    Attributes:
        name: What users type.
        function: Called with the episodes, then with those of each reference named in ``needs``.
        unit: Unit of the number, for people.
        higher_is_better: Direction, or ``None`` where neither end is good in itself.
        needs: Reference players whose episodes it compares with.
        labels: Labels that every step must carry.
    """

    name: str
    function: Callable[..., float]
    unit: str
    higher_is_better: bool | None
    needs: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()

    def applies(self, episodes: Sequence[Episode], references: References) -> bool:
        """Whether the episodes carry the labels and the references are there."""
        return all(name in references for name in self.needs) and all(
            label in episode.labels for episode in episodes for label in self.labels
        )

    def __call__(self, episodes: Sequence[Episode], references: References) -> float:
        """The number for ``episodes``; NaN where the metric does not apply."""
        if not self.applies(episodes, references):
            return float("nan")
        return self.function(episodes, *(references[name] for name in self.needs))


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("score", score.score, "reward", True),
        Metric("accuracy", score.accuracy, "share", True, (), ("target",)),
        Metric("nis", score.normalised_score, "", True, ("ideal", "random")),
        Metric("log-regret", score.log_regret, "nats", False, ("ideal",), ("switched",)),
        Metric("lag", lag.restricted_mean_lag, "steps", False, (), ("target", "switched")),
        Metric("excess-lag", lag.excess_lag, "steps", False, ("ideal",), ("target", "switched")),
        Metric("savings", lag.savings, "ratio", True, (), ("target", "switched", "rule")),
        Metric(
            "perseveration",
            regret.perseveration,
            "share",
            False,
            (),
            ("target", "switched", "stale_target"),
        ),
        Metric(
            "false-alarms",
            regret.false_alarms,
            "per 100 steps",
            False,
            ("ideal",),
            ("target", "switched"),
        ),
        Metric("ece", calibration.calibration_error, "share", False, (), ("target",)),
        Metric("compute", compute.mean_compute, "units", False),
        Metric("wall", compute.wall_time, "µs", False),
        Metric("alignment", compute.alignment, "AUROC", True, (), ("switched",)),
        Metric("belief-rho", compute.surprise_correlation, "ρ", True, (), ("belief_kl",)),
        Metric("depth-rho", compute.depth_correlation, "ρ", True, (), ("required_compute",)),
    )
}
"""Every metric by name."""


def find_metric(name: str) -> Metric:
    """The metric called ``name``.

    Raises:
        UnknownNameError: If there is none; the nearest names are suggested.
    """
    if name not in METRICS:
        raise UnknownNameError("metric", name, METRICS)
    return METRICS[name]
