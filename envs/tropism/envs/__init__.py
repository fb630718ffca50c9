"""Environments that change under the agent.

``import tropism.envs`` registers every id with Gymnasium, from strings: no environment is loaded until it is
made.  ``gym.make("tropism.envs:tropism/Sanity-Memory-v0")`` works without the import.  Environments for several
agents are made by :func:`make_parallel`; ``import tropism.envs.parallel`` registers them with PettingZoo.
"""

from tropism.envs.registration import (
    PARALLEL,
    TRAINING,
    make_functional,
    make_parallel,
    register_all,
)

__version__ = "0.1.0"
__all__ = [
    "PARALLEL",
    "TRAINING",
    "__version__",
    "make_functional",
    "make_parallel",
    "register_all",
]

register_all()
