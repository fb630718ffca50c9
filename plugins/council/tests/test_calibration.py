from __future__ import annotations

import numpy as np
import pytest

from tropism_council.calibration import Calibration
from tropism_council.gate import Gate

LANES, STEPS, SHARE = 32, 400, 0.2


def play(gate, score, seed=0):
    """How often was asked, step by step, of a gate whose scores depend on what was asked: ``score(rng, asked)``."""
    rng = np.random.default_rng(seed)
    calibration = Calibration(gate, SHARE, STEPS, rng)
    asked, shares = np.zeros(LANES, np.bool_), []
    for _ in range(STEPS):
        scores = score(rng, asked).astype(np.float32)
        asks = calibration.asks(LANES)
        asked = scores > gate.threshold.item() if asks is None else asks
        calibration.hear(scores)
        shares.append(asked.mean())
    calibration.end()
    return np.array(shares)


def test_it_asks_at_random_first_and_then_leaves_the_gate_to_itself():
    calibration = Calibration(Gate(), SHARE, STEPS, np.random.default_rng(0))
    random, rng = 0, np.random.default_rng(1)
    for _ in range(STEPS):
        asks = calibration.asks(LANES)
        random += asks is not None
        calibration.hear(rng.random(LANES, np.float32))
    assert random == STEPS // 4


@pytest.mark.parametrize("echo", [0.0, 0.5, -0.5])
def test_the_share_is_spent_though_scores_depend_on_what_was_asked(echo):
    """Where asking raises or lowers the next score, the threshold for asking at random would spend another share."""
    gate = Gate()
    shares = play(gate, lambda rng, asked: rng.random(LANES) + echo * asked)
    assert shares[STEPS // 2 :].mean() == pytest.approx(SHARE, abs=0.03)
    rng, asked, after = np.random.default_rng(9), np.zeros(LANES, np.bool_), []
    for _ in range(STEPS):
        asked = rng.random(LANES) + echo * asked > gate.threshold.item()
        after.append(asked.mean())
    assert np.mean(after) == pytest.approx(SHARE, abs=0.03)
