from __future__ import annotations

import numpy as np
import pytest
import torch

from tropism.agents.contract import Task
from tropism.errors import DivergedError
from tropism_council.acting import DISCOUNT
from tropism_council.actor import expected
from tropism_council.choices import log_prob
from tropism_council.config import CouncilConfig
from tropism_council.experience import TRACE
from tropism_council.reinforced_policy import ReinforcedPolicy
from tropism_council.reinforcement import Practice, Practitioner, Targets
from tropism_council.rollouts import Rollouts

SMALL = CouncilConfig(
    width=16,
    voices=2,
    ponder_steps=3,
    slots=4,
    window=6,
    lanes=5,
    stretch=11,
    questions=4,
    threads=1,
)


def begin(env_id, **kwargs):
    task = Task(env_id, kwargs=kwargs)
    policy = ReinforcedPolicy(task, SMALL, Practice(epochs=1, batch=20))
    for parameter in policy.actor.parameters():  # none of them zero, so that nothing is hidden
        torch.nn.init.normal_(parameter, std=0.3)
    rollouts = Rollouts(policy.actor, policy.encoder, policy.choices, task, 5, 4 / 11, 64)
    rollouts.begin(np.random.default_rng(0))
    return policy, rollouts


@pytest.fixture(params=["Sanity-Memory", "Sanity-MultiDiscrete", "Chemotaxis-L0.2"])
def started(request):
    policy, rollouts = begin(f"tropism/{request.param}-v0")
    yield policy, rollouts
    rollouts.env.close()


def read_again(actor, stretch):
    rows = stretch.rows()
    held = stretch.held.take(rows.lane).forget(rows.fresh)
    read, _ = actor.read(type(stretch.seen)(*map(rows.of, stretch.seen)), rows.new, held)
    return rows, read


@torch.no_grad()
def test_an_update_reads_what_was_acted_by_whichever_system_acted(started):
    policy, rollouts = started
    learner = Practitioner(policy.actor, SMALL, policy.practice, 1)
    for _ in range(3):  # later stretches begin from streams and memories that are not empty
        normal = policy.actor.normal.state_dict()
        typed = {key: value.clone() for key, value in normal.items()}
        stretch = rollouts.next(11)
        measured = {k: v.clone() for k, v in policy.actor.normal.state_dict().items()}
        policy.actor.normal.load_state_dict(typed)
        rows, read = read_again(policy.actor, stretch)
        reflex, new = policy.actor.reflex(read.latents), rows.new
        assert new.sum() == 55
        thinks = rows.of(stretch.thinks) & new
        acted, _, _ = learner._think(read, reflex, thinks)
        options = rows.of(stretch.options)
        for now, then in (
            (log_prob(acted, options), stretch.log_probs),
            (log_prob(reflex, options), stretch.reflexes),
            (policy.actor.worth(read.latents), stretch.values),
        ):
            torch.testing.assert_close(now[new], rows.of(then)[new], atol=2e-5, rtol=1e-4)
        assert stretch.thinks.any()
        assert not stretch.thinks.all()
        apart = (stretch.log_probs - stretch.reflexes).abs()
        assert (apart[stretch.thinks] > 1e-3).all()
        assert (apart[~stretch.thinks] == 0).all()
        policy.actor.normal.load_state_dict(measured)


def test_rows_are_cut_where_episodes_begin():
    _, rollouts = begin("tropism/Sanity-Memory-v0")
    first, second = rollouts.next(11), rollouts.next(11)
    rollouts.env.close()
    assert first.first[0].tolist() == [t % 8 == 0 for t in range(11)]
    assert second.first[0].tolist() == [t % 8 == 0 for t in range(11, 22)]
    rows = second.rows()
    assert rows.new.sum(1).tolist() == [5, 6] * 5
    assert rows.fresh.tolist() == [False, True] * 5
    assert rows.lane.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert (first.ends[:, :-1] == first.first[:, 1:]).all()


def test_advantages_are_those_of_the_definition(started):
    _, rollouts = started
    stretch = rollouts.next(11)
    found = stretch.advantages()
    for lane in range(5):
        for t in range(11):
            wanted, weight = 0.0, 1.0
            for u in range(t, 11):
                ends = bool(stretch.ends[lane, u])
                after = stretch.last[lane] if u == 10 else stretch.values[lane, u + 1]
                after = stretch.beyond[lane, u] if ends else after
                error = stretch.rewards[lane, u] + DISCOUNT * after - stretch.values[lane, u]
                wanted += weight * error.item()
                weight *= DISCOUNT * TRACE
                if ends:
                    break
            assert found[lane, t].item() == pytest.approx(wanted, abs=1e-4)


