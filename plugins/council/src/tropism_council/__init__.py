"""The plugin ``council``: System 1, System 2 and a gate between them; see the README of the distribution.

Importing this package loads nothing heavy; the host finds the agent through :mod:`tropism_council.plugin`.
"""

__version__ = "0.1.0"
