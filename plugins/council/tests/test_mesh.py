from __future__ import annotations

import math
import multiprocessing
import os
import signal
import sys
import time
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor
from torch.multiprocessing.spawn import (
    ProcessExitedException,
    ProcessRaisedException,
    start_processes,
)

from tropism.errors import OptionError
from tropism_council.config import CouncilConfig
from tropism_council.council import ponder_cost
from tropism_council.episodes import Stretch
from tropism_council.gate import SLOWLY
from tropism_council.learning import Carried, Learner
from tropism_council.mesh import AXES, lanes, mean, shard, whole
from tropism_council.network import Network, Sizes
from tropism_council.telemetry import BINS
from tropism_council.tokens import Tokens

if sys.platform == "win32":
    pytest.skip("its processes are forked", allow_module_level=True)

SIZES = Sizes(12, 11, 3)
CONFIG = CouncilConfig(
    width=16, heads=2, layers=1, window=6, slots=5, voices=4, ponder_steps=2, online=True
)
LANES, STEPS = 8, 7
DEADLINE = 120
PRELOAD = ["torch._dynamo", "torch.distributed.tensor"]
"""Imported once for all processes; the first by the second, when it is used."""


def close(mine: Any, one: Any, name: str) -> None:
    """Two tensors are the same up to rounding, whether distributed or not."""
    if isinstance(mine, DTensor):
        mine = mine.full_tensor()
    torch.testing.assert_close(mine, one, rtol=1e-5, atol=1e-5, msg=f"{name}: {mine} is not {one}")


def build(answers: int = SIZES.answers) -> Any:
    """The same network in every process, with weights that are nowhere zero."""
    torch.manual_seed(5)
    network = Network(SIZES._replace(answers=answers), CONFIG)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return network


def stretch():
    """Tokens of all lanes, what was right after them, what the gate knew, and telemetry."""
    rng = np.random.default_rng(7)
    shape = LANES, STEPS
    value, query = rng.integers(0, 12, shape), rng.integers(0, 3, shape)
    nothing, every = np.zeros(shape, np.int64), np.ones(shape, np.bool_)
    tokens = Tokens(value, nothing, query, nothing, nothing, every)
    answers, told = rng.integers(0, 11, shape), rng.integers(0, BINS, (*shape, 4))
    known = rng.random((*shape, 5)).astype(np.float32)
    return tokens, *(torch.from_numpy(x) for x in (answers, known, told))


def losses(network, part=slice(None)):
    """What every part of the network is trained by, on some of the lanes; each a mean over lanes."""
    tokens, *rest = stretch()
    columns: Any = [column[part] for column in tokens]
    tokens = Tokens(*columns)
    answers, known, told = (x[part] for x in rest)
    count = len(answers)
    steps = torch.arange(STEPS).expand(count, -1)
    telemetry = network.telemetry
    latent, _ = telemetry(told, telemetry.begin(count))
    plasticity = telemetry.plasticity(latent)
    seen, _ = network.read(tokens, steps, network.begin(count), plasticity)
    reflex = network.reflex(seen.latents)
    thought = network.think(seen, steps[:, 1::2])
    wanted = answers[None, :, 1::2, None].expand(CONFIG.ponder_steps, -1, -1, 1)
    said = -thought.log_probs.gather(-1, wanted)[..., 0]
    return {
        "reflex": -reflex.gather(-1, answers[..., None]).mean(),
        "council": (thought.halting() * said).sum(0).mean(),
        "ponder": ponder_cost(thought, 0.25).mean(),
        "voices": thought.voices.exp().square().mean(),
        "value": network.value(seen.latents).square().mean(),
        "gate": network.gate.score(known)[0].square().mean(),
        "telemetry": telemetry.introspect(latent).square().mean()
        + telemetry.plasticity(latent).mean(),
        "editor": torch.cat([x.flatten() for x in network.editor(latent[:, -1])]).square().mean(),
        "recalled": thought.recalled.mean(),
    }


def learn(network, part=slice(None)):
    """Losses and gradients on some of the lanes."""
    found = losses(network, part)
    torch.stack(list(found.values())).sum().backward()
    named = [(plain(name), p.grad) for name, p in network.named_parameters()]
    return found, {name: gradient.clone() for name, gradient in named if gradient is not None}


def step(network):
    """One step of AdamW."""
    torch.optim.AdamW(network.parameters(), 1e-2, weight_decay=0.1, eps=1e-5).step()


def plain(name):
    return name.replace("parametrizations.", "").removesuffix(".original")


def check_gradients(mesh):
    """Losses and gradients are as in one process, up to rounding."""
    one, network = build(), shard(build(), mesh)
    found, gradients = learn(one)
    mine, parts = learn(network, lanes(LANES, mesh))
    for name, loss in found.items():
        close(mean(mine[name], mesh), loss.detach(), name)
    assert parts.keys() == gradients.keys()
    for name, gradient in gradients.items():
        assert gradient.abs().max() > 1e-5, f"{name} is not tested: its gradient is nothing"
        close(parts[name], gradient, name)
    check_what_is_typical(network, mesh)
    return one, network


def check_what_is_typical(network, mesh):
    """Gates of processes that read other lanes agree about it."""
    before = network.gate.typical.clone()
    network.gate.heed(torch.tensor(float(mesh.get_local_rank("data"))))
    mean_rank = (mesh.size(0) - 1) / 2
    close(network.gate.typical, SLOWLY * before + (1 - SLOWLY) * mean_rank, "typical")
    network.gate.typical.copy_(before)


