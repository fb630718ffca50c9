"""The game bridge: environments whose simulation is another process.

This floor holds its place in the package; the protocol, transports and ``tropism/Bridge-v0`` arrive with
the bridge release (see the road map in the README).
"""

__version__ = "0.1.0"
