from __future__ import annotations

import math

import pytest
import torch
from plugins.council.tests.learners import LANES, STEPS, begin, learn

from tropism.errors import DivergedError


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
