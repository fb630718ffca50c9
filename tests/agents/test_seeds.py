"""Seeds of agents."""

from __future__ import annotations

import pytest

from tropism.agents.plugins import default_host
from tropism.errors import OptionError


@pytest.mark.parametrize("seed", [-1, 2**32, 0.5, True, "3"])
def test_a_seed_that_not_every_framework_takes_is_refused(seed):
    with pytest.raises(OptionError, match="seed must be an integer in"):
        default_host().make_agent("table", seed=seed)
