from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from tropism.errors import DivergedError
from tropism_council.episodes import Episodes
from tropism_council.gate import SLOWLY
from tropism_council.learning import REHEARSE_EVERY, Carried, Learner
from tropism_council.losses import DISCOUNT, returns
from tropism_council.network import Network

LANES, STEPS = 8, 16


@pytest.fixture
def learner(tiny, sizes):
    """A learner of a fresh network: ``learner("Switch", field=value, ...)``."""

    def go(name="Switch", updates=100, **more):
        config = tiny(**more)
        return Learner(Network(sizes(name), config), config, updates)

    return go


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


# -- everything learns ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Switch", "Hop"])
def test_every_parameter_has_a_gradient_after_ten_updates(learner, stretches, name):
    """All of them by name, without an exception: the value, memory, editor, its telemetry, gate and plasticity too."""
    one = learner(name)
    *given, last = stretches(name, LANES, [STEPS] * 11)
    carried = learn(one, given)
    one.network.zero_grad()
    one.total(one.losses(last, carried)[0]).backward()
    norms = {
        key: 0.0 if p.grad is None else p.grad.norm().item()
        for key, p in one.network.named_parameters()
    }
    assert [key for key, norm in norms.items() if not norm > 0] == []
    heads = (
        "head.",
        "value.",
        "gate.",
        "council.halt.",
        "council.memory.situation.",
        "council.memory.outcome.",
        "council.memory.likeness",
        "council.memory.query.",
        "council.personas",
        "council.recency",
    )
    heads += (
        "telemetry.plastic.",
        "telemetry.guess.",
        "council.ask.",
        "backbone.layers.0.attention.focus",
        "backbone.layers.0.attention.recency",
        "editor.net.0.",
        "editor.net.2.",
    )
    assert all(any(key.startswith(head) for key in norms) for head in heads)


@pytest.mark.parametrize("name", ["Switch", "Hop"])
def test_every_parameter_has_moved_after_ten_updates(learner, stretches, name):
    one = learner(name)
    before = {key: p.detach().clone() for key, p in one.network.named_parameters()}
    learn(one, stretches(name, LANES, [STEPS] * 10))
    still = [key for key, p in one.network.named_parameters() if torch.equal(p, before[key])]
    assert still == []


def test_a_small_network_learns_affine_within_seconds(learner, tier, sizes):
    """On fresh episodes; uniform guesses lose ln 97 = 4.57 nats, a successor table is right in .30 of the steps."""
    small = {"width": 32, "layers": 1, "window": 16, "voices": 2, "ponder_steps": 2}
    one = learner("Affine", 140, **small, learning_rate=0.01, online=False)
    made = Episodes(tier("Affine"), 32, sizes("Affine").tokens - 1, 0)
    made.begin(np.random.default_rng(0))
    carried, found = begin(one, 32), []
    for _ in range(140):
        stretch, began = made.next(32)
        carried = begin(one, 32) if began else carried
        told, facts, carried = one.update(stretch, carried)
        found.append([told.reflex.item(), told.council.item(), facts.right.item()])
    made.env.close()
    reflex, council, right = np.mean(found[-20:], 0)
    assert np.mean(found[:5], 0)[0] > 4
    assert reflex < 1.5
    assert council < 1.5
    assert right > 0.7


# -- the teacher ------------------------------------------------------------------------------------------------


def test_the_teacher_is_the_moving_average_of_the_weights(learner, stretches):
    one = learner(teacher_decay=0.8)
    average = {key: p.detach().clone() for key, p in one.network.named_parameters()}
    carried = begin(one)
    for done, stretch in enumerate(stretches("Switch", LANES, [STEPS] * 6), 1):
        *_, carried = one.update(stretch, carried)
        decay = min(0.8, done / (10 + done))
        for key, p in one.network.named_parameters():
            average[key] = decay * average[key] + (1 - decay) * p.detach()
    for key, p in one.teacher.named_parameters():
        torch.testing.assert_close(p, average[key], rtol=1e-4, atol=1e-6)
        assert not torch.equal(p, dict(one.network.named_parameters())[key])


def test_system_1_is_drawn_to_the_teachers_system_2(learner, stretches, monkeypatch, stir):
    one = learner()
    stir(one.teacher)
    (stretch,) = stretches("Switch", LANES, [STEPS])
    theirs, own = (
        listen(monkeypatch, one.teacher, "think"),
        listen(monkeypatch, one.network, "reflex"),
    )
    found = losses(one, stretch).distil
    (((_, chosen), thought),) = theirs
    said = own[0][1]  # float[B, T, V]
    lanes = torch.arange(LANES)[:, None]
    steps = thought.steps() - 1
    target = thought.log_probs[steps, lanes, torch.arange(chosen.shape[1])]
    divergence = (target.exp() * (target - said[lanes, chosen])).sum(-1).mean()
    torch.testing.assert_close(found, divergence)
    assert found > 0.01


