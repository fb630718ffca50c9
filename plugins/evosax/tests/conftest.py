from __future__ import annotations

import pytest


@pytest.fixture(scope="session", autouse=True)
def compilation_cache(tmp_path_factory):
    """Programs compiled by tests stay out of the user's cache, and are shared among the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TROPISM_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def tiny():
    """Makes the config of seven generations that take no time, with changes."""
    from tropism_evosax.config import EvoConfig

    settings = {
        "env_kwargs": {"steps": 24},
        "controller": "mlp",
        "controller_kwargs": {"hidden": 4},
        "population": 8,
        "episodes": 2,
        "generations": 7,
        "crown_every": 3,
        "finalists": 2,
        "finalist_episodes": 4,
        "checkpoint_every": 3,
        "devices": 1,
    }
    return lambda **changes: EvoConfig(**settings | changes)


@pytest.fixture(scope="session")
def same():
    """Asserts that two results are the same, bit for bit."""
    import numpy as np

    def check(one, other):
        np.testing.assert_array_equal(one.best, other.best)
        np.testing.assert_array_equal(one.mean, other.mean)
        for name in ("best_score", "best_generation", "env_steps", "simulated_steps"):
            assert getattr(one, name) == getattr(other, name), name

    return check
