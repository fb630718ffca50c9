from __future__ import annotations

import numpy as np
import pytest
import torch

from tropism.errors import OptionError
from tropism_moe.agent_config import MoEConfig
from tropism_moe.choices import Choices
from tropism_moe.lessons import Lesson
from tropism_moe.model import Routing
from tropism_moe.stages import HOT, SOFT, build, losses, routing_at, set_progress, total, upcycle
from tropism_moe.ternary import TernaryLinear

CONFIG = MoEConfig(
    width=16, hidden=24, head_width=8, window=8, rank=4, lattice=(2, 2, 1), lanes=4, stretch=12
)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.fixture
def lesson():
    from gymnasium.spaces import Discrete

    seen, wanted = torch.randn(4, 12, 6), torch.randint(0, 3, (4, 12, 1)).float()
    return Lesson(seen, wanted, torch.rand(4, 12) < 0.1), Choices(Discrete(3))


def test_without_noise_experts_say_what_the_dense_network_said(lesson):
    dense, sparse = (build(stage, CONFIG, 6, 3) for stage in ("dense", "sparse"))
    upcycle(dense, sparse, 0.0)
    (given, _), x = lesson, lesson[0].seen
    with torch.no_grad():
        wanted, _ = dense(x, dense.begin(4), given.resets)
        for routing in (Routing(), Routing(soft=True, temperature=0.3)):
            found, _ = sparse(x, sparse.begin(4), given.resets, routing)
            torch.testing.assert_close(found.outputs, wanted.outputs, rtol=1e-4, atol=1e-5)


def test_noise_makes_experts_differ_by_as_much_as_was_asked(lesson):
    dense, sparse = (build(stage, CONFIG, 6, 3) for stage in ("dense", "sparse"))
    upcycle(dense, sparse, 0.25)
    (told,) = (w for n, w in dense.named_parameters() if "0.recurrent.1." in n and "up.weight" in n)
    each = [w for n, w in sparse.named_parameters() if "0.recurrent.1." in n and "up.weight" in n]
    assert len(each) == 4
    for weight in each:
        assert (weight - told).std().item() == pytest.approx(0.25 * told.std().item(), rel=0.2)
    assert (each[0] - each[1]).abs().max() > 0.01


def test_gates_cool_and_then_the_nearest_answers_alone():
    temperatures = [routing_at("sparse", p).temperature for p in np.linspace(0, SOFT, 20)[:-1]]
    assert temperatures[0] == HOT
    assert (np.diff(temperatures) < 0).all()
    assert all(routing_at("sparse", p).soft for p in (0, 0.5 * SOFT))
    for stage, progress in (("sparse", SOFT), ("sparse", 1.0), ("dense", 0.0), ("ternary", 0.3)):
        assert routing_at(stage, progress) == Routing()
    assert routing_at("sparse", SOFT, 0.2) == routing_at("ternary", 0.0, 0.2) == Routing(slack=0.2)
    assert routing_at("dense", 0.0, 0.2) == Routing()
    assert not routing_at("sparse", 0.0, 0.2).slack


def test_the_ternary_stage_quantises_by_quarters():
    model = build("ternary", CONFIG, 6, 3)
    layers = [m for m in model.modules() if isinstance(m, TernaryLinear)]
    assert len(layers) > 20
    for progress, share in ((0.0, 0.25), (0.3, 0.5), (0.6, 0.75), (1.0, 1.0)):
        set_progress("ternary", model, progress)
        assert all(float(layer.share) == share for layer in layers)
    set_progress("sparse", model, 0.0)
    assert all(float(layer.share) == 1.0 for layer in layers)
    assert not isinstance(model.heads, TernaryLinear)


def test_losses_are_those_of_the_outputs(lesson):
    given, choices = lesson
    dense, model = (build(stage, CONFIG, 6, 3) for stage in ("dense", "sparse"))
    with torch.no_grad():
        taught, _ = dense(given.seen, dense.begin(4), given.resets)
        said, _ = model(given.seen, model.begin(4), given.resets)
        found, _ = losses(model, given, model.begin(4), choices, Routing(), taught)
    p, q = (x.outputs.double().log_softmax(-1).numpy() for x in (taught, said))
    wanted = given.wanted.long().numpy()
    nll = -np.take_along_axis(q, wanted, -1).mean()
    assert found.imitation.item() == pytest.approx(nll, rel=1e-5)
    assert found.distillation.item() == pytest.approx(
        (np.exp(p) * (p - q)).sum(-1).mean(), rel=1e-4
    )
    config = MoEConfig(balance=0.5, smoothness=0.25, distillation=2.0)
    imitation = found.imitation + 2.0 * found.distillation
    by_hand = imitation + 0.5 * found.balance + 0.25 * found.smoothness
    torch.testing.assert_close(total(found, config), by_hand)


@pytest.mark.parametrize(
    ("changes", "hint"),
    [
        ({"lanes": 0}, r"lanes must be an integer in \[1, 4096\], got 0"),
        ({"learning_rate": "fast"}, "learning_rate must be a number"),
        ({"layers": 5}, "layers must be a multiple of 4"),
        ({"lattice": (2, 2)}, "lattice must have three axes"),
    ],
)
def test_settings_out_of_range_are_refused(changes, hint):
    with pytest.raises(OptionError, match=hint):
        MoEConfig(**changes)
