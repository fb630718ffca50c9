"""Environments that change under the agent.

``import tropism.envs`` registers every id with Gymnasium, from strings: no environment is loaded until it is
made.  ``gym.make("tropism.envs:tropism/Sanity-Memory-v0")`` works without the import.
"""

from tropism.envs.registration import TRAINING, make_functional, register_all

__version__ = "0.1.0"
__all__ = ["TRAINING", "__version__", "make_functional", "register_all"]

register_all()
