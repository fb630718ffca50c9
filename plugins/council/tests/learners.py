"""A learner at work, for the tests of its losses."""

from __future__ import annotations

import torch

from tropism_council.learning import Carried

LANES, STEPS = 8, 16


def begin(learner, lanes=LANES):
    return Carried.begin(learner.network, lanes)


def losses(learner, stretch, seed=0):
    """The losses of a stretch from the beginning of its episodes; the same steps are asked for a seed."""
    torch.manual_seed(seed)
    return learner.losses(stretch, begin(learner, len(stretch.answers)))[0]


def learn(learner, given):
    carried = begin(learner)
    for stretch in given:
        *_, carried = learner.update(stretch, carried)
    return carried


def listen(monkeypatch, thing, name):
    """What a method is given and returns, call by call."""
    calls, method = [], getattr(thing, name)

    def heard(*args):
        found = method(*args)
        calls.append((args, found))
        return found

    monkeypatch.setattr(thing, name, heard)
    return calls
