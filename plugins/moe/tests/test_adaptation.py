from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tropism.errors import ArtifactError, OptionError
from tropism_moe.adaptation import LIMIT, Adapter
from tropism_moe.adaptation_config import AdaptationConfig
from tropism_moe.adaptation_head import HeadAdapter, policy_gradient, squared_error
from tropism_moe.adaptation_positions import PositionAdapter
from tropism_moe.evolution import antithetic, evolution_gradient
from tropism_moe.forward_gradient import forward_gradient
from tropism_moe.lattice import Lattice, squared_distance
from tropism_moe.lora import LoRA
from tropism_moe.rollback import Rollback

quick = settings(deadline=None, max_examples=25, derandomize=True)
seeds = st.integers(0, 2**32)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


# The head


def test_an_adapted_head_is_at_first_the_head_and_has_a_gradient():
    weight = torch.randn(5, 400, generator=generator())
    lora, x = LoRA(weight, 3, generator(1)), torch.randn(7, 400, generator=generator(2))
    assert torch.equal(lora(x), x @ weight.T)
    assert lora.a.var().item() == pytest.approx(1 / 400, rel=0.15)
    lora(x).square().sum().backward()
    assert lora.b.grad.norm() > 0
    assert {name for name, _ in lora.named_parameters()} == {"a", "b"}
    assert set(lora.state_dict()) == {"a", "b"}


@settings(deadline=None, max_examples=8, derandomize=True)
@given(st.integers(1, 4), st.integers(1, 6), seeds)
def test_an_adapted_head_is_its_merged_weight(outputs, width, seed):
    draw = generator(seed)
    weight = torch.randn(outputs, width, dtype=torch.float64, generator=draw)
    lora = LoRA(weight, min(outputs, width), draw)
    lora.b.data.normal_(generator=draw)
    x = torch.randn(2, width, dtype=torch.float64, generator=draw)
    for i in range(2):
        for v in range(outputs):
            by_hand = sum(
                x[i, j] * (weight[v, j] + sum(lora.b[v, r] * lora.a[r, j] for r in range(len(lora.a))))
                for j in range(width)
            )  # fmt: skip
            assert lora(x)[i, v].item() == pytest.approx(by_hand.item(), abs=1e-9)
    torch.testing.assert_close(x @ lora.merged().T, lora(x).detach())


def test_both_matrices_zero_never_move_and_one_random_does():
    for scale, moves in ((0.0, False), (1.0, True)):
        lora = LoRA(torch.eye(4), 2, generator())
        lora.a.data *= scale
        x = torch.randn(32, 4, generator=generator(1))
        losses = []
        for _ in range(100):
            loss = (lora(x) + x).square().mean()
            grads = torch.autograd.grad(loss, [lora.a, lora.b])
            for p, grad in zip([lora.a, lora.b], grads, strict=True):
                p.data -= 0.3 * grad
            losses.append(loss.item())
        assert (losses[-1] < 0.7 * losses[0]) is moves
        assert (losses[-1] == losses[0]) is not moves


# Forward gradients


def curved(parameters):
    """A loss with all derivatives different from 0."""
    x = torch.linspace(-1, 1, 12, dtype=parameters["w"].dtype).reshape(4, 3)
    hidden = torch.tanh(x @ parameters["w"].T + parameters["b"])
    return (torch.log_softmax(hidden, -1)[:, 0] * hidden.square().sum(-1)).mean()


def curved_point(seed=0, dtype=torch.float64):
    draw = generator(seed)
    shapes = {"w": (5, 3), "b": (5,)}
    return {name: torch.randn(shape, dtype=dtype, generator=draw) for name, shape in shapes.items()}


def autograd(loss_fn, point):
    leaves = {name: p.clone().requires_grad_() for name, p in point.items()}
    return dict(zip(leaves, torch.autograd.grad(loss_fn(leaves), list(leaves.values())), strict=True))  # fmt: skip


