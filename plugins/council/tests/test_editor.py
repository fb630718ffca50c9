from __future__ import annotations

import torch
from plugins.council.tests.online_learners import learner, sample, told

from tropism_council.editor import Editor


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