def test_another_teacher_is_another_target_and_nothing_else(learner, stretches, stir):
    one = learner()
    (stretch,) = stretches("Switch", LANES, [STEPS])
    before = losses(one, stretch)
    stir(one.teacher.council)
    after = losses(one, stretch)
    changed = [key for key, a, b in zip(before._fields, before, after, strict=True) if a != b]
    assert changed == ["distil"]


def test_no_gradient_flows_into_the_teacher_and_only_system_1_follows_it(learner, stretches):
    one = learner()
    (stretch,) = stretches("Switch", LANES, [STEPS])
    losses(one, stretch).distil.backward()
    assert all(p.grad is None and not p.requires_grad for p in one.teacher.parameters())
    assert one.network.head.weight.grad.norm() > 0
    assert one.network.backbone.layers[0].feed[0].weight.grad.norm() > 0
    moved = [key for key, p in one.network.council.named_parameters() if p.grad is not None]
    assert moved == []


def test_losses_are_added_by_their_weights(learner, stretches):
    (stretch,) = stretches("Switch", LANES, [STEPS])
    plain = learner(ponder_weight=0.0, distil_weight=0.0, value_weight=0.0)
    more = learner(ponder_weight=2.0, distil_weight=3.0, value_weight=4.0)
    found = losses(plain, stretch)
    apart = more.total(found) - plain.total(found)
    torch.testing.assert_close(apart, 2 * found.ponder + 3 * found.distil + 4 * found.value)


# -- both modes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threshold", [-math.inf, math.inf])
def test_both_systems_are_asked_whatever_the_gate_says(learner, stretches, monkeypatch, threshold):
    """As often as the settings say, at random steps, so that neither mode starves while the gate learns."""
    one = learner(online=False)
    one.network.gate.threshold.fill_(threshold)
    thoughts = listen(monkeypatch, one.network, "think")
    (stretch,) = stretches("Switch", 4 * LANES, [STEPS])
    for seed in range(8):
        losses(one, stretch, seed)
    chosen = torch.stack([args[1] for args, _ in thoughts])
    assert chosen.shape == (8, 4 * LANES, 4)
    assert (chosen.diff(dim=-1) > 0).all()  # different steps, in order
    counts = chosen.flatten().bincount(minlength=STEPS)
    assert counts.min() > 0.5 * counts.double().mean()


def test_the_gate_learns_from_the_gain_that_was_measured_and_moves_nothing_else(learner, stretches):
    one = learner()
    (stretch,) = stretches("Switch", LANES, [STEPS])
    losses(one, stretch).gate.backward()
    moved = [key for key, p in one.network.named_parameters() if p.grad is not None]
    assert moved
    assert all(key.startswith("gate.") for key in moved)


def test_a_gain_is_by_how_much_likelier_the_council_found_the_right_answer(
    learner, stretches, monkeypatch
):
    one = learner()
    (stretch,) = stretches("Switch", LANES, [STEPS])
    told = listen(monkeypatch, one.network.gate, "loss")
    thoughts, said = (listen(monkeypatch, one.network, name) for name in ("think", "reflex"))
    losses(one, stretch)
    (((_, chosen), thought),), (((_, gain), _),), reflex = thoughts, told, said[0][1]
    lanes, questions = torch.arange(LANES)[:, None], torch.arange(4)
    wanted = stretch.answers[lanes, chosen]
    council = thought.log_probs[thought.steps() - 1, lanes, questions, wanted]
    torch.testing.assert_close(gain, council.exp() - reflex[lanes, chosen, wanted].exp())


@pytest.mark.parametrize("kind", ["expectation", "likelihood"])
def test_the_council_learns_by_the_loss_that_was_asked_for(learner, stretches, monkeypatch, kind):
    one = learner(ponder_loss=kind)
    (stretch,) = stretches("Switch", LANES, [STEPS])
    thoughts = listen(monkeypatch, one.network, "think")
    found = losses(one, stretch)
    (((_, chosen), thought),) = thoughts
    wanted = stretch.answers[torch.arange(LANES)[:, None], chosen]
    right = thought.log_probs.gather(
        -1, wanted[None, ..., None].expand(len(thought.halt), -1, -1, 1)
    )
    halting, right = thought.halting(), right[..., 0]
    mean, mixture = -(halting * right).sum(0).mean(), -(halting * right.exp()).sum(0).log().mean()
    torch.testing.assert_close(found.council, mean if kind == "expectation" else mixture)
    assert (mean - mixture).abs() > 1e-4


def test_what_is_typical_of_a_disagreement_follows_updates_and_no_look_at_the_losses(
    learner, stretches
):
    one = learner()
    (stretch,) = stretches("Switch", LANES, [STEPS])
    losses(one, stretch)
    assert one.network.gate.typical == 0
    _, facts, _ = one.update(stretch, begin(one))
    torch.testing.assert_close(one.network.gate.typical, (1 - SLOWLY) * facts.apart)


# -- the editor -------------------------------------------------------------------------------------------------


