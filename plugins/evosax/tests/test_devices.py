"""The population on several devices: bits of two programs are compared."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from tropism_evosax.filters import Viability

ONE_AND_TWO = """
import sys, json, jax
from dataclasses import replace
from tropism_evosax.config import EvoConfig
from tropism_evosax.evolve import evolve
assert jax.device_count() == 2
config = EvoConfig.from_json(json.loads(sys.argv[1]))
for devices in (1, None):
    found = evolve(replace(config, devices=devices))[0]
    print(json.dumps([found.best.tolist(), found.mean.tolist(), found.best_score, found.env_steps]))
"""
SPIKING = {"controller": "spiking", "controller_kwargs": {}}


@pytest.mark.parametrize(
    ("controller", "quick"),
    [
        ({}, True),
        pytest.param({}, False, marks=pytest.mark.slow),  # as for users, half a minute to compile
        pytest.param(SPIKING, False, marks=pytest.mark.slow),
    ],
)
def test_two_devices_find_what_one_finds(tiny, quick_flags, controller, quick):
    """Compiled in less than half the time, and in the slow tests as for users."""
    look = Viability(1, 8, 4, 0.05)
    config = tiny(**controller, viability=look, finalists=1)  # three candidates for two devices
    flags = "--xla_force_host_platform_device_count=2 " + quick * quick_flags["XLA_FLAGS"]
    ran = subprocess.run(
        [sys.executable, "-c", ONE_AND_TWO, json.dumps(config.to_json())],
        env={**os.environ, "XLA_FLAGS": flags},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    one, two = (json.loads(line) for line in ran.stdout.splitlines())
    assert one == two
    assert np.isfinite(one[0]).all()
