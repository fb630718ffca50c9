"""Tiny environments, one per capability: an agent that fails one lacks that capability, and learns why in seconds.

In the spirit of PufferLib's Ocean set (https://github.com/PufferAI/PufferLib, ``pufferlib/ocean``).
"""
