from __future__ import annotations

import math

import pytest
import torch

from tropism_council.editor import Editor, Settings
from tropism_council.lookahead import BETAS, Aims, Layout, Moments, adam
from tropism_council.online import OnlineLearner, Rates, least

RATES = Rates(learning_rate=0.1, samples=3, every=1, teacher=0.5)
BASE = {"slope": torch.tensor([0.2, -0.1]), "level": torch.tensor(0.3)}


def output(params, x):
    return (x * params["slope"][:, None]).sum(-1) + params["level"][:, None]


def loss(params, sample):
    return (output(params, sample[0]) - sample[1]) ** 2 / 2


def ties(params, teacher, sample):
    said = output(params, sample[0])
    return torch.stack([(said - output(teacher, sample[0])) ** 2 / 2, (said - 2) ** 2 / 2], -1)


def learner(lanes=1, aims=None, rates=RATES, **more):
    return OnlineLearner(aims or Aims(loss, ties), BASE, lanes, rates, **more)


def told(*lanes):
    return torch.tensor(lanes or [True])


def sample(lanes, y=None):
    return torch.rand(lanes, 2) + 0.5, torch.randn(lanes) if y is None else torch.full(
        (lanes,), float(y)
    )


def settings(lanes, *scales, weight=0.1):
    return Settings(
        torch.tensor(scales)[:, None].expand(2, lanes), torch.full((2, lanes, 2), float(weight))
    )


def proposal(online):
    assert online.pending is not None
    return online.pending


def verdict_of(online, one, mask):
    verdict = online.judge(one, mask)
    assert verdict is not None
    return verdict


def everything(online):
    """All that an edit can change in a lane but the telemetry."""
    return torch.cat([online.rows, *online.moments[:2], online.moments.steps[:, None]], 1).clone()


# -- the editor -------------------------------------------------------------------------------------------------


def test_proposals_are_in_range_and_the_conservative_one_is_never_the_greater():
    editor = Editor(8)
    proposed = editor(50 * torch.randn(200, 8))
    assert 0.01 <= proposed.scale.min() < 0.02
    assert 1.9 < proposed.scale.max() <= 2.0 + 1e-6
    assert 0.1 <= proposed.weights.min() < 0.2
    assert 2.0 < proposed.weights.max() <= 2.1 + 1e-6
    assert (proposed.scale[0] <= proposed.scale[1]).all()
    assert (proposed.weights[0] <= proposed.weights[1]).all()


def test_an_untrained_editor_proposes_scales_about_one():
    scale = Editor(8)(torch.zeros(1, 8)).scale[:, 0]
    assert 0.4 < scale[0] < 1 < scale[1] < 1.7


def test_every_parameter_of_the_editor_and_each_of_its_numbers_has_a_gradient():
    editor, online = Editor(8), learner(4)
    paid = []
    for _ in range(4):
        one = sample(4)
        if verdict := online.judge(one, told(*[True] * 4)):
            paid.append(verdict.losses[1:].sum())
        online.propose(editor(torch.randn(4, 8)))
    torch.stack(paid).sum().backward()
    slopes = [p.grad for p in editor.parameters()]
    assert all(slope is not None and slope.norm() > 0 for slope in slopes)
    assert slopes[-1] is not None
    assert (slopes[-1] != 0).all()  # mean and spread of all three


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


# -- lanes ------------------------------------------------------------------------------------------------------


def run(online, samples, masks, resets=None):
    """The state of all lanes after every step."""
    states = []
    for n, (one, mask) in enumerate(zip(samples, masks, strict=True)):
        if resets is not None and resets[n].any():
            online.reset(resets[n])
        online.judge(one, mask)
        online.propose(
            settings(len(mask), 0.3, 0.5 + n % 7 / 5, weight=n % 3)
        )  # another one every step
        states.append(torch.cat([everything(online), online.teacher, online.measured], 1))
    return states


@pytest.mark.parametrize("every", [1, 3])
def test_lanes_learn_as_they_would_alone_whenever_they_are_told_or_reset(every):
    rates = RATES._replace(every=every)
    samples = [sample(3) for _ in range(60)]
    masks = [torch.rand(3) < 0.7 for _ in range(60)]
    resets = [torch.rand(3) < 0.05 for _ in range(60)]
    assert sum(m.sum() for m in resets) > 3
    together = run(learner(3, rates=rates), samples, masks, resets)
    for lane in range(3):
        here = slice(lane, lane + 1)
        alone = run(
            learner(1, rates=rates),
            [tuple(x[here] for x in one) for one in samples],
            [m[here] for m in masks],
            [m[here] for m in resets],
        )
        for one, many in zip(alone, together, strict=True):
            torch.testing.assert_close(many[here], one)
    assert any((state[0] != state[1]).any() for state in together)


def test_a_reset_leaves_nothing_of_the_episode_and_the_other_lanes_as_they_were():
    online, fresh = learner(2), learner(2)
    run(online, [sample(2) for _ in range(6)], [told(True, True)] * 6)
    before = everything(online)
    online.reset(told(True, False))
    assert torch.equal(everything(online)[0], everything(fresh)[0])
    assert torch.equal(online.teacher[0], fresh.teacher[0])
    assert torch.equal(online.measured[0], fresh.measured[0])
    assert torch.equal(everything(online)[1], before[1])
    one = sample(2)
    assert verdict_of(online, one, told(True, True)).live.tolist() == [False, True]
    fresh.judge(one, told(True, True))
    for each in (online, fresh):
        each.propose(settings(2, 0.5, 1.0))
    assert torch.equal(proposal(online).rows[:, 0], proposal(fresh).rows[:, 0])
    assert torch.equal(proposal(online).norm[0], proposal(fresh).norm[0])


def test_a_reset_begins_with_the_weights_as_they_now_are():
    base = {name: torch.nn.Parameter(value.clone()) for name, value in BASE.items()}
    online = OnlineLearner(Aims(loss, ties), base, 2, RATES)
    with torch.no_grad():
        base["level"].add_(1)
    online.reset(told(False, True))
    assert online.params["level"].tolist() == pytest.approx([0.3, 1.3])


@pytest.mark.parametrize("every", [1, 2, 4])
def test_edits_come_after_so_many_answers(every):
    online = learner(rates=RATES._replace(every=every))
    judged = []
    for _ in range(12):
        judged.append(online.judge(sample(1), told()) is not None)
        online.propose(settings(1, 0.3, 1.0))
    assert judged == [n >= every and n % every == 0 for n in range(12)]


def test_functions_of_one_lane_serve_by_vmap():
    def loss_of_one(params, samples):
        return (samples[0] @ params["slope"] + params["level"] - samples[1]) ** 2 / 2

    def ties_of_one(params, teacher, samples):
        said, taught = (samples[0] @ p["slope"] + p["level"] for p in (params, teacher))
        return torch.stack([(said - taught) ** 2 / 2, (said - 2) ** 2 / 2], -1)

    samples, masks = [sample(3) for _ in range(6)], [told(True, True, True)] * 6
    vmapped = Aims(torch.func.vmap(loss_of_one), torch.func.vmap(ties_of_one))
    for one, other in zip(
        run(learner(3), samples, masks), run(learner(3, vmapped), samples, masks), strict=True
    ):
        torch.testing.assert_close(one, other)
