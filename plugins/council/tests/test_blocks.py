from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tropism_council.blocks import Attention, Cache, Gain, Layer, ages, rotate, split_heads, turns

FEW = settings(deadline=None, max_examples=20, derandomize=True)
WIDTH, HEADS = 16, 2
PLASTIC = ("temperature", "focus", "gamma", "beta")


def empty(lanes):
    nothing = torch.zeros(lanes, HEADS, 0, WIDTH // HEADS)
    return Cache(nothing, nothing)


def causal(lanes, steps):
    return torch.ones(steps, steps, dtype=torch.bool).tril().expand(lanes, -1, -1)


def turned(x, positions):
    return rotate(x, turns(torch.tensor(positions), x.shape[-1], x.dtype))


def run(module, x, p, start=0):
    lanes, steps = x.shape[:2]
    where = torch.arange(start, start + steps).expand(lanes, -1)
    return module(x, p, where, ages(where), causal(lanes, steps), empty(lanes))[0]


def plastic_weights(module):
    return [w for name, w in module.named_parameters() if name.endswith(PLASTIC)]


# -- positions --------------------------------------------------------------------------------------------------


@FEW
@given(st.integers(0, 1000), st.integers(0, 60), st.integers(1, 500))
def test_scores_depend_on_differences_of_positions_only(at, apart, shift):
    q, k = torch.randn(2, 1, HEADS, 1, 8, dtype=torch.float64)

    def score(a, b):
        return (turned(q, [[a]]) * turned(k, [[b]])).sum(-1)

    near = score(at + apart, at)
    torch.testing.assert_close(
        score(at + apart + shift, at + shift), near, rtol=1e-4, atol=1e-4
    )  # angles are float32
    assert (score(at + apart + 1, at) - near).abs().max() > 1e-6


def test_positions_turn_half_of_the_channels_by_angles_and_leave_the_others():
    x = torch.randn(1, 1, 3, 8)
    found = turned(x, [[0, 3, 700]]).numpy()[0, 0]
    for row, position in enumerate((0, 3, 700)):
        before = x[0, 0, row].numpy()
        for pair in range(2):
            angle = position * math.exp(-6.9 * pair / 2)
            z = complex(before[pair], before[pair + 2]) * complex(math.cos(angle), math.sin(angle))
            np.testing.assert_allclose(
                found[row, [pair, pair + 2]], [z.real, z.imag], rtol=1e-4, atol=1e-4
            )
        np.testing.assert_array_equal(found[row, 4:], before[4:])


def test_heads_are_parts_of_the_width():
    x = torch.arange(2 * 3 * 2 * WIDTH).view(2, 3, 2 * WIDTH)
    one, other = split_heads(x, 2, HEADS)
    assert one.shape == (2, HEADS, 3, WIDTH // HEADS)
    torch.testing.assert_close(one[1, 0, 2], x[1, 2, : WIDTH // HEADS])
    torch.testing.assert_close(other[1, 1, 2], x[1, 2, WIDTH + WIDTH // HEADS :])


# -- plasticity -------------------------------------------------------------------------------------------------


def attend_by_hand(attention, x, p):
    """One lane of attention in plain NumPy, from the documented formula."""
    d = WIDTH // HEADS
    weights = {
        name: value.detach().numpy().astype(float) for name, value in attention.state_dict().items()
    }
    qkv = (x @ weights["qkv.weight"].T).reshape(len(x), 3, HEADS, d)
    out = np.zeros((len(x), HEADS, d))
    for h in range(HEADS):
        q, k = (
            turned(torch.tensor(qkv[None, None, :, part, h]), [range(len(x))]).numpy()[0, 0]
            for part in (0, 1)
        )
        for i in range(len(x)):
            scores = q[i] @ k[: i + 1].T / np.sqrt(d) * np.exp(p[i] * weights["temperature"][h])
            scores[i] += p[i] * weights["focus"][h]
            scores -= weights["recency"][h] * (i - np.arange(i + 1))
            share = np.exp(scores - scores.max())
            out[i, h] = share / share.sum() @ qkv[: i + 1, 2, h]
    return out.reshape(len(x), WIDTH) @ weights["out.weight"].T


def test_attention_is_the_formula_with_temperature_and_focus(stir):
    attention = stir(Attention(WIDTH, HEADS), 0.5)
    x, p = torch.randn(1, 7, WIDTH), torch.rand(1, 7) * 2 - 1
    by_hand = attend_by_hand(attention, x[0].numpy().astype(float), p[0].numpy().astype(float))
    np.testing.assert_allclose(
        run(attention, x, p)[0].detach().numpy(), by_hand, rtol=1e-4, atol=1e-4
    )


def test_gains_are_film():
    gain = Gain(3)
    x, p = torch.randn(2, 5, 3), torch.randn(2, 5)
    wanted = x * (1 + gain.gamma * p[..., None]) + gain.beta * p[..., None]
    torch.testing.assert_close(gain(x, p), wanted)


@pytest.mark.parametrize("wild", [-30.0, 0.0, 30.0])
def test_without_plasticity_a_layer_is_the_same_whatever_its_plastic_weights(stir, wild):
    layer = stir(Layer(WIDTH, HEADS))
    x, none = torch.randn(3, 6, WIDTH), torch.zeros(3, 6)
    before = run(layer, x, none)
    weights = plastic_weights(layer)
    assert len(weights) == 6  # of the attention two, of each of two gains two
    with torch.no_grad():
        for weight in weights:
            weight.fill_(wild)
    torch.testing.assert_close(run(layer, x, none), before, rtol=0, atol=0)


@pytest.mark.parametrize("name", PLASTIC)
def test_with_plasticity_each_plastic_weight_has_an_effect(stir, name):
    layer = stir(Layer(WIDTH, HEADS))
    x, some = torch.randn(3, 6, WIDTH), torch.full((3, 6), 0.5)
    before = run(layer, x, some)
    with torch.no_grad():
        for key, weight in layer.named_parameters():
            if key.endswith(name):
                weight += 1
    assert (run(layer, x, some) - before).abs().max() > 1e-3


def entropies(attention, x, p):
    """Of what each position pays to the others: the values are one-hot, so the output says it."""
    with torch.no_grad():
        attention.out.weight.copy_(torch.eye(WIDTH))
        attention.qkv.weight[2 * WIDTH :] = torch.eye(WIDTH)
    paid = run(attention, x, p).detach()[..., : WIDTH // HEADS].clamp(min=1e-9)
    return -(paid * paid.log()).sum(-1)


def test_temperature_both_sharpens_and_diffuses(stir):
    attention = stir(Attention(WIDTH, HEADS))
    x = torch.eye(WIDTH)[None, : WIDTH // HEADS] * 4
    with torch.no_grad():
        attention.focus.zero_()
        attention.temperature.fill_(1.0)
    plain, sharp, dull = (
        entropies(attention, x, torch.full(x.shape[:2], p))[0, 1:] for p in (0.0, 0.9, -0.9)
    )
    assert (sharp < plain).all()
    assert (plain < dull).all()


def test_focus_draws_attention_to_the_present(stir):
    attention = stir(Attention(WIDTH, HEADS))
    x = torch.eye(WIDTH)[None, : WIDTH // HEADS]
    with torch.no_grad():
        attention.temperature.zero_()
        attention.focus.fill_(20.0)
    assert entropies(attention, x, torch.ones(x.shape[:2])).max() < 1e-3
    assert entropies(attention, x, torch.zeros(x.shape[:2]))[0, 1:].min() > 0.1
