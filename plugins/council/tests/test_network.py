from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tropism_council import memory
from tropism_council.network import Sizes
from tropism_council.tokens import Tokens

STEPS, LANES = 14, 3
FEW = settings(
    deadline=None,
    max_examples=12,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def plasticity(lanes=LANES, steps=STEPS):
    return torch.rand(lanes, steps) * 2 - 1


def replay(network, stretches, plastic):
    """Reads stretches one after the other; what both systems say at every step, and the state after."""
    state, said, done = network.begin(len(plastic)), [], 0
    for stretch in stretches:
        steps = stretch.asked.shape[1]
        read, state = network.read(
            stretch.tokens, stretch.asked, state, plastic[:, done : done + steps]
        )
        every = torch.arange(steps).expand(len(plastic), -1)
        thought = network.think(read, every)
        said.append(
            torch.cat(
                [
                    network.reflex(read.latents),
                    network.worth(read.latents)[..., None],
                    thought.log_probs.permute(1, 2, 0, 3).flatten(2),
                    thought.halt.permute(1, 2, 0),
                    thought.recalled.permute(1, 2, 0),
                ],
                -1,
            )
        )
        done += steps
    return torch.cat(said, 1), state


def plain_tokens(lanes, steps, seed=0):
    """One token a step, of 100, as tensors of a stretch."""
    value = np.random.default_rng(seed).integers(100, size=(lanes, steps))
    nothing = np.zeros_like(value)
    tokens = Tokens(value, nothing, nothing, nothing, nothing, np.ones(value.shape, np.bool_))
    return tokens, torch.arange(steps).expand(lanes, -1)


@pytest.mark.parametrize("name", ["Switch", "Hop"])
@FEW
@given(cuts=st.lists(st.integers(1, 6), min_size=2, max_size=6))
@torch.no_grad()
def test_stretches_of_any_cut_equal_the_whole(network, sizes, stretches, name, cuts):
    """On Hop the lanes read 2 to 10 tokens a step, each its own number."""
    net, plastic = network(sizes(name)), plasticity(LANES, sum(cuts))
    whole, _ = replay(net, stretches(name, LANES, [sum(cuts)]), plastic)
    parts, _ = replay(net, stretches(name, LANES, cuts), plastic)
    torch.testing.assert_close(parts, whole, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["Switch", "Hop"])
@torch.no_grad()
def test_step_by_step_equals_the_whole_far_beyond_the_window(network, sizes, stretches, name):
    net, plastic = network(sizes(name)), plasticity(LANES, 60)
    (one,) = stretches(name, LANES, [60])
    assert one.tokens.new.sum(1).min() > 5 * 8  # five windows at least
    whole, _ = replay(net, [one], plastic)
    parts, state = replay(net, stretches(name, LANES, [1] * 60), plastic)
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-5)
    assert state.stream.latents.shape[1] == 8
    assert state.ring.slots.shape[1] == 5


def reached(network, where, change, steps=60):
    """How far each step's System 1 and System 2 are moved by a change at ``where``, ``float[2, T]``."""
    tokens, asked = plain_tokens(1, steps)
    other = tokens._replace(value=tokens.value.copy())
    other.value[:, where] = (other.value[:, where] + change) % 100
    found = []
    for given_tokens in (tokens, other):
        read, _ = network.read(given_tokens, asked, network.begin(1))
        thought = network.think(read, torch.arange(steps)[None])
        found.append(torch.stack([network.reflex(read.latents)[0], thought.log_probs[-1, 0]]))
    return (found[0] - found[1]).abs().amax(-1)


@torch.no_grad()
def test_no_step_depends_on_one_that_comes_later(network):
    moved = reached(network(), 30, 17)
    assert moved[:, :30].max() == 0
    assert moved[:, 30:33].min() > 1e-4


@pytest.mark.parametrize("slots", [0, 20])
@torch.no_grad()
def test_contexts_longer_than_the_window_are_forgotten_as_documented(network, slots):
    """System 1 depends on ``layers * (window - 1)`` positions, System 2 on a window more.

    With a memory it depends on ``slots`` more, and on mean and deviation of all latents of the episode.
    """
    net = network(slots=slots)
    layers, window = net.backbone.layers, net.backbone.window
    stream = len(layers) * (window - 1)
    reflex, thought = reached(net, 10, 17) > 1e-6
    assert reflex.nonzero().max() == 10 + stream
    furthest = thought.nonzero().max().item()
    assert furthest > 10 + stream
    if not slots:
        assert furthest <= 10 + stream + window - 1
    else:
        assert furthest > 10 + stream + window - 1  # the memory reaches beyond the stream


@torch.no_grad()
def test_beyond_stream_and_slots_there_is_mean_and_deviation_alone(network, monkeypatch):
    """Were situations the latents themselves, System 2 would depend on ``slots`` steps more and the one before."""
    net = network(slots=20)
    reach = 10 + len(net.backbone.layers) * (net.backbone.window - 1) + 20 + 1
    measured = reached(net, 10, 17, 2 * reach)[1]
    assert measured[reach + 1 :].max() > 1e-6
    monkeypatch.setattr(memory, "situations", lambda latents, ring: (latents, ring.sums))
    plain = reached(net, 10, 17, 2 * reach)[1]
    assert plain[reach + 1 :].max() == 0
    assert plain[reach] > 0