def flat(tensors):
    return torch.cat([x.reshape(-1) for x in tensors.values()])


def drawn(point, directions, seed):
    """What the function draws for this seed."""
    draw = generator(seed)
    return {k: torch.randn(directions, *p.shape, dtype=p.dtype, generator=draw) for k, p in point.items()}  # fmt: skip


@quick
@given(st.integers(1, 6), seeds)
def test_a_forward_gradient_is_the_mean_of_slopes_along_directions(directions, seed):
    point = curved_point(seed)
    found = forward_gradient(curved, point, directions, generator(seed))
    true, along = flat(autograd(curved, point)), drawn(point, directions, seed)
    by_hand = torch.zeros(20, dtype=torch.float64)
    for k in range(directions):
        v = flat({name: x[k] for name, x in along.items()})
        by_hand += sum(float(a) * float(b) for a, b in zip(true, v, strict=True)) * v / directions
    torch.testing.assert_close(flat(found.gradients), by_hand)
    assert found.loss.item() == pytest.approx(curved(point).item())
    assert all(found.gradients[name].shape == p.shape for name, p in point.items())


def test_slopes_are_those_of_finite_differences():
    for seed in range(10):
        point = curved_point(seed)
        (v,) = [{name: x[0] for name, x in drawn(point, 1, seed).items()}]
        found = forward_gradient(curved, point, 1, generator(seed))
        slope = (flat(found.gradients) @ flat(v) / flat(v).square().sum()).item()
        step = 1e-5
        ahead, behind = ({k: p + sign * step * v[k] for k, p in point.items()} for sign in (1, -1))
        difference = (curved(ahead) - curved(behind)).item() / (2 * step)
        assert slope == pytest.approx(difference, rel=1e-3)


def test_a_forward_gradient_is_unbiased():
    weights = torch.linspace(0.5, 2, 1000, dtype=torch.float64)
    point, draw = {"x": torch.ones(1000, dtype=torch.float64)}, generator()

    def bowl(parameters):
        return (weights * parameters["x"].square()).sum() / 2

    found = torch.stack(
        [forward_gradient(bowl, point, 64, draw).gradients["x"] for _ in range(150)]
    )
    true = autograd(bowl, point)["x"]
    share = (found.mean(0) @ true / true.square().sum()).item()
    assert share == pytest.approx(1, abs=0.1)
    halves = found.mean(0).reshape(2, 500) * true.reshape(2, 500)
    np.testing.assert_allclose(halves.sum(1) / true.reshape(2, 500).square().sum(1), 1, atol=0.1)
    square = found.square().sum(1).mean() / true.square().sum()
    assert square.item() == pytest.approx((1000 + 64 + 1) / 64, rel=0.05)


@pytest.mark.parametrize(("n", "directions"), [(100, 8), (512, 8), (1000, 8), (1000, 64), (50, 50)])
def test_its_cosine_is_the_root_of_k_over_n_and_k(n, directions):
    slope = torch.randn(n, generator=generator(1))
    point, draw, cosines = {"x": torch.zeros(n)}, generator(2), []
    for _ in range(150):
        (found,) = forward_gradient(lambda p: p["x"] @ slope, point, directions, draw)[1].values()
        cosines.append(torch.cosine_similarity(found, slope, 0).item())
    assert np.mean(cosines) == pytest.approx((directions / (n + directions)) ** 0.5, rel=0.1)


def test_the_same_generator_gives_the_same_bits_and_parameters_stay():
    for dtype in (torch.float32, torch.float64):
        point = curved_point(dtype=dtype)
        before = {name: p.clone() for name, p in point.items()}
        first = forward_gradient(curved, point, 3, generator(4))
        again = forward_gradient(curved, point, 3, generator(4))
        other = forward_gradient(curved, point, 3, generator(5))
        assert torch.equal(flat(first.gradients), flat(again.gradients))
        assert not torch.equal(flat(first.gradients), flat(other.gradients))
        assert all(torch.equal(point[name], before[name]) for name in point)
        assert first.loss.dtype == flat(first.gradients).dtype == dtype


