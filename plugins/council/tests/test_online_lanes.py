from __future__ import annotations

import pytest
import torch
from plugins.council.tests.online_learners import (
    BASE,
    RATES,
    everything,
    learner,
    loss,
    proposal,
    sample,
    settings,
    ties,
    told,
    verdict_of,
)

from tropism_council.lookahead import Aims
from tropism_council.online import OnlineLearner


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
