"""One function a metric, each a pure function of recorded episodes, and the table that names them."""

from tropism.benchmarks.metrics.registry import METRICS, Metric, find_metric
from tropism.benchmarks.metrics.regret import regret_curve

__all__ = ["METRICS", "Metric", "find_metric", "regret_curve"]