def test_what_lies_beyond_is_foreseen_only_where_an_episode_is_cut_off():
    _, rollouts = begin("tropism/Sanity-Stochastic-v0")
    stretch = rollouts.next(33)  # truncated after 32 steps
    rollouts.env.close()
    assert stretch.ends[:, 31].all()
    assert (stretch.beyond[:, 31] != 0).all()
    assert (stretch.beyond[:, :31] == 0).all()
    _, rollouts = begin("tropism/Sanity-Memory-v0")
    stretch = rollouts.next(9)  # terminated after 8
    rollouts.env.close()
    assert stretch.ends[:, 7].all()
    assert (stretch.beyond == 0).all()


def test_gains_are_of_thinking_only():
    _, rollouts = begin("tropism/Sanity-Memory-v0")
    stretch = rollouts.next(22)
    rollouts.env.close()
    targets = Targets.of(stretch)
    assert (targets.gains[~stretch.thinks] == 0).all()
    assert (targets.gains[stretch.thinks] != 0).any()
    assert targets.advantages.mean().item() == pytest.approx(0, abs=1e-5)
    # where both systems say the same there is nothing to gain, whatever came of it
    same = Targets.of(stretch._replace(log_probs=stretch.reflexes))
    assert (same.gains == 0).all()


def test_a_gain_is_what_system_2_makes_better_on_the_whole():
    """Drawn by System 2 with chances p2, its mean is that of what was done under p2 less that under p1."""
    _, rollouts = begin("tropism/Sanity-Memory-v0")
    stretch = rollouts.next(22)
    rollouts.env.close()
    p1, p2 = torch.tensor([0.3, 0.7]), torch.tensor([0.6, 0.4])
    total = torch.zeros_like(stretch.values)
    for option in (0, 1):
        told = stretch._replace(
            log_probs=p2[option].log().expand_as(total),
            reflexes=p1[option].log().expand_as(total),
            rewards=stretch.rewards + option,
        )
        total += p2[option] * Targets.of(told).gains
    better = stretch.advantages() * 0
    for option in (0, 1):
        raw = stretch._replace(rewards=stretch.rewards + option).advantages()
        better += (p2 - p1)[option] * raw
    torch.testing.assert_close(total, better, atol=1e-5, rtol=1e-4)


def test_the_council_is_fused_by_its_chances_to_halt():
    policy, rollouts = begin("tropism/Sanity-MultiDiscrete-v0")
    with torch.no_grad():
        _, read = read_again(policy.actor, rollouts.next(11))
        thought = policy.actor.think(read, torch.tensor([[3, 1]]).expand(len(read.latents), 2))
    rollouts.env.close()
    going, wanted = torch.ones_like(thought.halt[0]), torch.zeros(())
    for n in range(3):
        wanted = wanted + (going * thought.halt[n])[..., None, None] * thought.log_probs[n].exp()
        going = going * (1 - thought.halt[n])
    torch.testing.assert_close(expected(thought).exp(), wanted, atol=1e-5, rtol=1e-4)
    voices = (thought.weights[..., None, None] * thought.voices.exp()).sum(-3)
    torch.testing.assert_close(thought.log_probs.exp(), voices, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(wanted.sum(-1), torch.ones(wanted.shape[:-1]))


def test_every_part_learns():
    torch.manual_seed(1)
    task = Task("tropism/Sanity-Dict-v0")
    policy = ReinforcedPolicy(task, SMALL, Practice(epochs=2, batch=20))
    rollouts = Rollouts(policy.actor, policy.encoder, policy.choices, task, 5, 4 / 11, 64)
    rollouts.begin(np.random.default_rng(0))
    largest: dict[str, float] = {}
    for name, parameter in policy.actor.named_parameters():

        def note(gradient, name=name):
            largest[name] = max(largest.get(name, 0.0), gradient.abs().max().item())

        parameter.register_hook(note)
    learner = Practitioner(policy.actor, SMALL, policy.practice, 10)
    logged = [learner.update(rollouts.next(11)) for _ in range(10)]
    rollouts.env.close()
    assert all(np.isfinite(list(row.values())).all() for row in logged)
    plastic = ("temperature", "focus", "gamma", "beta")  # the stream is read without plasticity
    for name, _ in policy.actor.named_parameters():
        assert name.endswith(plastic) or largest[name] > 1e-9, name


@pytest.mark.parametrize(
    ("part", "head"), [("gate.net.2.bias", "gate"), ("head.linear.bias", "policy, entropy, distil")]
)
def test_a_loss_that_is_not_a_number_stops_and_names_its_head(part, head):
    policy, rollouts = begin("tropism/Sanity-Memory-v0")
    stretch = rollouts.next(11)
    rollouts.env.close()
    learner = Practitioner(policy.actor, SMALL, policy.practice, 1)
    with torch.no_grad():
        policy.actor.get_parameter(part).fill_(torch.nan)
    before = {name: p.clone() for name, p in policy.actor.named_parameters()}
    with pytest.raises(DivergedError, match="nan") as caught:
        learner.update(stretch)
    assert caught.value.head == head
    for name, parameter in policy.actor.named_parameters():
        assert torch.equal(parameter.nan_to_num(7), before[name].nan_to_num(7))
