from __future__ import annotations

import math
from collections import OrderedDict

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tropism.errors import OptionError
from tropism_moe.kernels_routing import nearest, projected
from tropism_moe.lattice import Lattice, distance, gini, mod_one, usage
from tropism_moe.routing import (
    ROW_NORM,
    Router,
    Routers,
    nearest_resident,
)

WIDTH = 32


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def arrays(router):
    """Weights, bias and positions of one router."""
    return [x.detach().numpy() for x in (router.weight, router.bias, router.positions)]


def place(tables, h):
    """``z`` of rows of activations as it is served, ``float64[N, L, 3]``."""
    return mod_one(projected(tables.weights, h) + tables.bias)


def served(router, h):
    """The expert that is asked at play, ``int64[...]`` of ``[..., D]``."""
    tables = Routers(WIDTH, Lattice((1, 1, 1)), 0)
    tables.append(router)
    tables = tables.tables()
    h = np.ascontiguousarray(h)
    return nearest(place(tables, h.reshape(-1, WIDTH)), tables.positions)[:, 0].reshape(
        h.shape[:-1]
    )


def slow_route(weights, bias, positions, h, temperature):
    """Expert and gate by loops over plain numbers."""
    z = [
        (math.fsum(w * x for w, x in zip(row, h, strict=True)) + b) % 1
        for row, b in zip(weights, bias, strict=True)
    ]
    squares = []
    for position in positions:
        apart = [abs(x - y) for x, y in zip(z, position, strict=True)]
        squares.append(sum(min(x, 1 - x) ** 2 for x in apart))
    nearest = min(range(len(squares)), key=squares.__getitem__)
    return nearest, 1 / sum(math.exp((squares[nearest] - s) / temperature) for s in squares)


def autocorrelated(rho, steps, lanes=16, seed=0):
    """``float64[lanes, steps, WIDTH]`` of an AR(1) process whose every state is N(0, I)."""
    rng = np.random.default_rng(seed)
    h = rng.normal(size=(lanes, steps, WIDTH))
    for t in range(1, steps):
        h[:, t] = rho * h[:, t - 1] + math.sqrt(1 - rho * rho) * h[:, t]
    return h


@settings(deadline=None, max_examples=25, derandomize=True)
@given(
    st.tuples(*[st.integers(1, 5)] * 3), st.floats(0.001, 1), st.integers(0, 1000), st.booleans()
)
def test_training_serving_and_a_slow_loop_choose_the_same_expert(shape, temperature, seed, double):
    torch.manual_seed(seed)
    router = Router(WIDTH, Lattice(shape)).to(torch.float64 if double else torch.float32)
    h = torch.randn(4, 5, WIDTH, dtype=router.weight.dtype) * 3
    route = router(h, temperature)
    expert, gate = served(router, h.numpy()), route.gate.detach().numpy()
    assert (route.expert.numpy() == expert).all()
    weights, bias, positions = (x.tolist() for x in arrays(router))
    for e, g, x in zip(expert.ravel(), gate.ravel(), h.reshape(-1, WIDTH).tolist(), strict=True):
        slow_e, slow_g = slow_route(weights, bias, positions, x, temperature)
        assert e == slow_e
        assert g == pytest.approx(slow_g, abs=1e-6)
    assert route.gate.dtype == route.position.dtype == route.probabilities.dtype == h.dtype
    torch.testing.assert_close(route.probabilities.sum(-1), torch.ones(4, 5, dtype=h.dtype))
    best = route.probabilities.gather(-1, route.expert[..., None])[..., 0]
    assert (best == route.gate).all()


@pytest.mark.parametrize("bias", [[0.0, 0.0, 0.0], [0.125, 0.25, 0.5], [0.0625, 0.25, 0.0]])
def test_of_equally_near_experts_the_first_is_taken_by_both(bias):
    router = Router(WIDTH, Lattice())
    with torch.no_grad():
        router.bias.copy_(torch.tensor(bias))
    h = torch.zeros(1, WIDTH)
    away = distance(np.array(bias), router.positions.numpy())
    first = np.flatnonzero(away == away.min())
    assert len(first) > 1
    assert router(h).expert.item() == first[0]
    assert served(router, h.numpy()).item() == first[0]


