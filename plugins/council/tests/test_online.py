from __future__ import annotations

import math

import pytest
import torch
from plugins.council.tests.online_learners import (
    BASE,
    RATES,
    everything,
    learner,
    loss,
    output,
    proposal,
    sample,
    settings,
    ties,
    told,
    verdict_of,
)

from tropism_council.editor import Settings
from tropism_council.lookahead import BETAS, Aims, Layout, Moments, adam
from tropism_council.online import least

# -- the update -------------------------------------------------------------------------------------------------


def test_the_update_is_that_of_adam():
    start, moments = (
        torch.randn(2, 5),
        Moments(torch.zeros(2, 5), torch.zeros(2, 5), torch.zeros(2).long()),
    )
    expected = torch.nn.Parameter(start.clone())
    optimizer = torch.optim.Adam([expected], 0.1, betas=BETAS)
    rows = start
    for _ in range(6):
        expected.grad = torch.randn(2, 5)
        update, moments = adam(expected.grad, moments)
        rows = rows - 0.1 * update
        optimizer.step()
    torch.testing.assert_close(rows, expected.detach(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("edits_before", [0, 3])
def test_the_scale_scales_the_update_though_adam_normalises_gradients(edits_before):
    found = {}
    for scales in [(0.01, 2.0), (0.5, 1.0)]:
        torch.manual_seed(1)
        online = learner(2)
        for n in range(edits_before + 1):
            online.judge(sample(2), told(True, True))
            online.propose(settings(2, *(scales if n == edits_before else (1.0, 1.0))))
        found |= {s: online.rows - r for s, r in zip(scales, proposal(online).rows, strict=True)}
    assert (found[1.0].abs() > 1e-3).all()
    for scale, update in found.items():
        torch.testing.assert_close(update, scale * found[1.0], rtol=1e-4, atol=1e-7)


def test_scaling_the_losses_instead_changes_nothing():
    rows = []
    for factor in (1, 1000):
        torch.manual_seed(1)
        aims = Aims(lambda *a, f=factor: f * loss(*a), lambda *a, f=factor: f * ties(*a))
        online = learner(2, aims)
        online.judge(sample(2), told(True, True))
        online.propose(settings(2, 0.5, 1.0))
        rows.append(proposal(online).rows)
    torch.testing.assert_close(*rows)


# -- the judgement ----------------------------------------------------------------------------------------------


def test_a_worse_update_is_rolled_back_and_leaves_nothing_behind():
    online = learner()
    for y in (1.0, 1.2):
        online.judge(sample(1, y), told())
        online.propose(settings(1, 0.5, 1.0))
    before = everything(online)
    x = torch.ones(1, 2)
    verdict = verdict_of(
        online, (x, output(online.params, x[:, None])[:, 0]), told()
    )  # nothing to improve
    assert verdict.losses[0] == 0
    assert (verdict.losses[1:] > 0).all()
    assert verdict.chosen == 0
    assert torch.equal(everything(online), before)
    assert online.measured[0, 0] > 0  # there was a gradient
    assert online.measured[0, 1] == -2
    # and what follows is what would have followed had nothing been proposed
    other = learner()
    other.rows, other.moments, other.teacher = online.rows, online.moments, online.teacher
    other.samples, other.valid, other.since = online.samples, online.valid, online.since
    for each in (online, other):
        each.propose(settings(1, 0.5, 1.0))
    assert torch.equal(proposal(online).rows, proposal(other).rows)


@pytest.mark.parametrize(("y", "chosen"), [(0.0, 0), (0.55, 1), (5.0, 2)])
def test_the_candidate_that_loses_least_on_the_next_answer_goes_on(y, chosen):
    online = learner(rates=RATES._replace(learning_rate=0.05))
    x = torch.ones(1, 2)
    online.judge((x, torch.tensor([5.0])), told())
    online.propose(settings(1, 1.0, 2.0, weight=0.0))
    pending = proposal(online)
    outputs = [
        output(online.layout.split(r), x[:, None]).item() for r in (online.rows, *pending.rows)
    ]
    assert outputs == pytest.approx([0.4, 0.55, 0.7], abs=1e-5)
    verdict = verdict_of(online, (x, torch.tensor([y])), told())
    assert verdict.chosen == chosen
    rows = [Layout(BASE).join(BASE)[None], *pending.rows]
    assert torch.equal(online.rows, rows[chosen])
    assert online.moments.steps == bool(chosen)
    if chosen:
        assert torch.equal(online.moments.mean, pending.moments.mean[chosen - 1])
        assert torch.equal(online.moments.square, pending.moments.square[chosen - 1])
        assert online.measured[0, 1] == pytest.approx(math.log10(chosen))


def test_candidates_are_judged_on_the_next_sample_which_they_were_not_made_from():
    seen = []

    def spy(params, samples):
        seen.append((params["slope"].requires_grad, samples[1].detach().clone()))
        return loss(params, samples)

    online = learner(2, Aims(spy, ties))
    samples = [sample(2) for _ in range(5)]
    online.judge(samples[0], told(True, True))
    for n, one in enumerate(samples[1:], 1):
        seen.clear()
        online.propose(settings(2, 0.5, 1.0))
        ((learned_from, made_from),) = seen
        assert learned_from
        last = [s[1] for s in samples[:n]][-RATES.samples :]
        assert torch.equal(made_from[:, -len(last) :], torch.stack(last, 1))
        candidates = torch.cat([online.rows[None], proposal(online).rows])
        seen.clear()
        verdict = verdict_of(online, one, told(True, True))
        ((learned_from, judged_on),) = seen
        assert not learned_from
        assert torch.equal(judged_on.view(3, 2), one[1].expand(3, 2))
        by_hand = [
            loss(online.layout.split(r), (one[0][:, None], one[1][:, None])) for r in candidates
        ]
        torch.testing.assert_close(verdict.losses, torch.stack(by_hand)[:, :, 0])


def test_candidates_without_a_finite_loss_are_rolled_back():
    online = learner(2)
    online.judge((torch.ones(2, 2), torch.tensor([1.0, math.nan])), told(True, True))
    online.propose(settings(2, 0.5, 1.0))
    verdict = verdict_of(online, (torch.ones(2, 2), torch.tensor([1.0, 1.0])), told(True, True))
    assert verdict.losses[1:, 1].isnan().all()
    assert verdict.chosen.tolist() == [2, 0]
    assert online.rows.isfinite().all()
    assert not online.measured.isnan().any()


def test_what_is_least_is_found_among_numbers_and_unedited_if_nothing_is_less():
    inf, nan = math.inf, math.nan
    losses = [
        [1, 2, 2],
        [1, 1, 1],
        [1, nan, 0.5],
        [1, 0.5, nan],
        [nan, 2, 1],
        [nan] * 3,
        [inf, inf, 1],
    ]
    assert least(torch.tensor(losses).T).tolist() == [0, 0, 2, 1, 2, 0, 2]


@pytest.mark.parametrize("answers", [1, 2, 5])
def test_the_gradient_norm_is_that_of_the_mean_loss_of_the_last_samples(answers):
    online, samples = learner(), [sample(1) for _ in range(answers + 1)]
    for one in samples[:-1]:
        online.judge(one, told())
    params = {name: value[None].clone().requires_grad_() for name, value in BASE.items()}
    last = samples[:-1][-RATES.samples :]
    lost = torch.cat([loss(params, (x[:, None], y[:, None])) for x, y in last])
    slopes = torch.autograd.grad(lost.mean(), list(params.values()))
    expected = torch.cat([slope.flatten() for slope in slopes]).norm()
    online.propose(settings(1, 0.5, 1.0))
    assert online.measured.tolist() == [[0.0, -2.0]]  # the edit is not done
    online.judge(samples[-1], told())
    assert online.measured[0, 0].item() == pytest.approx(expected.item(), rel=1e-5)


# -- teacher and System 2 ---------------------------------------------------------------------------------------


def test_the_teacher_follows_the_weights_slowly():
    online, expected = learner(), Layout(BASE).join(BASE)[None]
    for _ in range(5):
        verdict = online.judge(sample(1, 3.0), told())
        online.propose(settings(1, 0.5, 1.0))
        if verdict:
            expected = 0.5 * expected + 0.5 * online.rows
        torch.testing.assert_close(online.teacher, expected)
    assert (online.rows - online.teacher).abs().min() > 1e-3


@pytest.mark.parametrize(("tie", "towards"), [(0, 0.4), (1, 2.0)], ids=["teacher", "System 2"])
def test_a_tie_draws_the_answers_towards_what_it_is_tied_to(tie, towards):
    online = learner()
    online.rows = online.rows + 0.2  # from 0.4 to 1 at x = (1, 1)
    online.judge((torch.ones(1, 2), torch.tensor([1.0])), told())  # nothing to gain but by ties
    weights = torch.tensor([[0.0, 0.0], [0.0, 0.0]])
    weights[1, tie] = 1.0
    online.propose(Settings(torch.ones(2, 1), weights[:, None]))
    none, tied = (
        output(online.layout.split(r), torch.ones(1, 1, 2)).item() for r in proposal(online).rows
    )
    assert none == pytest.approx(1.0)
    assert abs(tied - towards) < abs(1.0 - towards) - 0.1
