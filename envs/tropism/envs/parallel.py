"""Environments for several agents in PettingZoo's own registry: importing this module registers them.

    import pettingzoo
    import tropism.envs.parallel

    env = pettingzoo.make("parallel", "tropism/Chemotaxis-Shared-v0")  # or "aec": agents act one after the other

``import tropism.envs`` does not do it, because it would have to load PettingZoo.
"""

from __future__ import annotations

import pettingzoo

from tropism.envs.registration import PARALLEL, make_parallel

__all__ = ["make_parallel", "register_parallel"]


def register_parallel() -> None:
    """Register every id with PettingZoo, for both of its interfaces; a second call does nothing."""
    for env_id, module in PARALLEL.items():
        if env_id not in pettingzoo.parallel_registry:
            pettingzoo.register("parallel", env_id, f"{module}:parallel_env")
            pettingzoo.register("aec", env_id, f"{module}:env")


register_parallel()
