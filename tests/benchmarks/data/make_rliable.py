"""Make rliable.json, the numbers of rliable 1.2.0 that test_statistics.py compares with.

pip install rliable==1.2.0 'pandas<3'
python tests/benchmarks/data/make_rliable.py > tests/benchmarks/data/rliable.json
"""

from __future__ import annotations

import importlib.metadata
import json
import sys

import numpy as np
from rliable import library, metrics  # pyright: ignore[reportMissingImports]

AGGREGATES = {
    "mean": metrics.aggregate_mean,
    "median": metrics.aggregate_median,
    "iqm": metrics.aggregate_iqm,
}


def estimate(scores, function, reps):
    """Point estimate and 95 % percentile interval by rliable."""
    point, interval = library.get_interval_estimates(
        {"x": scores},
        lambda *arrays: np.array([function(*arrays)]),
        reps=reps,
        random_state=np.random.RandomState(1),
    )
    return {"estimate": point["x"].item(), "interval": interval["x"].ravel().tolist()}


def main():
    """Write the JSON to standard output."""
    rng = np.random.default_rng(7)
    a = np.round(rng.gamma(2.0, 0.4, (8, 5)), 6)
    b = np.round(rng.gamma(2.0, 0.35, (6, 5)), 6)
    b[:2, 0] = a[:2, 0]  # ties
    result = {name: estimate(a, function, 50_000) for name, function in AGGREGATES.items()}
    result["probability_of_improvement"] = estimate(
        (a, b), metrics.probability_of_improvement, 4_000
    )
    packages = ("rliable", "arch", "pandas", "numpy", "scipy")
    record = {
        "versions": {name: importlib.metadata.version(name) for name in packages},
        "a": a.tolist(),
        "b": b.tolist(),
        "results": result,
    }
    json.dump(record, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