# The evolution strategy


@quick
@given(st.integers(1, 5), st.integers(1, 4), st.floats(0.01, 2), seeds, st.booleans())
def test_an_evolution_gradient_is_the_sum_of_directions_by_rank(half, size, sigma, seed, ties):
    rng = np.random.default_rng(seed)
    noise = antithetic(2 * half, size, rng)
    np.testing.assert_array_equal(noise[half:], -noise[:half])
    losses = rng.integers(0, 3, 2 * half) if ties else rng.standard_normal(2 * half)
    by_hand = np.zeros(size)
    for m in range(2 * half):
        below = sum(losses[m] > other for other in losses)
        equal = sum(losses[m] == other for other in losses) - 1
        by_hand += ((below + equal / 2) / (2 * half - 1) - 0.5) * noise[m] / (2 * half * sigma)
    np.testing.assert_allclose(evolution_gradient(noise, losses, sigma), by_hand, atol=1e-12)
    monotone = np.exp(3 * losses.astype(float)) + 7
    np.testing.assert_array_equal(
        evolution_gradient(noise, monotone, sigma), evolution_gradient(noise, losses, sigma)
    )


@pytest.mark.parametrize(("population", "sigma"), [(4, 0.5), (16, 0.01), (64, 0.1)])
def test_the_mean_update_lies_along_the_gradient_and_is_as_long_as_said(population, sigma):
    rng, slope = np.random.default_rng(0), np.array([3.0, -4.0, 0, 0, 0])
    noises = [antithetic(population, 5, rng) for _ in range(24_000 // population)]
    mean = np.mean([evolution_gradient(e, sigma * e @ slope, sigma) for e in noises], 0)
    along, across = mean @ slope / 5, np.linalg.norm(mean - (mean @ slope / 25) * slope)
    length = (population - 2) / math.sqrt(4 * math.pi) + 1 / math.sqrt(2 * math.pi)
    assert along == pytest.approx(length / (population - 1) / sigma, rel=0.04)
    assert across < 0.06 * along


def test_an_evolution_strategy_descends_a_quadratic():
    rng, sigma = np.random.default_rng(0), 0.05
    x = np.ones(20)
    curvature = np.linspace(0.5, 3, 20)
    start = curvature @ x**2
    for _ in range(300):
        noise = antithetic(16, 20, rng)
        losses = ((x + sigma * noise) ** 2) @ curvature
        x = x - 0.02 * evolution_gradient(noise, losses, sigma)
    assert curvature @ x**2 < 0.05 * start


def test_equal_losses_move_nothing_and_infinity_is_merely_the_worst():
    noise = antithetic(6, 3, np.random.default_rng(0))
    assert np.abs(evolution_gradient(noise, np.full(6, 2.5), 0.1)).max() < 1e-15
    worst = [0.0, 1.0, 2.0, 3.0, 4.0, np.inf]
    np.testing.assert_array_equal(
        evolution_gradient(noise, worst, 0.1), evolution_gradient(noise, range(6), 0.1)
    )


# Rollback


def test_a_snapshot_that_does_better_returns_bit_for_bit():
    first = {"x": torch.tensor([0.1, -0.0, 1e-45])}
    rollback = Rollback(first, window=4, margin=0.1)
    first["x"] += 1  # the snapshot is a copy
    worse = {"x": torch.randn(3)}
    rollback.watch(torch.full((2,), 1.2), torch.ones(2))
    assert rollback.judge(worse)["x"] is worse["x"]  # the window is not full
    rollback.watch(torch.full((2,), 1.2), torch.ones(2))
    found = rollback.judge(worse)
    assert found["x"].numpy().tobytes() == np.array([0.1, -0.0, 1e-45], np.float32).tobytes()
    assert rollback.count == 1
    found["x"] += 1
    assert rollback.snapshot["x"][2] == 1e-45


@pytest.mark.parametrize(
    ("now", "before", "restored", "taken"),
    [
        (1.05, 1.0, False, False),  # worse, within the margin
        (1.11, 1.0, True, False),
        (0.99, 1.0, False, True),
        (-0.95, -1.0, False, False),
        (-0.85, -1.0, True, False),
        (math.nan, 1.0, True, False),
        (math.inf, 1.0, True, False),
        (9.0, 10.0, False, True),  # everything has become worse: the world has changed
    ],
)
def test_a_verdict_compares_losses_on_the_same_data(now, before, restored, taken):
    rollback, current = Rollback({"x": torch.zeros(2)}, 3, 0.1), {"x": torch.ones(2)}
    rollback.watch(torch.full((3,), now), torch.full((3,), before))
    found = rollback.judge(current)
    assert torch.equal(found["x"], torch.zeros(2) if restored else torch.ones(2))
    assert torch.equal(rollback.snapshot["x"], torch.ones(2) if taken else torch.zeros(2))
    assert rollback.count == restored
    rollback.watch(torch.full((2,), 100.0), torch.zeros(2))
    assert rollback.judge(current)["x"] is current["x"]  # a new window has begun


# The adapter


def shifted(seed=0, outputs=64, width=64, dtype=torch.float32):
    """A linear head, and what it should have become: 4 directions off."""
    draw = generator(seed)
    weight = torch.randn(outputs, width, generator=draw, dtype=dtype) / width**0.5
    thin = torch.randn(outputs, 4, generator=draw, dtype=dtype) / 2
    shift = thin @ torch.randn(4, width, generator=draw, dtype=dtype) / width**0.5
    return weight, weight + shift, draw


def online(adapter, target, draw, steps, pairs=1):
    """Losses of observations, one step of learning after each."""
    losses = []
    for _ in range(steps):
        x = torch.randn(pairs, target.shape[1], generator=draw, dtype=target.dtype)
        losses.append(adapter.observe(x, x @ target.T).mean().item())
        adapter.step()
    return losses


def test_a_shift_is_made_up_for_online_and_not_taken_back():
    weight, target, draw = shifted(outputs=6, width=16)
    before = weight.clone()
    adapter = Adapter(weight, AdaptationConfig(learning_rate=0.2))
    assert adapter.size == 4 * (6 + 16)
    losses = online(adapter, target, draw, 250)
    assert np.mean(losses[-50:]) < 0.2 * np.mean(losses[:20])
    assert adapter.head.rollback.count == 0
    assert torch.equal(weight, before)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_512_parameters_lose_at_most_a_twentieth_after_3000_steps(seed):
    weight, target, draw = shifted(seed)
    adapter = Adapter(weight, AdaptationConfig(seed=seed))
    assert adapter.size == 512
    losses = online(adapter, target, draw, 3000)
    assert np.mean(losses[-100:]) <= 0.05 * np.mean(losses[:10])


def test_a_head_that_has_gone_astray_returns_bit_for_bit():
    weight, _, draw = shifted(outputs=6, width=32)
    head = HeadAdapter(weight, AdaptationConfig(window=20), squared_error)
    before = {name: x.numpy().tobytes() for name, x in head.lora.state_dict().items()}
    online_ = [torch.randn(5, 32, generator=draw) for _ in range(4)]
    head.lora.b.data.normal_(generator=draw)
    for i, x in enumerate(online_):
        assert head.rollback.count == 0, i
        head.observe(x, x @ weight.T)
    assert head.rollback.count == 1
    assert {name: x.numpy().tobytes() for name, x in head.lora.state_dict().items()} == before


def test_the_anchor_pulls_back_to_where_it_began():
    weight, _, draw = shifted(outputs=6, width=32)
    config = AdaptationConfig(anchor=0.5, learning_rate=0.1, window=10**9)
    head = HeadAdapter(weight, config, lambda outputs, targets: 0 * squared_error(outputs, targets))
    head.observe(torch.randn(5, 32, generator=draw), torch.randn(5, 6, generator=draw))
    start = {name: p.detach().clone() for name, p in head.lora.named_parameters()}
    for p in head.lora.parameters():
        p.data += 1
    for step in range(1, 4):
        head.step()
        for name, p in head.lora.named_parameters():
            apart = p.detach() - start[name]
            torch.testing.assert_close(apart, torch.full_like(apart, (1 - 0.1) ** step))


def test_a_step_goes_down_a_forward_gradient_as_far_as_its_noise_allows():
    weight, target, draw = shifted(outputs=6, width=32, dtype=torch.float64)
    head = HeadAdapter(weight, AdaptationConfig(learning_rate=0.5, anchor=0), squared_error)
    x = torch.randn(9, 32, generator=draw, dtype=torch.float64)
    expected = squared_error(x @ weight.T, x @ target.T)
    torch.testing.assert_close(head.observe(x, x @ target.T), expected)
    start = {name: p.detach().clone() for name, p in head.lora.named_parameters()}

    def loss(p):
        return squared_error(x @ weight.T + x @ p["a"].T @ p["b"].T, x @ target.T).mean()

    true, moved = flat(autograd(loss, start)), []
    for seed in range(200):
        again = HeadAdapter(weight, AdaptationConfig(seed=seed, learning_rate=0.5, anchor=0), squared_error)  # fmt: skip
        again.lora.load_state_dict(start)
        again.observe(x, x @ target.T)
        assert again.step() == pytest.approx(expected.mean().item())
        moved.append(flat(dict(again.lora.named_parameters())).detach() - flat(start))
    mean = torch.stack(moved).mean(0)
    share = (mean @ true / true.square().sum()).item()
    assert share == pytest.approx(-0.5 * 8 / (152 + 8 + 1), rel=0.15)


def test_a_step_that_overflows_returns_to_the_snapshot():
    weight, target, draw = shifted(outputs=6, width=32)
    adapter = Adapter(weight, AdaptationConfig(learning_rate=1e30))
    losses = online(adapter, target, draw, 50)
    assert adapter.head.rollback.count > 0
    assert all(torch.isfinite(p).all() for p in adapter.head.lora.parameters())
    assert math.isfinite(losses[0])


def test_only_the_latest_pairs_are_learned_from():
    weight, target, draw = shifted(outputs=6, width=32)
    adapters = [Adapter(weight, AdaptationConfig(pairs=5)) for _ in range(2)]
    x = torch.randn(12, 32, generator=draw)
    adapters[0].observe(x[:7], 100 + x[:7] @ target.T)
    for adapter in adapters:
        adapter.observe(x[7:], x[7:] @ target.T)
    assert adapters[0].step() == adapters[1].step()
    for mine, theirs in zip(*(a.head.lora.parameters() for a in adapters), strict=True):
        assert torch.equal(mine, theirs)


def test_rewards_teach_which_action_is_better():
    draw = generator()
    adapter = Adapter(
        torch.zeros(3, 8), AdaptationConfig(rank=3, learning_rate=1.0, pairs=32), loss=policy_gradient
    )  # fmt: skip
    best, rewards = torch.randn(3, 8, generator=draw), []
    for _ in range(250):
        x = torch.randn(8, 8, generator=draw)
        log_probs = torch.log_softmax(adapter.outputs(x), -1)
        action = torch.multinomial(log_probs.exp(), 1, generator=draw)
        reward = (action[:, 0] == (x @ best.T).argmax(-1)).float()
        rewards.append(reward.mean().item())
        told = log_probs.gather(-1, action)
        adapter.observe(x, torch.cat([action, told, reward[:, None] - 1 / 3], 1))
        adapter.step()
    assert np.mean(rewards[:20]) < 0.45
    assert np.mean(rewards[-50:]) > 0.6


def test_the_surrogate_of_rewards_is_clipped_as_ppos():
    logits = torch.tensor([[0.0, 1.0, -1.0]]).expand(4, 3)
    log_probs = torch.log_softmax(logits, -1)[:, 1]
    ratio = torch.tensor([1.0, 1.5, 0.5, 1.5])
    advantage = torch.tensor([2.0, 2.0, -2.0, -2.0])
    targets = torch.stack([torch.ones(4), log_probs - ratio.log(), advantage], 1)
    expected = torch.tensor([-2.0, -2.4, 1.6, 3.0])
    torch.testing.assert_close(policy_gradient(logits, targets), expected)


# Positions of experts


def away(positions, target):
    """Mean squared distance on the torus."""
    return squared_distance(positions, target).mean(-1)


def test_positions_move_to_where_losses_are_lower_round_the_torus_too():
    target, start = np.array([[0.02, 0.5, 0.98]]), np.array([[0.95, 0.45, 0.05]])
    adapter = PositionAdapter(start, AdaptationConfig(position_rate=2e-4))
    for _ in range(150):
        candidates = adapter.candidates()
        assert candidates.shape == (17, 1, 3)
        assert ((candidates >= 0) & (candidates < 1)).all()
        adapter.select(away(candidates, target))
    assert away(adapter.positions, target) < 0.1 * away(start, target)


def test_every_generation_tries_other_positions_and_every_seed():
    start = Lattice((2, 2, 2)).positions
    adapter, other = (
        PositionAdapter(start, AdaptationConfig(seed=s, position_anchor=0)) for s in (0, 1)
    )
    first = adapter.candidates()
    np.testing.assert_array_equal(adapter.candidates(), first)
    assert (other.candidates()[1:] != first[1:]).all()
    adapter.select(np.zeros(17))  # none is better: nothing moves
    np.testing.assert_allclose(adapter.positions, start, rtol=0, atol=1e-12)
    assert np.abs(adapter.candidates()[1:] - first[1:]).min() > 1e-9
    assert adapter.generation == 1


def test_the_position_anchor_counts_as_a_loss():
    start = Lattice((2, 2, 2)).positions
    free, held = (PositionAdapter(start, AdaptationConfig(position_anchor=a)) for a in (0.0, 1e9))
    target = (start + 0.1) % 1
    for adapter in (free, held):
        for _ in range(60):
            adapter.select(away(adapter.candidates(), target))
    assert away(free.positions, start) > 4 * away(held.positions, start)


def test_positions_that_do_worse_than_the_snapshot_return_bit_for_bit():
    start = Lattice((2, 2, 2)).positions
    adapter = PositionAdapter(start, AdaptationConfig(window=32))
    for generation in (1, 2):
        np.testing.assert_array_equal(adapter.candidates()[0], start)
        adapter.select([1.0, *np.linspace(1.5, 2.5, 16)])
        assert adapter.rollback.count == generation - 1
        assert (adapter.positions.tobytes() == start.tobytes()) is (generation == 2)
    assert adapter.rollback.count == 1


def test_positions_that_do_better_become_the_snapshot():
    adapter = PositionAdapter(Lattice((2, 2, 2)).positions, AdaptationConfig(window=16))
    adapter.select([1.0, *np.linspace(0.5, 0.9, 16)])
    np.testing.assert_array_equal(adapter.candidates()[0], adapter.positions)


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


def small():
    return Adapter(torch.zeros(3, 4), AdaptationConfig(rank=1), np.full((2, 3), 0.5))


def told(features, targets):
    adapter = small()
    adapter.observe(torch.zeros(2, 4), torch.zeros(2, 3))
    return adapter.observe(features, targets)


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
