"""The plugin ``moe``: a recurrent policy of ternary experts that are read from disk; see the README of the distribution.

Importing this package loads nothing heavy; the host finds the agent through :mod:`tropism_moe.plugin`.
"""

__version__ = "0.1.0"
