from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from tropism_council.blocks import Gain
from tropism_council.config import CouncilConfig
from tropism_council.editor import Settings
from tropism_council.network import Network, Sizes
from tropism_council.online import OnlineLearner, Rates
from tropism_council.readout import NAMES, Readout
from tropism_council.tokens import Tokens

D, V = 8, 5
EAGER = Rates(learning_rate=0.02, every=1)


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def readout():
    gain = Gain(D)
    with torch.no_grad():
        gain.gamma.normal_()
        gain.beta.normal_()
    return Readout(gain, nn.RMSNorm(D), nn.Linear(D, V))


def sample(lanes, answer=None, asked=False):
    return (
        torch.randn(lanes, D),
        torch.rand(lanes) - 0.5,
        torch.randint(V, (lanes,)) if answer is None else torch.full((lanes,), answer),
        torch.log_softmax(3 * torch.randn(lanes, V), -1),
        torch.full((lanes,), asked),
    )


def in_every_lane(readout, lanes):
    return OnlineLearner(readout.aims, readout.base, lanes).params


def test_unedited_it_is_system_1_of_the_network():
    network = Network(
        Sizes(tokens=V + 1, answers=V, queries=1), CouncilConfig(width=D, heads=2, layers=2)
    )
    value = np.random.default_rng(0).integers(0, V, (3, 6))
    zeros = np.zeros_like(value)
    tokens = Tokens(value, zeros, zeros, zeros, zeros, np.ones((3, 6), np.bool_))
    read, _ = network.read(
        tokens, torch.arange(6).expand(3, -1), network.begin(3), torch.rand(3, 6) - 0.5
    )
    said = network.readout.log_probs(
        in_every_lane(network.readout, 3), read.before, read.plasticity
    )
    torch.testing.assert_close(said, network.reflex(read.latents))


def test_loss_and_measures_are_those_of_the_answers(readout):
    some = tuple(x[:, None] for x in sample(3))
    params = in_every_lane(readout, 3)
    probs = readout.log_probs(params, *some[:2])[:, 0].exp()
    measured = readout.measure(params, some)[:, 0]
    for lane in range(3):
        p = probs[lane].tolist()
        surprise = -math.log(p[int(some[2][lane])])
        assert readout.loss(params, some)[lane].item() == pytest.approx(surprise, abs=1e-5)
        assert measured[lane].tolist() == pytest.approx(
            [surprise, -sum(x * math.log(x) for x in p) / math.log(V)], abs=1e-5
        )


def test_ties_are_divergences_from_the_teacher_and_from_system_2_where_that_was_asked(readout):
    some = tuple(
        torch.cat([x, y])[:, None] for x, y in zip(sample(1, asked=True), sample(1), strict=True)
    )
    params = in_every_lane(readout, 2)
    teacher = {name: value + 0.3 * torch.randn_like(value) for name, value in params.items()}
    found = readout.ties(params, teacher, some)[:, 0]
    said, taught = (readout.log_probs(p, *some[:2])[:, 0] for p in (params, teacher))
    by_hand = [(wanted.exp() * (wanted - said)).sum(-1) for wanted in (taught, some[3][:, 0])]
    torch.testing.assert_close(found[:, 0], by_hand[0])
    assert found[0, 1].item() == pytest.approx(by_hand[1][0].item(), abs=1e-5)
    assert found[1, 1] == 0
    assert (readout.ties(params, params, some)[..., 0].abs() < 1e-6).all()


def test_edits_move_every_weight_of_their_own_lane_and_none_of_the_network(readout):
    before = {name: value.clone() for name, value in readout.base.items()}
    online = OnlineLearner(readout.aims, readout.base, 2, EAGER)
    first = online.params
    lost = []
    for _ in range(100):
        one = sample(2, answer=3)
        lost.append(readout.loss(online.params, tuple(x[:, None] for x in one))[0, 0].item())
        online.judge(one, torch.tensor([True, False]))  # lane 1 is never told
        online.propose(Settings.fixed(2, 1.0))
    assert sum(lost[-5:]) < 0.5 * sum(lost[:5])
    for name in NAMES:
        assert (online.params[name][0] != first[name][0]).all(), name
        assert torch.equal(online.params[name][1], first[name][1])
        assert torch.equal(readout.base[name], before[name])


def test_a_tie_to_system_2_teaches_what_no_answer_did(readout):
    online = OnlineLearner(readout.aims, readout.base, 1, EAGER)
    sure = torch.log_softmax(8 * nn.functional.one_hot(torch.tensor([4]), V).float(), -1)
    before, plasticity, *_ = sample(1)
    one = before, plasticity, torch.tensor([0]), sure, torch.tensor([True])
    online.judge(one, torch.tensor([True]))
    weights = torch.tensor([[0.0, 0.0], [0.0, 1e3]])[:, None]  # so that the answer has no say
    online.propose(Settings(torch.ones(2, 1), weights))
    assert online.pending is not None
    some = tuple(x[:, None] for x in one)
    apart = [
        readout.ties(online.layout.split(rows), online.params, some)[0, 0, 1].item()
        for rows in (online.rows, *online.pending.rows)
    ]
    assert apart[2] < apart[0] < apart[1]


def test_gains_do_not_move_where_plasticity_is_zero(readout):
    online = OnlineLearner(readout.aims, readout.base, 1, EAGER)
    for _ in range(20):
        before, _, *rest = sample(1, answer=2)
        online.judge((before, torch.zeros(1), *rest), torch.tensor([True]))
        online.propose(Settings.fixed(1))
    assert (online.params["head.weight"][0] != readout.head.weight).any()
    assert torch.equal(online.params["gain.gamma"][0], readout.gain.gamma)
    assert torch.equal(online.params["gain.beta"][0], readout.gain.beta)
