"""What a training left is found, or it is told in a line what is wrong."""

from __future__ import annotations

import json

import pytest

from tropism.agents.trained import policy_of, read_training, task_of
from tropism.errors import ArtifactError, UnknownNameError

CONFIG = {
    "agent": "table",
    "options": {"rate": 0.5, "kind": "a b"},
    "env_id": "tropism/PatternWorld-Switch-v0",
    "env_options": {"max_episode_steps": 20},
    "env_steps": 7,
    "seed": 3,
}


@pytest.fixture
def run(tmp_path):
    """``run(**changes) -> directory`` of a training that was told so; ``None`` leaves a field out."""

    def make(**changes):
        told = {k: v for k, v in (CONFIG | changes).items() if v is not None}
        (tmp_path / "config.json").write_text(json.dumps(told))
        return tmp_path

    return make


def test_a_training_is_read_whoever_learned(run):
    directory = run()
    assert read_training(directory) == read_training(directory, "table") == CONFIG
    task = task_of(directory, CONFIG)
    assert (task.env_id, task.kwargs) == (CONFIG["env_id"], CONFIG["env_options"])
    (directory / "policy").mkdir()
    assert policy_of(directory, CONFIG) == directory / "policy"


def test_other_directories_are_told_apart(run, tmp_path):
    with pytest.raises(
        ArtifactError, match="is no run directory; make one with `tropism train moe"
    ):
        read_training(tmp_path / "nowhere", "moe")
    with pytest.raises(ArtifactError, match=r"config\.json has no env_steps, seed"):
        read_training(run(seed=None, env_steps=None))
    with pytest.raises(ArtifactError, match="a run of 'table', not of 'moe'"):
        read_training(run(), "moe")


def test_an_unfinished_training_is_told_with_the_command_that_goes_on(run):
    directory = run()
    with pytest.raises(ArtifactError, match="did not finish") as caught:
        policy_of(directory, CONFIG)
    command = "tropism train table tropism/PatternWorld-Switch-v0 --steps 7 --seed 3 --out"
    assert command in str(caught.value)
    assert "--set rate=0.5 --set 'kind=a b' --env max_episode_steps=20" in str(caught.value)


def test_environments_that_are_not_there_or_refuse_their_options_are_told(run):
    with pytest.raises(UnknownNameError, match="PatternWorld-Swich"):
        task_of(run(), CONFIG | {"env_id": "tropism/PatternWorld-Swich-v0"})
    with pytest.raises(ArtifactError, match=r"is damaged: .* does not take"):
        task_of(run(), CONFIG | {"env_options": {"nonsense": 1}})
