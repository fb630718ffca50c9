"""Neuroevolution for Tropism: spiking, plastic and recurrent controllers, evolved by evosax.

Importing this package loads nothing heavy; import the module you need, for example
``from tropism_evosax.networks.spiking import Spiking``.
"""

__version__ = "0.1.0"
