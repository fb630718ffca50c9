from __future__ import annotations

import math

import pytest
import torch

from tropism_council.descent import GATE_RATE, GATE_STEPS, Descent
from tropism_council.network import Network

UPDATES = 20


@pytest.fixture
def descent(tiny, sizes):
    """A network and its descent: ``descent()``."""

    def go():
        torch.manual_seed(0)
        network = Network(sizes("Switch"), tiny())
        return network, Descent(network, 1e-2, UPDATES)

    return go


def lesson(network):
    """A loss of the gate alone."""
    return network.gate.loss(torch.full((3, 5), 0.5), torch.ones(3))


def update(network, descent):
    loss = sum(p.square().sum() for p in network.parameters()) + lesson(network)
    descent.step(loss, lambda: lesson(network))


def test_the_gate_takes_several_steps_where_the_others_take_one(descent):
    network, one = descent()
    update(network, one)
    taken = {name: one.adam.state[p]["step"].item() for name, p in network.named_parameters()}
    assert taken == {n: GATE_STEPS if n.startswith("gate.") else 1 for n in taken}


def test_the_rate_of_the_gate_stands_while_that_of_the_others_falls(descent):
    network, one = descent()
    rates = []
    for _ in range(UPDATES):
        rates.append([group["lr"] for group in one.adam.param_groups])
        assert rates[-1][0] == one.rate
        update(network, one)
    assert [gate for _, gate in rates] == [GATE_RATE] * UPDATES
    assert rates[-1][0] < rates[UPDATES // 2][0] / 5
    assert one.done == UPDATES


def test_what_is_restored_goes_on_as_if_nothing_had_been(descent):
    network, one = descent()
    for _ in range(12):
        update(network, one)
    other, again = descent()
    other.load_state_dict(network.state_dict())
    again.restore({key: value.clone() for key, value in one.tensors().items()}, one.done)
    assert (again.done, again.rate, again.norm) == (one.done, one.rate, one.norm)
    for _ in range(3):
        update(network, one)
        update(other, again)
    for (name, a), b in zip(network.named_parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b), name


@pytest.mark.parametrize(("part", "head"), [("gate.net.0.bias", "gate"), ("head.bias", "network")])
def test_a_gradient_that_is_not_a_number_is_named_and_moves_nothing(descent, part, head):
    network, one = descent()
    network.get_parameter(part).register_hook(lambda gradient: gradient * math.nan)
    before = {name: p.clone() for name, p in network.named_parameters()}
    with pytest.raises(ArithmeticError, match=f"gradient of '{head}'"):
        update(network, one)
    assert one.done == 0
    assert all(torch.equal(p, before[name]) for name, p in network.named_parameters())
