from __future__ import annotations

import pytest

from tropism.agents.conformance import agent_conformance


@pytest.mark.filterwarnings("ignore:a budget of 512 steps leaves too few:UserWarning")
def test_the_council_passes_the_conformance_suite(host):
    passed = agent_conformance("council", host=host, config={"threads": 1})
    assert "training_is_deterministic" in passed
    assert "probe tropism/Sanity-MultiDiscrete-v0" in passed