@torch.no_grad()
def test_lanes_do_not_touch_one_another(network, sizes, stretches):
    net, plastic = network(sizes("Hop")), plasticity()
    (one,) = stretches("Hop", LANES, [STEPS])
    whole, _ = replay(net, [one], plastic)
    other = one._replace(tokens=one.tokens._replace(value=one.tokens.value.copy()))
    other.tokens.value[1] = 7 - other.tokens.value[1]
    moved, _ = replay(net, [other], plastic)
    torch.testing.assert_close(moved[[0, 2]], whole[[0, 2]], rtol=0, atol=0)
    assert (moved[1] - whole[1]).abs().max() > 1e-3


@torch.no_grad()
def test_forgetting_begins_exactly_the_lanes_of_the_mask(network):
    net = network()
    first, asked = plain_tokens(3, STEPS)
    later, _ = plain_tokens(3, STEPS, 1)
    plastic = plasticity(3)

    def say(state, rows=slice(None)):
        tokens = later._replace(**{name: x[rows] for name, x in later._asdict().items()})
        read, _ = net.read(tokens, asked[rows], state, plastic[rows])
        thought = net.think(read, asked[rows])
        return torch.cat([net.reflex(read.latents), thought.log_probs[-1]], -1)

    _, state = net.read(first, asked, net.begin(3), plastic)
    found = say(state.forget(torch.tensor([False, True, False])))
    torch.testing.assert_close(found[[0, 2]], say(state)[[0, 2]], rtol=0, atol=1e-5)
    torch.testing.assert_close(found[1:2], say(net.begin(1), slice(1, 2)), rtol=0, atol=1e-5)


@torch.no_grad()
def test_some_lanes_can_be_asked_alone(network):
    net = network()
    tokens, asked = plain_tokens(4, STEPS)
    read, _ = net.read(tokens, asked, net.begin(4))
    rows, chosen = torch.tensor([1, 3]), torch.tensor([[2, 9]] * 4)
    thought = net.think(read, chosen)
    alone = net.think(read.rows(rows), chosen[rows])
    torch.testing.assert_close(alone.log_probs, thought.log_probs[:, rows])


@torch.no_grad()
def test_plasticity_is_that_of_the_step_to_which_a_token_belongs(network, sizes, stretches):
    net = network(sizes("Hop"))
    (one,) = stretches("Hop", LANES, [STEPS])
    none = torch.zeros(LANES, STEPS)
    before, _ = replay(net, [one], none)
    default, _ = net.read(one.tokens, one.asked, net.begin(LANES))
    torch.testing.assert_close(net.reflex(default.latents), before[..., : net.head.out_features])
    plastic = none.clone()
    plastic[:, 6] = 0.8
    after, _ = replay(net, [one], plastic)
    torch.testing.assert_close(after[:, :6], before[:, :6], rtol=0, atol=0)
    assert (after[:, 6:8] - before[:, 6:8]).abs().amax(-1).min() > 1e-4


def test_a_later_loss_reaches_what_was_written_two_steps_earlier_and_more(network):
    net = network(window=2)  # so that only the memory reaches so far
    tokens, asked = plain_tokens(32, 8)
    read, _ = net.read(tokens, asked, net.begin(32))
    thought = net.think(read, torch.full((32, 1), 7))
    loss = -thought.log_probs[-1, :, 0, 5].mean()
    (gradient,) = torch.autograd.grad(loss, read.written.slots, retain_graph=True)
    assert (gradient[:, 2:6].norm(dim=-1).mean(0) > 1e-6).all()  # written 5 to 2 steps earlier
    assert not gradient[:, :2].any()  # longer ago than five slots
    (writer,) = torch.autograd.grad(loss, net.council.memory.outcome.weight)
    assert writer.norm() > 1e-5


def test_without_memory_both_systems_still_speak(network):
    net = network(slots=0)
    tokens, asked = plain_tokens(2, STEPS)
    read, state = net.read(tokens, asked, net.begin(2))
    thought = net.think(read, asked)
    assert not thought.recalled.any()
    assert state.ring.slots.shape[1] == 0
    assert thought.log_probs.exp().sum(-1).sub(1).abs().max() < 1e-5


def test_detached_states_carry_no_gradient(network):
    net = network()
    tokens, asked = plain_tokens(2, STEPS)
    _, state = net.read(tokens, asked, net.begin(2))
    cut = state.detach()
    read, _ = net.read(tokens, asked, cut)
    assert state.ring.slots.requires_grad
    assert not cut.ring.slots.requires_grad
    assert not cut.stream.caches[0].keys.requires_grad
    torch.testing.assert_close(read.latents, net.read(tokens, asked, state)[0].latents)


@pytest.mark.parametrize(("sizes", "action"), [(Sizes(101, 100, 9), 100), (Sizes(9, 8, 9), 8)])
def test_every_size_of_a_task_has_its_table(network, sizes, action):
    net = network(sizes)
    counts = [table.num_embeddings for table in net.embeddings]
    assert counts == [sizes.tokens, 20, sizes.queries, action + 1, 5]
