from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from plugins.moe.tests.gating import GATED

from tropism.errors import OptionError
from tropism_moe.budget import parameter_budget
from tropism_moe.config import ModelConfig
from tropism_moe.experts import Experts
from tropism_moe.lattice import Lattice
from tropism_moe.model import Model, Routing, detach, forget
from tropism_moe.routing import Router

TINY = ModelConfig(
    width=16, layers=8, rank=4, head_width=4, window=6, hidden=24, lattice=(2, 2, 2), inputs=11
)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def policy(**more):
    return ModelConfig(**{**TINY.to_json(), "outputs": 5, **more})


@pytest.mark.parametrize(
    "config", [TINY, policy(), policy(lattice=(1, 1, 1))], ids=["tokens", "policy", "dense"]
)
def test_a_model_has_the_parameters_of_its_budget(config):
    budget, found = parameter_budget(config), sum(p.numel() for p in Model(config).parameters())
    assert found == budget.total + budget.small


@pytest.mark.parametrize("gated", GATED)
@pytest.mark.parametrize("routing", [Routing(), Routing(soft=True)], ids=str)
def test_steps_are_the_same_one_by_one_and_all_at_once(routing, gated):
    model = Model(policy(**GATED[gated])).double()
    x = torch.randn(3, 20, 11, dtype=torch.float64)
    resets = torch.rand(3, 20) < 0.1
    with torch.no_grad():
        state = model.begin(3)
        whole, last = model(x, cast(state), resets, routing)
        found, state = [], cast(state)
        for t in range(20):
            one, state = model(x[:, t : t + 1], state, resets[:, t : t + 1], routing)
            found.append(one.outputs)
    torch.testing.assert_close(torch.cat(found, 1), whole.outputs, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(state, last, rtol=1e-8, atol=1e-8)


def cast(state):
    """Everything in it that is a float, in float64."""

    def double(x):
        return x.double() if x.is_floating_point() else x

    return tuple(tuple(type(layer)(*map(double, layer)) for layer in block) for block in state)


@pytest.mark.parametrize("gated", GATED)
def test_a_reset_is_a_new_beginning_and_leaves_other_lanes_alone(gated):
    model = Model(replace(TINY, **GATED[gated]))
    first, then = torch.randint(0, 11, (2, 3, 7))
    with torch.no_grad():
        _, state = model(first, model.begin(3))
        mask = torch.tensor([True, False, True])
        found, _ = model(then, forget(state, mask))
        fresh, _ = model(then, model.begin(3))
        kept, _ = model(then, state)
        resets = torch.zeros(3, 7, dtype=torch.bool)
        resets[:, 0] = mask
        told, _ = model(then, state, resets)
    torch.testing.assert_close(found.outputs[mask], fresh.outputs[mask], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.outputs[~mask], kept.outputs[~mask], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(told.outputs, found.outputs, rtol=1e-4, atol=1e-5)
    assert (kept.outputs[0] - found.outputs[0]).abs().max() > 1e-3


@pytest.mark.parametrize("soft", [False, True])
def test_gradients_reach_every_part_that_was_asked(soft):
    model = Model(policy())
    x = torch.randn(8, 30, 11)
    output, state = model(x, model.begin(8), None, Routing(soft=soft))
    assert all(not t.requires_grad for block in detach(state) for layer in block for t in layer)
    output.outputs.square().mean().backward()
    chosen = [set(route.expert.unique().tolist()) for route in output.routes]
    for name, parameter in model.named_parameters():
        if "experts.each" in name:
            _, block, _, layer, _, _, expert, *_ = name.split(".")
            asked = int(expert) in chosen[3 * int(block) + int(layer)]
            assert not asked or parameter.grad.abs().max() > 0, name
            assert soft or asked or parameter.grad is None, name
        else:
            assert parameter.grad is not None, name
            assert parameter.grad.abs().max() > 0, name


# -- experts ----------------------------------------------------------------------------------------------------


def test_each_input_meets_its_expert_alone():
    experts, router = Experts(16, 24, 8), Router(16, Lattice((2, 2, 2)))
    h = torch.randn(5, 7, 16)
    route = router(h)
    found = experts(h, route)
    for lane in range(5):
        for step in range(7):
            one = experts.each[int(route.expert[lane, step])](h[lane, step])
            torch.testing.assert_close(found[lane, step], one, rtol=1e-4, atol=1e-6)


def test_soft_answers_are_means_over_the_nearest_by_their_probabilities():
    experts, router = Experts(16, 24, 8), Router(16, Lattice((2, 2, 2)))
    h = torch.randn(6, 16)
    route = router(h, 0.1)
    found = experts(h, route, soft=True)
    for row in range(6):
        p = route.probabilities[row]
        nearest = p.argsort(descending=True)[:4]
        said = sum(p[e] * experts.each[int(e)](h[row]) for e in nearest) / p[nearest].sum()
        torch.testing.assert_close(found[row], said, rtol=1e-4, atol=1e-6)


def test_the_task_teaches_the_router_by_the_logarithm_of_the_gate():
    experts, router = Experts(16, 24, 8).double(), Router(16, Lattice((2, 2, 2))).double()
    h, pay = torch.randn(2, 9, 16, dtype=torch.float64)
    route = router(h, 0.1)
    (experts(h, route) * pay).sum().backward()
    found = router.weight.grad.clone()
    router.zero_grad()
    with torch.no_grad():
        worth = (experts(h, route) * pay).sum(-1)
    (router(h, 0.1).gate.log() * worth).sum().backward()
    torch.testing.assert_close(found, router.weight.grad, rtol=1e-6, atol=1e-9)


def test_tokens_that_are_not_in_the_table_are_refused():
    model = Model(TINY)
    with pytest.raises(OptionError, match=r"tokens must lie in \[0, 11\), got 0 to 11"):
        model(torch.tensor([[0, 11]]), model.begin(1))
