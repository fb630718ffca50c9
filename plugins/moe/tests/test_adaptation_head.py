from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from plugins.moe.tests.adapting import autograd, flat, generator, online, shifted

from tropism_moe.adaptation import Adapter
from tropism_moe.adaptation_config import AdaptationConfig
from tropism_moe.adaptation_head import HeadAdapter, policy_gradient, squared_error


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
