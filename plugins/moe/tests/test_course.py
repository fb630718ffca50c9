from __future__ import annotations

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from tropism.agents.contract import Budget, Task
from tropism.agents.evaluate import RandomGate, evaluate
from tropism.agents.runs import Run
from tropism.errors import ArtifactError, DivergedError
from tropism_moe.agent import MoEAgent
from tropism_moe.agent_config import MoEConfig
from tropism_moe.store import read_part

LEVEL = Task("tropism/Chemotaxis-L0.0-v0", {"max_episode_steps": 40})
SMALL = MoEConfig(
    width=16, hidden=16, head_width=8, window=8, rank=4, lattice=(2, 2, 1), lanes=16, stretch=16,
    checkpoint_every=512, slack=0.1,
)  # fmt: skip
STEPS = 6000


def train(directory, *, resume=False, steps=STEPS, task=LEVEL, config=SMALL):
    with Run(directory, {"agent": "moe"}, resume=resume) as run:
        return MoEAgent(config, 5).train(task, Budget(steps), run)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    directory = tmp_path_factory.mktemp("course") / "run"
    return train(directory), directory


def weights(directory):
    return (directory / "packed" / "model.safetensors").read_bytes() + (
        directory / "packed" / "experts.store"
    ).read_bytes()


def test_a_run_that_was_killed_in_every_stage_ends_with_the_same_weights(
    trained, tmp_path, monkeypatch
):
    """Killed after so many checkpoints, resumed, and killed again."""
    from tropism_moe.course import Course

    checkpoint, killed_in, count = Course._checkpoint, [], itertools.count()

    def dies(self):
        checkpoint(self)
        if next(count) in (0, 3, 7, 9):
            killed_in.append(self.name)
            raise KeyboardInterrupt

    monkeypatch.setattr(Course, "_checkpoint", dies)
    for n in range(4):
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "run", resume=n > 0)
    train(tmp_path / "run", resume=True)
    assert killed_in == ["dense", "dense", "sparse", "ternary"]
    assert weights(tmp_path / "run") == weights(trained[1])


def test_slack_is_of_the_training_that_was_asked_for(trained, tmp_path):
    train(tmp_path / "run", config=replace(SMALL, slack=0.0))
    stages = [directory / "stages" for directory in (trained[1], tmp_path / "run")]
    dense, sparse = (
        [next(place.glob(f"{name}*")).read_bytes() for place in stages]
        for name in ("dense", "sparse")
    )
    assert dense[0] == dense[1]
    assert sparse[0] != sparse[1]


def test_every_stage_is_logged_and_the_budget_kept(trained):
    _, directory = trained
    rows = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    told = [row for row in rows if "imitation" in row]
    assert {row["stage"] for row in told} == {0, 1, 2}
    assert max(row["step"] for row in rows) <= STEPS
    assert all(row["distillation"] > 0 for row in told if row["stage"] == 2)


def test_a_policy_survives_saving(trained, tmp_path):
    policy, _ = trained
    policy.save(tmp_path)
    loaded = MoEAgent.load(tmp_path, LEVEL)
    for gate in (None, RandomGate(0.5)):
        one, other = (
            evaluate(p, LEVEL, range(10_000, 10_003), gate=gate) for p in (policy, loaded)
        )
        assert [e.action_hash for e in one] == [e.action_hash for e in other]
    with pytest.raises(ArtifactError, match="observation_space is"):
        MoEAgent.load(tmp_path, Task("tropism/PatternWorld-Switch-v0"))


def test_in_the_costly_mode_all_perspectives_are_asked(trained):
    policy, _ = trained
    env = LEVEL.make_vec(3)
    observation, info = env.reset(seed=[1, 2, 3])
    found = []
    for gate in (None, np.array([True, False, True])):
        policy.reset(np.ones(3, np.bool_), np.arange(3, dtype=np.uint64))
        found.append(policy.act(observation, info, gate))
    env.close()
    assert found[0].compute.tolist() == [1, 1, 1]
    assert found[1].compute.tolist() == [4, 1, 4]
    apart = found[1].diagnostics["disagreement"]
    assert apart[1] == 0 < apart[0]
    np.testing.assert_array_equal(found[0].log_probs, found[1].log_probs)


def test_confidences_are_calibrated_on_held_out_episodes(trained):
    policy, _ = trained
    assert policy.calibration is not None
    assert all(0 <= x <= 1 for x in policy.calibration.accuracy)


def test_a_budget_too_small_to_calibrate_is_told(tmp_path):
    with pytest.warns(UserWarning, match="a budget of 10 steps is too little to calibrate"):
        policy = train(tmp_path / "run", steps=512)
    assert policy.calibration is None


def test_a_loss_that_is_no_number_stops_the_training_and_keeps_the_checkpoint(
    tmp_path, monkeypatch
):
    from tropism_moe import course

    real, count = course.losses, iter(range(100))

    def broken(*given):
        found, state = real(*given)
        if next(count) == 12:
            found = found._replace(imitation=found.imitation * torch.nan)
        return found, state

    monkeypatch.setattr(course, "losses", broken)
    with pytest.raises(DivergedError, match="the loss of 'imitation' is nan"):
        train(tmp_path / "run")
    with Run(tmp_path / "run", {"agent": "moe"}, resume=True) as run:
        kept, _ = read_part(run.latest_checkpoint(), "network")
    assert all(w.isfinite().all() for w in kept.values() if w.is_floating_point())


def test_what_it_cannot_learn_is_said():
    reason = MoEAgent(MoEConfig(teacher="ideal"), 0).supports(LEVEL)
    assert reason is not None
    assert "its teacher 'ideal' cannot run it" in reason
    assert MoEAgent(MoEConfig(), 0).supports(LEVEL) is None


def test_one_expert_a_layer_has_one_perspective(tmp_path):
    alone = replace(SMALL, lattice=(1, 1, 1))
    policy = train(tmp_path / "run", config=alone)
    never, always = (evaluate(policy, LEVEL, [10_000], gate=RandomGate(p)) for p in (0, 1))
    assert never[0].action_hash == always[0].action_hash
    assert never[0].compute.tolist() == always[0].compute.tolist()
