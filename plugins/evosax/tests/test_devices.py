"""The population on several devices, compiled as for users: bits of two programs are compared."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from tropism_evosax.evolve import evolve
from tropism_evosax.filters import Viability

SLOW = pytest.mark.slow  # to compile, for one device and for two
TWO_DEVICES = """
import sys, json, jax
from tropism_evosax.config import EvoConfig
from tropism_evosax.evolve import evolve
assert jax.device_count() == 2
found = evolve(EvoConfig.from_json(json.loads(sys.argv[1])))[0]
print(json.dumps([found.best.tolist(), found.mean.tolist(), found.best_score, found.env_steps]))
"""


@pytest.mark.parametrize(
    "controller", [{}, pytest.param({"controller": "spiking", "controller_kwargs": {}}, marks=SLOW)]
)
def test_two_devices_find_what_one_finds(tiny, controller):
    config = tiny(
        **controller,
        viability=Viability(1, 8, 4, 0.05),
        finalists=1,  # three candidates for two devices
        devices=None,
    )
    ran = subprocess.run(
        [sys.executable, "-c", TWO_DEVICES, json.dumps(config.to_json())],
        env={**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=2"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    best, mean, score, steps = json.loads(ran.stdout)
    [found] = evolve(replace(config, devices=1))
    np.testing.assert_array_equal(found.best, np.float32(best))
    np.testing.assert_array_equal(found.mean, np.float32(mean))
    assert (found.best_score, found.env_steps) == (score, steps)
