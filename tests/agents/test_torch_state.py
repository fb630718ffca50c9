from __future__ import annotations

from pathlib import Path

import pytest

from tropism.agents.torch_state import optimiser_tensors, restore_optimiser, restore_weights
from tropism.errors import ArtifactError

torch = pytest.importorskip("torch")


def make():
    """A network of two parameters and its optimiser."""
    torch.manual_seed(0)
    network = torch.nn.Linear(3, 2)
    return network, torch.optim.AdamW(network.parameters(), 0.1)


def step(network, optimiser):
    optimiser.zero_grad()
    network(torch.tensor([1.0, -2.0, 3.0])).square().sum().backward()
    optimiser.step()


@pytest.mark.parametrize("prefix", ["", "adam."])
def test_a_restored_optimiser_goes_on_as_the_one_that_was_asked(prefix):
    network, optimiser = make()
    for _ in range(3):
        step(network, optimiser)
    told = {key: value.clone() for key, value in optimiser_tensors(optimiser, prefix).items()}
    assert set(told) == {
        f"{prefix}{n}.{k}" for n in (0, 1) for k in ("step", "exp_avg", "exp_avg_sq")
    }
    other, fresh = make()
    restore_weights(other, network.state_dict(), Path("here"))
    restore_optimiser(fresh, told, prefix)
    step(network, optimiser)
    step(other, fresh)
    assert torch.equal(network.weight, other.weight)
    assert torch.equal(network.bias, other.bias)


def test_tensors_of_others_are_left_alone():
    network, optimiser = make()
    step(network, optimiser)
    _, fresh = make()
    told = optimiser_tensors(optimiser, "adam.")
    restore_optimiser(
        fresh, {**told, "norm": torch.zeros(1), "gate.0.step": torch.ones(1)}, "adam."
    )
    assert optimiser_tensors(fresh).keys() == optimiser_tensors(optimiser).keys()


def test_an_optimiser_that_did_nothing_remembers_nothing():
    assert optimiser_tensors(make()[1]) == {}


def test_weights_of_another_network_are_refused_with_where_they_lie():
    network, _ = make()
    for wrong in ({}, {"weight": torch.zeros(2, 4), "bias": torch.zeros(2)}):
        with pytest.raises(
            ArtifactError, match=r"(?s)there holds weights of another network: .*weight"
        ):
            restore_weights(network, wrong, Path("there"))
