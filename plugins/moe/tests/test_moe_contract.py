from __future__ import annotations

import pytest

from tropism.agents.conformance import agent_conformance

SMALL = {
    "width": 16,
    "hidden": 16,
    "head_width": 8,
    "window": 8,
    "rank": 4,
    "lattice": [2, 1, 1],
    "lanes": 4,
    "stretch": 16,
}


@pytest.mark.filterwarnings("ignore:a budget of .* steps is too little to calibrate:UserWarning")
def test_the_agent_passes_the_conformance_suite(host):
    passed = agent_conformance("moe", host=host, config=SMALL)
    assert "training_is_deterministic" in passed
