"""Lanes that learn online, each the slope and level of a line."""

from __future__ import annotations

import torch

from tropism_council.editor import Settings
from tropism_council.lookahead import Aims
from tropism_council.online import OnlineLearner, Rates

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