def test_rehearsal_moves_the_editor_and_the_reader_of_the_telemetry_and_nothing_else(
    learner, stretches
):
    one = learner()
    (stretch,) = stretches("Switch", LANES, [STEPS])
    losses(one, stretch).editor.backward()
    moved = {key for key, p in one.network.named_parameters() if p.grad is not None}
    heads = ("editor.", "telemetry.embedding.", "telemetry.reader.")
    assert moved == {key for key, _ in one.network.named_parameters() if key.startswith(heads)}


def test_the_editor_is_rehearsed_now_and_then_and_never_without_answers(learner, stretches):
    one = learner()
    *given, last = stretches("Switch", LANES, [STEPS] * 5)
    carried, found = begin(one), []
    for stretch in given:
        told, _, carried = one.update(stretch, carried)
        found.append(told.editor.item() > 0)
    assert found == [done % REHEARSE_EVERY == 0 for done in range(4)]
    assert losses(one, last).editor > 0
    untold = last.answers.clone()
    untold[0, 3] = -1
    assert losses(one, last._replace(answers=untold)).editor == 0


def test_offline_there_is_no_editor_and_all_else_is_the_same(learner, stretches):
    torch.manual_seed(3)
    off = learner(online=False)
    torch.manual_seed(3)
    on = learner(online=True)
    (stretch,) = stretches("Switch", LANES, [STEPS])
    without, whole = losses(off, stretch), losses(on, stretch)
    assert without.editor == 0
    assert without[:-1] == whole[:-1]
    names = {key for key, _ in on.network.named_parameters() if not key.startswith("editor.")}
    assert names == {key for key, _ in off.network.named_parameters()}


# -- what comes after -------------------------------------------------------------------------------------------


def test_returns_are_the_discounted_share_of_right_answers_to_come():
    right = torch.tensor([[True, False, True], [False, False, False], [True, True, True]])
    d = DISCOUNT
    by_hand = [[1 + d**2, d, 1], [0, 0, 0], [1 + d + d**2, 1 + d, 1]]
    torch.testing.assert_close(returns(right), (1 - d) * torch.tensor(by_hand))


def test_a_stretch_of_one_step_teaches_too(learner, stretches):
    one = learner()
    (stretch,) = stretches("Switch", LANES, [1])
    found, *_ = one.update(stretch, begin(one))
    assert all(math.isfinite(x.item()) for x in found)


def test_what_was_carried_matters_and_carries_no_gradient(learner, stretches, stir):
    one = learner()
    stir(one.network)
    first, second = stretches("Switch", LANES, [STEPS, STEPS])
    _, _, carried = one.losses(first, begin(one))
    assert not carried.student.ring.slots.requires_grad
    assert not carried.self_state.requires_grad
    torch.manual_seed(0)
    after = one.losses(second, carried)[0]
    assert after.reflex != losses(one, second).reflex


def test_the_learning_rate_warms_up_stands_and_falls(learner, stretches):
    one = learner(updates=40, online=False)
    carried, rates = begin(one), []
    for stretch in stretches("Switch", LANES, [2] * 40):
        rates.append(one.descent.rate / one.config.learning_rate)
        *_, carried = one.update(stretch, carried)
    assert rates[0] < 0.5
    assert rates[5:20] == [1.0] * 15
    assert all(later < before for before, later in pairwise(rates[21:]))
    assert 1 / 30 <= rates[-1] < 0.1


# -- what is not a number ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "head"),
    [
        ("head.bias", "reflex"),
        ("value.bias", "value"),
        ("gate.net.0.bias", "gate"),
        ("council.halt.bias", "council"),
        ("telemetry.guess.bias", "introspection"),
        ("editor.net.0.bias", "editor"),
    ],
)
def test_a_loss_that_is_not_a_number_stops_with_the_name_of_its_head(
    learner, stretches, part, head
):
    one = learner()
    learn(one, stretches("Switch", LANES, [STEPS] * 2))
    with torch.no_grad():
        one.network.get_parameter(part).fill_(math.nan)
    before = {key: value.clone() for key, value in one.network.state_dict().items()}
    (stretch,) = stretches("Switch", LANES, [STEPS], 1)
    with pytest.raises(DivergedError, match=f"the loss of '{head}' is nan.*learning_rate") as error:
        one.update(stretch, begin(one))
    assert error.value.head == head
    for key, value in one.network.state_dict().items():
        torch.testing.assert_close(value, before[key], rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize(
    ("part", "head"),
    [("value.weight", "network"), ("gate.net.0.weight", "gate"), ("editor.net.0.weight", "editor")],
)
def test_a_gradient_that_is_not_a_number_changes_no_weight(learner, stretches, part, head):
    one = learner()
    one.network.get_parameter(part).register_hook(lambda gradient: gradient * math.inf)
    before = {key: value.clone() for key, value in one.network.state_dict().items()}
    (stretch,) = stretches("Switch", LANES, [STEPS])
    with pytest.raises(DivergedError, match=f"the gradient of '{head}' is"):
        one.update(stretch, begin(one))
    for key, value in one.network.state_dict().items():
        torch.testing.assert_close(value, before[key], rtol=0, atol=0)