@pytest.mark.parametrize("width", range(1, 10))
def test_sums_of_any_width_are_whole(width):
    rng = np.random.default_rng(width)
    weights, h = rng.normal(size=(2, 3, width)), rng.normal(size=(5, width)).astype(np.float32)
    wanted = np.einsum("lkd,bd->blk", weights, h.astype(np.float64))
    np.testing.assert_allclose(projected(weights, h), wanted, rtol=1e-12, atol=1e-12)


def test_a_hundred_thousand_queries_reach_all_experts_the_same_in_training_and_at_play():
    router, reached = Router(WIDTH, Lattice()), set()
    for _ in range(100):
        h = torch.randn(1000, WIDTH)
        route = router(h)
        expert = served(router, h.numpy())
        assert (route.expert.numpy() == expert).all()
        reached |= set(expert.tolist())
    assert len(reached) == 128


def test_slack_lets_an_expert_stand_in_that_is_hardly_farther():
    router, h = Router(WIDTH, Lattice()), torch.randn(5000, WIDTH)
    nearest, found = router(h), router(h, slack=0.1)
    away = distance(found.position.numpy(force=True)[:, None], router.positions.numpy())
    farther = np.take_along_axis(away, found.expert.numpy()[:, None], -1)[:, 0] - away.min(-1)
    assert farther.max() <= 0.1 + 1e-6
    assert farther.max() > 0.07
    assert 0.1 < (found.expert != nearest.expert).float().mean() < 0.9
    torch.testing.assert_close(found.probabilities, nearest.probabilities)
    gate = found.probabilities.gather(-1, found.expert[..., None])[..., 0]
    assert (gate == found.gate).all()


@pytest.mark.parametrize("seed", range(4))
def test_ten_thousand_normal_queries_load_the_experts_evenly(seed):
    torch.manual_seed(seed)
    route = Router(WIDTH, Lattice())(torch.randn(10_000, WIDTH))
    counts = np.bincount(route.expert.numpy(), minlength=128)
    assert gini(counts) < 0.15
    assert counts.min() > 0


def test_with_shorter_rows_the_load_is_as_uneven_as_was_measured():
    router = Router(WIDTH, Lattice())
    with torch.no_grad():
        router.weight.mul_(0.2 / ROW_NORM)
    counts = np.bincount(router(torch.randn(10_000, WIDTH)).expert.numpy(), minlength=128)
    assert gini(counts) == pytest.approx(0.55, abs=0.05)


def test_autocorrelated_activations_keep_their_expert_as_often_as_was_measured():
    router = Router(WIDTH, Lattice())
    expert = served(router, autocorrelated(0.99, 1500))
    got = usage(Lattice(), expert)
    assert (got.reuse, got.one_hop, got.two_hop) == pytest.approx((0.35, 0.44, 0.18), abs=0.03)


def test_folding_moves_the_positions_and_neither_adds_nor_learns_any():
    router = Router(WIDTH, Lattice((2, 2, 2)))
    assert {name for name, _ in router.named_parameters()} == {"weight", "bias"}
    h = torch.randn(200, WIDTH)
    route, before = router(h), router.positions.clone()
    apart = route.position.double() - before[route.expert]
    error = (apart - apart.round()).square().sum(-1).mean()
    router.fold_(route, 0.02)
    apart = route.position.double() - router.positions[route.expert]
    assert (apart - apart.round()).square().sum(-1).mean() < error
    assert router.positions.shape == before.shape
    (
        router(h).gate.sum() + route.gate.sum()
    ).backward()  # what was routed before can still be learned from