def check_a_step(mesh):
    """So are the weights after a step of AdamW."""
    one, network = check_gradients(mesh)
    step(one)
    step(network)
    after, same = one.state_dict(), whole(network)
    assert after.keys() == same.keys()
    for name, value in after.items():
        close(same[name], value, name)


def check_learning(mesh):
    """The learner's own updates, with clipping, a teacher and an editor, go the same way, whether the head is divided or not."""
    for count in (11, 12):
        check_updates(mesh, count)


def check_updates(mesh, count):
    """A few of a network with so many answers."""
    tokens, answers, *_ = stretch()
    given = Stretch(tokens, torch.arange(STEPS).expand(LANES, -1), answers)
    told = []
    for network in (build(count), shard(build(count), mesh)):
        torch.manual_seed(1)
        learner, carried = Learner(network, CONFIG, 10), Carried.begin(network, LANES)
        for _ in range(2):
            found, _, carried = learner.update(given, carried)
            told.append(torch.stack([*found, torch.tensor(learner.descent.norm)]).detach())
    for one, mine in zip(told[:2], told[2:], strict=True):
        torch.testing.assert_close(mine, one, rtol=1e-4, atol=1e-4)
    assert (told[0] - told[1]).abs().max() > 1e-3  # something was learned


def check_the_parts(mesh):
    """No process holds what it does not need."""
    network: Any = shard(build(), mesh)
    held = {plain(name): whole.to_local() for name, whole in network.named_parameters()}
    width, (_, council, model) = CONFIG.width, mesh.shape
    assert held["council.personas"].shape == (CONFIG.voices // council, width)
    assert held["council.feed.0.weight"].shape == (4 * width // model, width)
    assert held["council.feed.2.weight"].shape == (width, 4 * width // model)
    assert held["backbone.layers.0.attention.qkv.weight"].shape == (3 * width // model, width)
    for slopes in (
        "backbone.layers.0.attention.recency",
        "council.recency",
        "council.memory.likeness",
    ):
        assert held[slopes].shape == (CONFIG.heads,)  # scores are computed in every process
    assert held["head.weight"].shape == (11, width)  # eleven answers do not divide


def check_refusals(mesh):
    """Sizes that do not divide, other names, and a second time."""
    with pytest.raises(
        OptionError, match="width must be a multiple of the mesh's model = 3, got 16"
    ):
        shard(build(), mesh)
    council = init_device_mesh("cpu", (1, 3, 1), mesh_dim_names=AXES)
    with pytest.raises(
        OptionError, match="voices must be a multiple of the mesh's council = 3, got 4"
    ):
        shard(build(), council)
    data = init_device_mesh("cpu", (3, 1, 1), mesh_dim_names=AXES)
    with pytest.raises(OptionError, match="lanes must be a multiple of the mesh's data = 3, got 8"):
        lanes(8, data)
    first = 2 * dist.get_rank()
    assert lanes(6, data) == slice(first, first + 2)
    with pytest.raises(OptionError, match="sharded already"):
        shard(shard(build(), data), data)
    with pytest.raises(OptionError, match="must be named"):
        shard(build(), init_device_mesh("cpu", (3,), mesh_dim_names=("data",)))


def check_a_death(mesh):
    """One process dies while the others wait for it."""
    if dist.get_rank() == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    losses(shard(build(), mesh), lanes(LANES, mesh))


def check_another_loss(mesh):
    """One process finds something else than expected."""
    assert dist.get_rank() == 0, "this one"
    losses(shard(build(), mesh), lanes(LANES, mesh))


def work(rank, check, shape, path):
    """One of the processes."""
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo" if sys.platform == "linux" else "lo0"
    size, limit = math.prod(shape), timedelta(seconds=DEADLINE)
    dist.init_process_group(
        "gloo", init_method=f"file://{path}", rank=rank, world_size=size, timeout=limit
    )
    check(init_device_mesh("cpu", shape, mesh_dim_names=AXES))
    dist.destroy_process_group()


def together(check, shape, path):
    """Run ``check`` in as many processes as the mesh has; whatever happens to one of them is raised."""
    multiprocessing.get_context("forkserver").set_forkserver_preload(PRELOAD)
    arguments = (check, shape, path / "meeting")
    context: Any = start_processes(
        work, arguments, math.prod(shape), join=False, start_method="forkserver"
    )
    try:
        end = time.monotonic() + DEADLINE
        while not context.join(timeout=1):
            assert time.monotonic() < end, f"the processes of {check.__name__} hang"
    finally:
        for process in context.processes:
            process.kill()
            process.join()


def test_gradients_on_eight_processes_are_those_of_one(tmp_path):
    together(check_gradients, (2, 2, 2), tmp_path)


def test_a_step_on_four_processes_is_that_of_one(tmp_path):
    together(check_a_step, (1, 2, 2), tmp_path)


def test_learning_on_two_processes_is_that_of_one(tmp_path):
    together(check_learning, (1, 1, 2), tmp_path)


def test_a_process_holds_its_parts_only(tmp_path):
    together(check_the_parts, (1, 2, 2), tmp_path)


def test_sizes_that_do_not_divide_are_refused(tmp_path):
    together(check_refusals, (1, 1, 3), tmp_path)


def test_a_process_that_dies_is_noticed(tmp_path):
    with pytest.raises(ProcessExitedException, match="SIGKILL"):
        together(check_a_death, (2, 1, 1), tmp_path)


def test_a_process_that_fails_is_heard(tmp_path):
    with pytest.raises(ProcessRaisedException, match="this one"):
        together(check_another_loss, (2, 1, 1), tmp_path)
