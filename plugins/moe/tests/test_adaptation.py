from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from plugins.moe.tests.adapting import (
    away,
    curved,
    curved_point,
    generator,
    online,
    shifted,
    small,
    told,
)

from tropism.errors import ArtifactError, OptionError
from tropism_moe.adaptation import LIMIT, Adapter
from tropism_moe.adaptation_config import AdaptationConfig
from tropism_moe.adaptation_positions import PositionAdapter
from tropism_moe.evolution import antithetic, evolution_gradient
from tropism_moe.forward_gradient import forward_gradient
from tropism_moe.lattice import Lattice
from tropism_moe.lora import LoRA
from tropism_moe.rollback import Rollback

# State


@pytest.mark.parametrize("with_positions", [False, True])
def test_a_state_goes_on_with_the_same_bits(with_positions):
    weight, target, _ = shifted(outputs=6, width=32)
    start = Lattice().positions if with_positions else None
    config = AdaptationConfig(window=30, seed=3)

    def fresh():
        return Adapter(weight, config, start)

    def go_on(adapter, seed):
        losses = online(adapter, target, generator(seed), 25, pairs=2)
        if adapter.positions:
            for _ in range(5):
                adapter.positions.select(away(adapter.positions.candidates(), np.full(3, 0.5)))
        return losses

    adapter, other = fresh(), fresh()
    go_on(adapter, 1)
    state = adapter.state_dict()
    assert all(type(x) is np.ndarray and x.dtype != object for x in state.values())
    frozen = {name: x.tobytes() for name, x in state.items()}
    kept = go_on(adapter, 2)
    assert {name: x.tobytes() for name, x in state.items()} == frozen  # copies
    other.load_state_dict(state)
    assert go_on(other, 2) == kept
    mine, theirs = adapter.state_dict(), other.state_dict()
    assert mine.keys() == theirs.keys()
    assert all(mine[name].tobytes() == theirs[name].tobytes() for name in mine)


def test_the_same_seed_learns_the_same_and_another_does_not():
    weight, target, _ = shifted(outputs=6, width=32)
    runs = [online(Adapter(weight, AdaptationConfig(seed=s)), target, generator(1), 9) for s in (0, 0, 1)]  # fmt: skip
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_a_state_of_another_adapter_is_refused_and_nothing_taken_over():
    weight, _, _ = shifted(outputs=6, width=32)
    adapter = Adapter(weight, AdaptationConfig(rank=2))
    before = adapter.state_dict()
    state = Adapter(weight, AdaptationConfig(rank=3)).state_dict()
    with pytest.raises(ArtifactError, match=r"'head\..*' is float32\[.*3.*\]; .*2.*expected"):
        adapter.load_state_dict(state)
    del before["head.steps"]
    with pytest.raises(ArtifactError, match=r"'head.steps' is nothing; int64\[\]"):
        adapter.load_state_dict(before)


# What is refused


def test_no_more_than_2048_parameters_adapt():
    assert LIMIT == 2048
    fits = Adapter(torch.zeros(6, 410), AdaptationConfig(), Lattice().positions)
    assert fits.size == 2048
    for outputs, positions in ((7, Lattice().positions), (103, None)):
        with pytest.raises(OptionError, match=r"parameters of the head .* 2048 together at most"):
            Adapter(torch.zeros(outputs, 410), AdaptationConfig(), positions)


def test_nothing_observed_nothing_learned():
    weight, _, _ = shifted(outputs=6, width=32)
    adapter = Adapter(weight, AdaptationConfig())
    assert adapter.step() is None
    adapter.observe(torch.zeros(0, 32), torch.zeros(0, 6))
    assert adapter.step() is None


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: LoRA(torch.zeros(3, 4), 4), "rank is 4; 1 to 3 expected"),
        (lambda: LoRA(torch.zeros(3, 4), 0), "rank is 0"),
        (lambda: LoRA(torch.zeros(3, 4, dtype=torch.int64), 1), r"weight is torch.int64\[3, 4\]"),
        (lambda: forward_gradient(curved, {}, 3), "3 directions and 0 parameters"),
        (lambda: forward_gradient(curved, curved_point(), 0), "0 directions and 2 parameters"),
        (lambda: forward_gradient(lambda p: p["b"], curved_point(), 2), r"gave \[5\]; a scalar"),
        (lambda: antithetic(3, 2, np.random.default_rng(0)), "population is 3; an even number"),
        (lambda: evolution_gradient(np.zeros((2, 1)), [1.0], 0.1), r"shape \(1,\), 0 of them"),
        (lambda: evolution_gradient(np.zeros((2, 1)), [1.0, np.nan], 0.1), "1 of them not a number"),
        (lambda: evolution_gradient(np.zeros((2, 1)), [1.0, 2.0], 0.0), "sigma is 0.0"),
        (lambda: Rollback({}, 0, 0.1), "window is 0"),
        (lambda: Rollback({}, 1, -0.1), "margin is -0.1"),
        (lambda: told(torch.zeros(2, 5), torch.zeros(2, 3)), r"features are torch.float32\[2, 5\]"),
        (lambda: told(torch.zeros(2, 4).double(), torch.zeros(2, 3)), "torch.float64"),
        (lambda: told(torch.zeros(2, 4), torch.zeros(1, 3)), r"targets are \[1, 3\]; \[2, 3\]"),
        (lambda: told(torch.zeros(2, 4), torch.zeros(2, 2)), r"targets are \[2, 2\]; \[2, 3\]"),
        (lambda: told(torch.full((2, 4), torch.nan), torch.zeros(2, 3)), "features are not finite"),
        (lambda: told(torch.zeros(2, 4), torch.full((2, 3), torch.inf)), "targets are not finite"),
        (lambda: small().positions.select(np.zeros(16)), r"shape \(16,\).* 17 candidates"),
        (lambda: small().positions.select([0.0] * 16 + [np.nan]), "1 of them not a number"),
        (lambda: PositionAdapter(np.full((2, 3), 1.0), AdaptationConfig()), r"in \[0, 1\)"),
        (lambda: PositionAdapter(np.zeros((2, 2)), AdaptationConfig()), r"positions \[2, 2\]"),
        *[
            (lambda o=option: AdaptationConfig(**o), f"^{next(iter(option))} must be ")
            for option in (
                {"rank": 0}, {"directions": -1}, {"pairs": 1.5}, {"window": True}, {"seed": -1}, {"sigma": 0.0},
                {"learning_rate": math.inf}, {"position_rate": -1.0}, {"anchor": -1e-9}, {"margin": math.nan},
                {"position_anchor": "much"}, {"population": 7},
            )
        ],
    ],
)  # fmt: skip
def test_wrong_arguments_are_named(wrong, message):
    with pytest.raises(OptionError, match=message):
        wrong()