def test_routers_route_all_layers_of_a_block_from_what_enters_it():
    routers = Routers(WIDTH, Lattice(), 3)
    h = torch.randn(5, WIDTH)
    routes = routers(h, 0.02)
    assert len(routes) == 3
    tables = routers.tables()
    assert [t.shape for t in tables] == [(3, 3, WIDTH), (3, 3), (3, 128, 3)]
    experts = nearest(place(tables, h.numpy()), tables.positions)
    for layer, router in enumerate(routers):
        alone = router(h, 0.02)
        assert torch.equal(alone.expert, routes[layer].expert)
        np.testing.assert_array_equal(experts[:, layer], alone.expert)
    assert len({tuple(route.expert.tolist()) for route in routes}) == 3
    tables.positions[:] = 0
    assert routers[0].positions.any()  # a copy


def test_the_same_seed_gives_the_same_router_to_the_bit():
    def routed():
        torch.manual_seed(3)
        router = Router(WIDTH, Lattice())
        return router(torch.randn(100, WIDTH))

    assert all(torch.equal(a, b) for a, b in zip(routed(), routed(), strict=True))


def test_the_rows_are_orthogonal_and_of_the_measured_length():
    weight = Router(WIDTH, Lattice()).weight
    torch.testing.assert_close(weight @ weight.T, torch.eye(3) * ROW_NORM**2)


@settings(deadline=None, max_examples=100, derandomize=True)
@given(st.integers(0, 10_000), st.floats(0, 0.3), st.floats(0, 1))
def test_the_nearest_resident_expert_is_taken_just_if_it_is_hardly_farther(seed, tolerance, share):
    rng = np.random.default_rng(seed)
    away, resident = rng.integers(0, 9, size=(3, 6)) / 10, rng.random((3, 6)) < share
    experts, substituted = nearest_resident(away, resident, tolerance)
    for row, held, e, s in zip(away.tolist(), resident.tolist(), experts, substituted, strict=True):
        nearest = row.index(min(row))
        close = [i for i in range(6) if held[i] and row[i] <= min(row) + tolerance]
        slow = min(close, key=row.__getitem__) if close else nearest
        assert e == slow
        assert s == (slow != nearest)


def test_cache_aware_routing_saves_a_third_of_the_misses_of_a_small_cache():
    """128 experts, eight of them cached, autocorrelated activations: measured hits .58, .72 and .83."""
    tables, h = (
        Routers(WIDTH, Lattice(), 1).tables(),
        autocorrelated(0.99, 4000, lanes=1, seed=1)[0],
    )
    away = distance(place(tables, h), tables.positions)

    def misses(tolerance):
        cache, missed = OrderedDict(), 0
        for row in away:
            resident = np.isin(np.arange(128), list(cache))
            expert = nearest_resident(row, resident, tolerance)[0].item()
            missed += expert not in cache
            cache[expert] = cache.pop(expert, None)
            if len(cache) > 8:
                cache.popitem(last=False)
        return missed / len(away)

    none, some, more = misses(0.0), misses(0.05), misses(0.1)
    assert 0.3 < none < 0.5
    assert some < 0.75 * none
    assert more < 0.5 * none


def test_bad_input_is_refused_by_name():
    router, h = Router(WIDTH, Lattice()), np.zeros(WIDTH, np.float32)
    with pytest.raises(OptionError, match=r"width of a router.*at least 3, got 2"):
        Router(2, Lattice())
    for temperature in (0, -1, math.nan):
        with pytest.raises(OptionError, match="temperature of routing"):
            router(torch.from_numpy(h), temperature)
    for bad in (math.nan, math.inf):
        with pytest.raises(OptionError, match=f"to be routed must be finite, got {bad} at 3"):
            served(router, np.where(np.arange(WIDTH) == 3, bad, h))
    for tolerance in (-0.1, math.nan):
        with pytest.raises(OptionError, match="tolerance of cache-aware routing"):
            nearest_resident(np.ones(3), np.ones(3, bool), tolerance)
