from __future__ import annotations

import math
import time

import gymnasium
import numpy as np
import pytest
import torch
from torch import nn

import tropism.envs  # noqa: F401  registers PatternWorld
from tropism.envs.patternworld.observer_replay import IdealBelief
from tropism.errors import OptionError
from tropism_council.telemetry import BINS, CHANNELS, Telemetry

LOW = (0.0, 0.0, 1e-4, -2.0)
HIGH = (10.0, 1.0, 100.0, math.log10(2))
INSIDE = torch.tensor([1.0, 0.5, 0.01, -1.0])
"""Values that no range cuts."""


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def telemetry():
    return Telemetry(16)


def random_tokens(*shape):
    return torch.randint(BINS, (*shape, len(CHANNELS)))


def by_hand(channel, value):
    """The token of one value, in plain Python."""
    low, high = LOW[channel], HIGH[channel]
    if CHANNELS[channel] == "gradient_norm":
        value, low, high = math.log10(max(value, 1e-4)), -4, 2
    return min(BINS - 1, int(min(max((value - low) / (high - low), 0), 1) * BINS))


# -- tokens -----------------------------------------------------------------------------------------------------


def test_tokens_can_be_computed_again_by_hand():
    rng = np.random.default_rng(0)
    values = np.stack(
        [
            rng.exponential(3, 500),
            rng.random(500),
            10 ** rng.uniform(-6, 4, 500),
            rng.uniform(-3, 1, 500),
        ],
        1,
    )
    expected = [[by_hand(c, x) for c, x in enumerate(row)] for row in values.tolist()]
    assert Telemetry.encode(torch.from_numpy(values)).tolist() == expected


def test_all_bins_are_in_use_and_their_middles_have_their_tokens():
    tokens = torch.arange(BINS)[:, None].expand(-1, len(CHANNELS))
    values = Telemetry.decode(tokens)
    assert torch.equal(Telemetry.encode(values), tokens)
    assert torch.equal(Telemetry.encode(values.float()), tokens)


@pytest.mark.parametrize("channel", range(4), ids=CHANNELS)
def test_values_beyond_an_end_saturate(channel):
    beyond = [(LOW[channel], 0), (HIGH[channel], BINS - 1), (1e9, BINS - 1), (math.inf, BINS - 1)]
    beyond += [(0.0 if channel == 2 else -1e9, 0), (-math.inf, 0)]
    for value, token in beyond:
        values = INSIDE.clone()
        values[channel] = value
        assert Telemetry.encode(values)[channel] == token, value


@pytest.mark.parametrize("channel", range(4), ids=CHANNELS)
def test_greater_values_never_have_lesser_tokens(channel):
    values = INSIDE.repeat(2000, 1)
    ends = (-6, 4) if channel == 2 else (LOW[channel] - 1, HIGH[channel] + 1)
    values[:, channel] = torch.linspace(*ends, 2000)
    if channel == 2:
        values[:, channel] = 10 ** values[:, channel]
    tokens = Telemetry.encode(values)
    assert (tokens[:, channel].diff() >= 0).all()
    assert tokens[:, channel].unique().tolist() == list(range(BINS))
    others = [c for c in range(4) if c != channel]
    assert (tokens[:, others] == Telemetry.encode(INSIDE)[others]).all()


@pytest.mark.parametrize("channel", range(4), ids=CHANNELS)
def test_what_is_no_number_is_refused_by_name(channel):
    values = INSIDE.repeat(3, 2, 1)
    values[1, 1, channel] = math.nan
    with pytest.raises(OptionError, match=f"telemetry {CHANNELS[channel]} is nan"):
        Telemetry.encode(values)


def test_another_number_of_channels_is_refused():
    with pytest.raises(OptionError, match=r"\(7, 3\).*surprise, entropy"):
        Telemetry.encode(torch.zeros(7, 3))


def test_encoding_32_steps_takes_less_than_a_millisecond():
    values = torch.rand(32, 4)
    times = []
    for _ in range(200):
        start = time.perf_counter()
        Telemetry.encode(values)
        times.append(time.perf_counter() - start)
    assert np.median(times) < 1e-3


# -- the reader -------------------------------------------------------------------------------------------------


def test_step_by_step_equals_all_at_once(telemetry):
    tokens = random_tokens(3, 20)
    at_once, after = telemetry(tokens, telemetry.begin(3))
    state, latents = telemetry.begin(3), []
    for t in range(20):
        latent, state = telemetry(tokens[:, t : t + 1], state)
        latents.append(latent)
    torch.testing.assert_close(torch.cat(latents, 1), at_once, rtol=0, atol=1e-6)
    torch.testing.assert_close(state, after, rtol=0, atol=1e-6)


