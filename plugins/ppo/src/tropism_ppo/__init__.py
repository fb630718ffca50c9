"""PPO and recurrent PPO for Tropism, by Stable-Baselines3.

Importing this package loads nothing heavy; import the module you need, for example
``from tropism_ppo.vecenv import NativeVecEnv``.
"""

__version__ = "0.1.0"
