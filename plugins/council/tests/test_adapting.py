from __future__ import annotations

import pytest
import torch

from tropism_council.adapting import Adapting, rehearsed
from tropism_council.network import Read

LANES, STEPS, ANSWERS, WIDTH = 3, 16, 100, 16
EVERY_LANE = torch.ones(LANES, dtype=torch.bool)


@pytest.fixture
def seen(network, stretches):
    """A stirred network, what it made of a stretch with plasticity, and answers: ``seen(field=value, ...)``."""

    def go(**more):
        net = network(**more)
        (stretch,) = stretches("Switch", LANES, [STEPS])
        answers = torch.full_like(stretch.answers, 7)  # so that there is something to learn
        plastic = torch.rand(LANES, STEPS) - 0.5
        read, _ = net.read(stretch.tokens, stretch.asked, net.begin(LANES), plastic)
        return net, read, answers

    return go


def at(read, t):
    """A single step."""
    parts = read._asdict()
    for name in ("latents", "at", "step", "before", "plasticity"):
        parts[name] = parts[name][:, t : t + 1]
    return Read(**parts)


@torch.no_grad()
def live(adapting, net, read, answers, told=EVERY_LANE):
    """Go through the steps as at play; System 1's answers and the verdicts, each ``[B, T, ...]``."""
    said, verdicts = [], []
    for t in range(STEPS):
        one = at(read, t)
        said.append(adapting.say(one, net.reflex(one.latents[:, 0])))
        adapting.remember(one, said[-1], torch.zeros(LANES, dtype=torch.bool))
        adapting.judge(answers[:, t], told)
        verdicts.append(adapting.verdict)
        adapting.propose(torch.zeros(LANES, WIDTH))
    return torch.stack(said, 1), torch.stack(verdicts, 1)


@torch.no_grad()
def test_what_a_read_carries_gives_system_1_before_any_edit(seen):
    net, read, _ = seen()
    adapting = Adapting(net, net.editor, LANES, 0.1)
    reflex = net.reflex(read.latents)
    params = adapting.online.params
    said = net.readout.log_probs(params, read.before, read.plasticity)
    torch.testing.assert_close(said, reflex, rtol=0, atol=1e-5)
    rows = torch.tensor([2, 0])
    some = read.rows(rows)
    assert torch.equal(some.before, read.before[rows])
    assert torch.equal(some.plasticity, read.plasticity[rows])
    assert adapting.say(at(read, 3), reflex[:, 3]).equal(reflex[:, 3])


@torch.no_grad()
def test_an_edit_changes_its_own_lane_and_neither_another_nor_the_network(seen):
    net, read, answers = seen()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    told = torch.tensor([False, True, False])
    said, verdicts = live(Adapting(net, net.editor, LANES, 0.1), net, read, answers, told)
    reflex = torch.stack([net.reflex(read.latents[:, t]) for t in range(STEPS)], 1)
    assert torch.equal(said[[0, 2]], reflex[[0, 2]])
    assert (said[1] - reflex[1]).abs().max() > 1e-2
    assert (verdicts[[0, 2]] == -1).all()
    assert (
        verdicts[1].tolist().count(-1) == STEPS - 3
    )  # proposed every 4 answers, judged by the next
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


@torch.no_grad()
def test_it_can_learn_what_the_network_does_not_know(seen):
    net, read, answers = seen()
    said, _ = live(Adapting(net, net.editor, LANES, 0.1), net, read, answers)
    surprise = -said[..., 7]
    assert (surprise[:, -3:].mean() < surprise[:, :4].mean() - 1).all()


@torch.no_grad()
def test_a_reset_drops_the_edits_of_its_lanes(seen):
    net, read, answers = seen()
    adapting = Adapting(net, net.editor, LANES, 0.1)
    live(adapting, net, read, answers)
    reflex = net.reflex(read.latents[:, 0])
    edited = adapting.say(at(read, 0), reflex)
    adapting.reset(torch.tensor([False, True, False]))
    after = adapting.say(at(read, 0), reflex)
    assert torch.equal(after[1], reflex[1])
    assert torch.equal(after[[0, 2]], edited[[0, 2]])
    assert (edited[1] - after[1]).abs().max() > 1e-2


def test_nothing_is_proposed_where_none_is_due(seen, monkeypatch):
    net, read, answers = seen()
    asked = []
    monkeypatch.setattr(
        net.editor, "forward", lambda x, f=net.editor.forward: (asked.append(x), f(x))[1]
    )
    live(Adapting(net, net.editor, LANES, 0.1), net, read, answers)
    assert len(asked) == STEPS // 4


def test_a_rehearsal_is_too_short_or_pays(seen):
    net, read, answers = seen()
    itself = torch.zeros(LANES, STEPS, WIDTH)
    thought = torch.tensor([[1, 5]] * LANES), torch.zeros(LANES, 2, ANSWERS).log_softmax(-1)

    def found(steps):
        part = Read(read.latents, read.at, read.step, *read[3:5], *(x[:, :steps] for x in read[5:]))
        chosen = thought[0].clamp(max=steps - 1)
        given = part, itself[:, :steps], answers[:, :steps], (chosen, thought[1])
        return rehearsed(net, *given, 0.01)

    assert found(3) == 0
    assert found(4) > 0
    assert found(4).requires_grad
