from __future__ import annotations

import numpy as np
import pytest
import torch

from tropism.errors import OptionError
from tropism_moe.lattice import Lattice, distance, gini
from tropism_moe.routing import (
    ROW_NORM,
    Router,
    balance_loss,
    smoothness_loss,
)

WIDTH = 32


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.mark.parametrize("form", ["top-1", "soft"])
def test_the_task_gives_the_router_the_gradient_of_finite_differences(form):
    """Of the gate of the experts that were chosen, or of the mixture of all; across the end of an axis, too."""
    router, lattice = Router(WIDTH, Lattice((4, 2, 2))).double(), Lattice((4, 2, 2))
    h, answers = torch.randn(64, WIDTH).double(), torch.randn(lattice.count).double()
    chosen = router(h).expert

    def loss():
        soft = router(h, 0.05).probabilities
        if form == "soft":
            return (soft @ answers).square().mean()
        return (soft.gather(-1, chosen[:, None])[:, 0] * answers[chosen]).square().mean()

    if form == "top-1":
        torch.testing.assert_close(loss(), (router(h, 0.05).gate * answers[chosen]).square().mean())
    loss().backward()
    for parameter in (router.weight, router.bias):
        assert parameter.grad.abs().max() > 1e-4
        flat, step = parameter.data.view(-1), 1e-6
        for i in range(0, len(flat), 7):
            flat[i] += step
            above = loss().item()
            flat[i] -= 2 * step
            below = loss().item()
            flat[i] += step
            slope = (above - below) / (2 * step)
            assert parameter.grad.view(-1)[i].item() == pytest.approx(slope, rel=1e-4, abs=1e-7)


@pytest.mark.parametrize(("form", "least"), [("top-1", 0.3), ("soft", 0.5)])
def test_the_router_learns_from_the_gated_output_which_experts_are_good(form, least):
    """Half of the experts pay 1 for one kind of input and -1 for the other; measured in six seeds: .39 to .46, and .63 to .68."""
    lattice = Lattice((4, 2, 2))
    router = Router(WIDTH, lattice)
    adam = torch.optim.Adam(router.parameters(), 0.02)
    kind = torch.randn(256).sign()
    h = torch.cat([2 * kind[:, None], torch.randn(256, WIDTH - 1)], 1)
    h = torch.nn.functional.rms_norm(h, (WIDTH,))
    pays = torch.from_numpy(np.where(lattice.positions[:, 0] < 0.5, 1.0, -1.0)).float()
    before = (kind * pays[router(h).expert]).mean().item()
    for step in range(150):
        soft = router(h, 0.2 * 0.05 ** (step / 150)).probabilities @ pays
        route = router(h, 0.02)
        paid = kind * (soft if form == "soft" else route.gate * pays[route.expert])
        adam.zero_grad()
        (-paid.mean()).backward()
        adam.step()
    assert abs(before) < 0.15
    assert (kind * pays[router(h).expert]).mean() > least


def test_the_balance_loss_is_one_when_even_and_the_count_when_all_go_to_one_expert():
    even = torch.full((8, 4), 0.25)
    router = Router(WIDTH, Lattice((2, 2, 1)))
    route = router(torch.randn(8, WIDTH))
    one = torch.nn.functional.one_hot(torch.zeros(8, dtype=torch.int64), 4).float()
    spread = torch.arange(8) % 4
    assert balance_loss(route._replace(expert=spread, probabilities=even)).item() == 1
    assert balance_loss(route._replace(expert=spread * 0, probabilities=one)).item() == 4
    assert balance_loss(route._replace(expert=spread * 0, probabilities=even)).item() == 1


def test_the_balance_loss_is_that_of_a_slow_loop():
    route = Router(WIDTH, Lattice((2, 2, 2)))(torch.randn(3, 7, WIDTH), 0.1)
    experts, soft = route.expert.ravel().tolist(), route.probabilities.reshape(-1, 8).tolist()
    slow = 8 * sum(experts.count(e) / 21 * sum(row[e] for row in soft) / 21 for e in range(8))
    assert balance_loss(route).item() == pytest.approx(slow, rel=1e-5)


def test_descending_the_balance_loss_evens_the_load():
    router = Router(WIDTH, Lattice())
    with torch.no_grad():
        router.weight.mul_(0.2 / ROW_NORM)
    h = torch.randn(2048, WIDTH)

    def load():
        return gini(np.bincount(router(h).expert.numpy(), minlength=128))

    before, adam = load(), torch.optim.Adam(router.parameters(), 0.01)
    for _ in range(40):
        adam.zero_grad()
        balance_loss(router(h, 0.05)).backward()
        adam.step()
    assert load() < 0.6 * before


def test_smoothness_is_the_mean_way_on_the_torus_and_resets_do_not_count():
    z = torch.rand(3, 6, 3, dtype=torch.float64)
    resets = torch.rand(3, 6) < 0.3
    ways = [
        float(distance(z[b, t].numpy(), z[b, t - 1].numpy()))
        for b in range(3)
        for t in range(1, 6)
        if not resets[b, t]
    ]
    assert 0 < len(ways) < 15
    assert smoothness_loss(z, resets).item() == pytest.approx(np.mean(ways))
    assert smoothness_loss(z, torch.zeros_like(resets)) == smoothness_loss(z)
    assert smoothness_loss(z, torch.ones_like(resets)) == 0
    assert smoothness_loss(z[:, :1]) == 0
    with pytest.raises(OptionError, match=r"resets must have shape \(3, 6\)"):
        smoothness_loss(z, resets[:, :1])


def test_smoothness_has_a_finite_gradient_where_nothing_moves_and_points_the_shorter_way():
    z = torch.tensor([[0.95, 0.5, 0.5], [0.05, 0.5, 0.5], [0.05, 0.5, 0.5]], requires_grad=True)
    smoothness_loss(z).backward()
    assert z.grad.isfinite().all()
    assert z.grad[0, 0] < 0  # from .95 to .05 it is .1 upwards, so that .96 is nearer
    assert z.grad[1, 0] > 0
