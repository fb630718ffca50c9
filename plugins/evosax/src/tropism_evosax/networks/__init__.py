"""Controllers: what turns observations into actions within one life, and may learn while it does.

Each module holds one network; :mod:`tropism_evosax.networks.contract` says what they share.
"""
