from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plugins.moe.tests.adapting import generator, seeds

from tropism_moe.lora import LoRA


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
