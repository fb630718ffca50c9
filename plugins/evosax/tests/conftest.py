from __future__ import annotations

from functools import partial

import pytest

QUICK = {"xla_backend_optimization_level": 0, "xla_cpu_use_fusion_emitters": False}
"""To compile in less than half the time, for programs that hardly run; results may differ in the last bit."""


@pytest.fixture(scope="session", autouse=True)
def compilation_cache(tmp_path_factory):
    """Programs compiled by tests stay out of the user's cache, and are shared among the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TROPISM_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def quick_jit():
    """``jax.jit`` for programs that hardly run."""
    import jax

    return partial(jax.jit, compiler_options=QUICK)


@pytest.fixture(scope="session")
def quick_flags():
    """The same for all programs of another process: what to add to its environment."""
    return {
        "XLA_FLAGS": " ".join(f"--{name}={str(value).lower()}" for name, value in QUICK.items())
    }


@pytest.fixture(scope="module")
def quick_evolutions(quick_jit):
    """Evolutions compile in less than half the time; what was compiled before and after has nothing to do with it."""
    import jax

    from tropism_evosax import evolution, evolve

    class QuickJax:
        jit = staticmethod(quick_jit)

        def __getattr__(self, name):
            return getattr(jax, name)

    evolve._prepared.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evolution, "jax", QuickJax())
        yield
    evolve._prepared.cache_clear()


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


@pytest.fixture
def by_hand(tiny, tmp_path):
    """Writes the directory of a finished run without running anything: ``by_hand(**changes)``."""

    def write(**changes):
        import json

        import jax

        from tropism_evosax.evolution import Evolution
        from tropism_evosax.genomes.contract import sample
        from tropism_evosax.genomes.files import write_genome

        config = tiny(**changes)
        encoding = Evolution(config).encoding
        directory = tmp_path / "by-hand"
        directory.mkdir()
        (directory / "config.json").write_text(json.dumps(config.to_json()))
        (directory / "manifest.json").write_text('{"starts": [{}]}')
        genome = 5 * sample(encoding, jax.random.key(3), 1)[0]
        write_genome(directory / "best_genome.npz", genome, encoding.spec())
        return directory

    return write
