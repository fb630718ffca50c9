from __future__ import annotations

from functools import partial

import pytest
import torch

from tropism_council.editor import Editor, Settings
from tropism_council.lookahead import Aims, after_choice
from tropism_council.online import OnlineLearner, Rates
from tropism_council.rehearsal import rehearse
from tropism_council.telemetry import Telemetry, encode

PERIOD, NOISE, WIDTH = 30, 0.3, 16
RATES = Rates(learning_rate=0.5, samples=2, every=1, teacher=0.9)
BASE = {"slope": torch.tensor(0.0), "level": torch.tensor(0.0)}


def flipping(lanes, steps, seed, noise=NOISE, late=0):
    """``y = slope x + noise``, whose slope changes its sign every 30 steps, or so many ``late``; as samples ``[lanes, steps]``."""
    rng = torch.Generator().manual_seed(seed)
    x = torch.rand(lanes, steps, generator=rng) + 0.5
    slope = 1 + 0.3 * torch.randn(lanes, 1, generator=rng)
    phase = torch.randint(PERIOD, (lanes, 1), generator=rng)
    sign = 1 - 2 * ((torch.arange(steps) - late + phase) // PERIOD % 2)
    return x, sign * slope * x + noise * torch.randn(lanes, steps, generator=rng)


def output(params, x):
    return x * params["slope"][:, None] + params["level"][:, None]


def loss(params, sample):
    return (output(params, sample[0]) - sample[1]) ** 2 / 2


def ties(params, teacher, sample):
    said = output(params, sample[0])
    return torch.stack([(said - output(teacher, sample[0])) ** 2 / 2, torch.zeros_like(said)], -1)


def measure(params, sample):
    surprise = loss(params, sample)
    return torch.stack([surprise, torch.zeros_like(surprise)], -1)


def learner(lanes, **more):
    return OnlineLearner(Aims(loss, ties), BASE, lanes, RATES, **more)


def parts(editor, telemetry):
    return [*editor.parameters(), *telemetry.embedding.parameters(), *telemetry.reader.parameters()]


def meta_train(steps, lanes=24, stretch=6, episode=96):
    """An editor and its telemetry after so many meta-steps."""
    editor, telemetry = Editor(WIDTH), Telemetry(WIDTH)
    optimizer = torch.optim.Adam(parts(editor, telemetry), 1e-2)
    for n in range(steps // (episode // stretch)):
        samples, online, state = (
            flipping(lanes, episode, 1000 + n),
            learner(lanes),
            telemetry.begin(lanes),
        )
        for some in zip(*(x.split(stretch, 1) for x in samples), strict=True):
            rehearsal = rehearse(editor, telemetry, online, some, measure, state)
            state = rehearsal.state
            optimizer.zero_grad()
            rehearsal.loss.backward()
            optimizer.step()
    return editor, telemetry


@torch.no_grad()
def play(propose, samples, **more):
    """Mean loss of the weights in use on answers that they had not learned from, and the mean scale of what was applied."""
    lanes, steps = samples[0].shape
    online = learner(lanes, **more)
    lost, scales = [], []
    for t in range(steps):
        one = tuple(x[:, t] for x in samples)
        known = measure(online.params, tuple(x[:, None] for x in one))
        lost.append(known[:, 0, 0])
        verdict = online.judge(one, torch.ones(lanes, dtype=torch.bool))
        if verdict:
            scales.append(torch.where(verdict.chosen > 0, 10**online.log_scale, 0))
        online.propose(propose(torch.cat([known[:, 0], online.measured], -1)))
    return torch.stack(lost).mean().item(), torch.stack(scales)


def by_editor(editor, telemetry, lanes):
    """What proposes by telemetry values ``float[B, 4]``."""
    state = telemetry.begin(lanes)

    def propose(values):
        nonlocal state
        latent, state = telemetry(encode(values)[:, None], state)
        return editor(latent[:, 0])

    return propose


def always_propose(settings, _values):
    return settings


def always(candidate):
    return lambda losses: torch.full(losses.shape[1:], candidate)


def at_random(seed):
    rng = torch.Generator().manual_seed(seed)
    return lambda losses: torch.randint(3, losses.shape[1:], generator=rng)


# -- the loss ---------------------------------------------------------------------------------------------------


def test_a_choice_is_made_by_one_sample_and_paid_by_the_next():
    losses = torch.tensor([[1.0, 1.0, 9.0], [0.0, 2.0, 9.0], [1.0, 0.0, 9.0]])
    later = torch.tensor([[1.0, 2.0, 9.0], [3.0, 4.0, 9.0], [5.0, 6.0, 9.0]])
    live = torch.tensor([True, True, False])
    assert after_choice(losses, later, live, 1e-3).item() == pytest.approx((3 + 6) / 2)
    assert after_choice(losses, later, live, 1e6).item() == pytest.approx((3 + 4) / 2, abs=1e-4)
    assert after_choice(losses, later, torch.zeros(3, dtype=torch.bool), 1.0) == 0


def test_its_gradient_reaches_all_of_the_editor_and_of_the_reader():
    editor, telemetry = Editor(WIDTH), Telemetry(WIDTH)
    rehearsal = rehearse(
        editor, telemetry, learner(8), flipping(8, 12, 0), measure, telemetry.begin(8)
    )
    rehearsal.loss.backward()
    assert all(p.grad is not None and p.grad.norm() > 0 for p in parts(editor, telemetry))


def test_a_stretch_too_short_to_pay_for_an_edit_says_so_by_zero():
    editor, telemetry = Editor(WIDTH), Telemetry(WIDTH)
    rehearsal = rehearse(
        editor, telemetry, learner(8), flipping(8, 2, 0), measure, telemetry.begin(8)
    )
    assert rehearsal.loss == 0
    assert not rehearsal.loss.requires_grad


def test_stretches_one_after_another_do_what_play_does():
    editor, telemetry = Editor(WIDTH), Telemetry(WIDTH)
    samples, online, state, values = flipping(4, 40, 0), learner(4), telemetry.begin(4), []
    for start in range(0, 40, 10):
        some = tuple(x[:, start : start + 10] for x in samples)
        rehearsal = rehearse(editor, telemetry, online, some, measure, state)
        rehearsal.loss.backward()
        values.append(rehearsal.values)
        state = rehearsal.state
    seen = []
    propose = by_editor(editor, telemetry, 4)
    play(lambda x: (seen.append(x), propose(x))[1], samples)
    torch.testing.assert_close(torch.cat(values, 1), torch.stack(seen, 1))


# -- what is learned --------------------------------------------------------------------------------------------


def test_looking_ahead_beats_a_fixed_rate_of_the_same_mean_and_a_random_choice():
    editor, telemetry = meta_train(256)
    samples = flipping(64, 150, 5)
    # no edit can do better than to know the truth two answers after a flip: one to see it, one to judge by
    best = flipping(64, 150, 5, noise=0, late=2)[1]
    floor = ((best - samples[1]) ** 2 / 2).mean().item()

    def excess(propose, **more):
        return play(propose, samples, **more)[0] - floor

    ahead, scales = play(by_editor(editor, telemetry, 64), samples)
    ahead -= floor
    means = (
        scales.mean().item(),
        scales[scales > 0].mean().item(),
    )  # with rollbacks as 0, and without them
    for mean in means:
        assert 0.01 < mean < 2
        same = partial(always_propose, Settings.fixed(64, mean))
        assert ahead < 0.6 * excess(same, choose=always(1))
        assert ahead < 0.75 * excess(same)  # it is not the judgement alone
    assert ahead < 0.3 * excess(by_editor(editor, telemetry, 64), choose=at_random(1))
    assert ahead < 0.8 * excess(by_editor(Editor(WIDTH), Telemetry(WIDTH), 64))