def test_a_latent_depends_on_every_channel_so_far_and_on_nothing_later(telemetry):
    tokens = random_tokens(1, 10)
    before, _ = telemetry(tokens, telemetry.begin(1))
    for channel in range(4):
        other = tokens.clone()
        other[0, 4, channel] = (other[0, 4, channel] + 1) % BINS
        after, _ = telemetry(other, telemetry.begin(1))
        changed = (after != before).any(-1)[0].tolist()
        assert changed == [False] * 4 + [True] * 6


def test_lanes_do_not_touch_one_another(telemetry):
    tokens, state = random_tokens(4, 6), torch.randn(4, 16)
    together, _ = telemetry(tokens, state)
    alone, _ = telemetry(tokens[2:3], state[2:3])
    torch.testing.assert_close(together[2:3], alone, rtol=0, atol=1e-6)


# -- plasticity -------------------------------------------------------------------------------------------------


def test_plasticity_begins_at_zero_and_its_gradient_moves_it(telemetry):
    latents, _ = telemetry(random_tokens(8, 12), telemetry.begin(8))
    first = telemetry.plasticity(latents)
    assert first.shape == (8, 12)
    assert (first == 0).all()
    ((first - 0.5) ** 2).mean().backward()
    gradient = telemetry.plastic.weight.grad
    assert gradient.norm() > 0
    with torch.no_grad():
        telemetry.plastic.weight -= gradient / gradient.norm()
    moved = telemetry.plasticity(latents)
    assert moved.mean() > 0.1
    assert moved.abs().max() < 1


def test_plasticity_learns_to_follow_surprise(telemetry):
    tokens = random_tokens(16, 12)
    high = tokens[..., 0] >= BINS // 2
    optimizer = torch.optim.Adam(telemetry.parameters(), 0.01)
    wanted = torch.where(high, 0.5, -0.5)
    for _ in range(60):
        latents, _ = telemetry(tokens, telemetry.begin(16))
        optimizer.zero_grad()
        ((telemetry.plasticity(latents) - wanted) ** 2).mean().backward()
        optimizer.step()
    plasticity = telemetry.plasticity(telemetry(tokens, telemetry.begin(16))[0])
    assert plasticity[high].mean() > plasticity[~high].mean() + 0.5


# -- introspection ----------------------------------------------------------------------------------------------


def test_introspection_loss_is_the_mean_over_lanes_steps_and_channels(telemetry):
    latents, following = torch.randn(2, 3, 16), random_tokens(2, 3)
    log_probs = telemetry.introspect(latents).log_softmax(-1)
    assert log_probs.shape == (2, 3, 4, BINS)
    total = [
        -log_probs[b, t, c, following[b, t, c]].item()
        for b in range(2)
        for t in range(3)
        for c in range(4)
    ]
    loss = telemetry.introspection_loss(latents, following)
    assert loss.item() == pytest.approx(sum(total) / len(total), abs=1e-5)


def ideal_series(seed, steps):
    """Surprise and entropy of an ideal observer of switching rules, which edits no weights."""
    env = IdealBelief(
        gymnasium.make(
            "tropism/PatternWorld-Switch-v0", schedule="periodic", period=8, max_episode_steps=steps
        )
    )
    _, info = env.reset(seed=seed)
    rows = []
    for _ in range(steps):
        belief, target = info["belief"], info["target"]
        surprise = -math.log(max(belief["probs"][target], 1e-9))
        rows.append([surprise, belief["entropy"] / math.log(len(belief["probs"])), 0.0, 0.0])
        info = env.step(0)[-1]
    env.close()
    return Telemetry.encode(torch.tensor(rows))


def test_introspection_learns_a_real_series():
    telemetry = Telemetry(32)
    series = torch.stack([ideal_series(seed, 96) for seed in range(12)])
    optimizer = torch.optim.Adam(telemetry.parameters(), 0.01)

    def loss(some):
        latents, _ = telemetry(some[:, :-1], telemetry.begin(len(some)))
        return telemetry.introspection_loss(latents, some[:, 1:])

    untrained = loss(series[8:]).item()
    for _ in range(80):
        optimizer.zero_grad()
        loss(series[:8]).backward()
        optimizer.step()
    counts = nn.functional.one_hot(series[:8], BINS).double().mean((0, 1)) + 1e-3
    frequent = -(counts / counts.sum(-1, keepdim=True)).log()
    by_frequency = frequent.gather(1, series[8:].flatten(0, 1).T).mean().item()
    learned = loss(series[8:]).item()  # of episodes that were not learned from
    assert untrained > 3
    assert learned < 0.85 * by_frequency, (learned, by_frequency)
