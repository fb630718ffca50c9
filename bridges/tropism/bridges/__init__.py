"""The game bridge: environments whose simulation is another process.

``import tropism.bridges`` registers ``tropism/Bridge-v0`` with Gymnasium, from strings: nothing of it is loaded until it is made.
``gym.make("tropism.bridges:tropism/Bridge-v0", command=["my-game"])`` works without the import.  It stands beside the environments
of ``tropism.envs``, not among them, because it is nothing without a game.
"""

import gymnasium

__version__ = "0.1.0"

BRIDGE_ID = "tropism/Bridge-v0"

if BRIDGE_ID not in gymnasium.registry:
    gymnasium.register(
        BRIDGE_ID,
        "tropism.bridges.env:BridgeEnv",
        vector_entry_point="tropism.bridges.vector:BridgeVectorEnv",
        order_enforce=False,  # it refuses by itself, without the cost of a wrapper
    )
