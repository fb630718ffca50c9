"""What follows the network, its teacher, and what is learned beside it, the editor."""

from __future__ import annotations

import torch
from plugins.council.tests.learners import LANES, STEPS, begin, listen, losses

from tropism_council.learning import REHEARSE_EVERY

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
