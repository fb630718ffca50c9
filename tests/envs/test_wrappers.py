"""Labels are hidden, all of them and nothing else, in single and vector environments."""

from __future__ import annotations

import pickle
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode

from tropism.envs.core.wrappers import HideLabels, HideVectorLabels, vector_labels
from tropism.envs.sanity.dictionary import DictEnv


class Labelled(DictEnv):
    """Tells the answer (a label) and the step (not one)."""

    metadata = DictEnv.metadata | {"labels": ("answer",)}

    def _info(self) -> dict[str, Any]:
        return {"answer": self.right_action, "step": self.t}

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        return super().reset(**kwargs)[0], self._info()

    def step(self, action: Any) -> Any:
        return *super().step(action)[:4], self._info()


@pytest.fixture(autouse=True)
def labelled() -> Any:
    gymnasium.register("test/Labelled-v0", f"{__name__}:Labelled", max_episode_steps=3)
    yield
    del gymnasium.registry["test/Labelled-v0"]


def test_the_labels_of_one_environment_are_hidden_and_nothing_else() -> None:
    plain, hidden = (
        gymnasium.make("test/Labelled-v0"),
        HideLabels(gymnasium.make("test/Labelled-v0")),
    )
    assert set(plain.reset(seed=0)[1]) == {"answer", "step"}
    assert hidden.reset(seed=0)[1] == {"step": 0}
    open_outcome, outcome = plain.step(1), hidden.step(1)
    assert outcome[4] == {"step": 1}
    assert outcome[1:4] == open_outcome[1:4]
    assert "answer" in open_outcome[4]


def test_hiding_leaves_the_info_of_the_environment_alone() -> None:
    env = gymnasium.make("test/Labelled-v0")
    kept: dict[str, Any] = {}
    env.unwrapped._info = lambda: kept  # type: ignore[attr-defined]
    kept.update(answer=1, step=0)
    HideLabels(env).reset(seed=0)
    assert kept == {"answer": 1, "step": 0}


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_the_labels_of_a_vector_are_hidden_with_their_masks(mode: AutoresetMode) -> None:
    env = gymnasium.make_vec(
        "test/Labelled-v0", 2, vectorization_mode="sync", vector_kwargs={"autoreset_mode": mode}
    )
    assert vector_labels(env) == ("answer",)
    hidden = HideVectorLabels(env)
    assert set(hidden.reset(seed=0)[1]) == {"step", "_step"}
    infos = [hidden.step(np.zeros(2, np.int64))[4] for _ in range(3)]
    for info in infos:
        assert {"step", "_step"} <= set(info)
        assert not {"answer", "_answer"} & set(info)
    if mode is AutoresetMode.SAME_STEP:
        assert set(infos[-1]["final_info"]) == {"step", "_step"}
        assert infos[-1]["final_info"]["step"].tolist() == [3, 3]


def test_the_labels_of_the_suites_own_vector_are_hidden() -> None:
    env_id = "tropism/PatternWorld-Switch-v0"
    for mode in AutoresetMode:
        env = gymnasium.make_vec(env_id, 2, autoreset_mode=mode, max_episode_steps=2)
        assert "target" in vector_labels(env)
        hidden = HideVectorLabels(env)
        assert hidden.reset(seed=0)[1] == {}
        hidden.step(np.zeros(2, np.int64))
        info = hidden.step(np.zeros(2, np.int64))[4]
        assert set(info) <= {"final_obs", "_final_obs", "final_info", "_final_info"}
        assert info.get("final_info", {}) == {}


def test_an_environment_without_labels_keeps_its_info() -> None:
    env = gymnasium.make("CartPole-v1")
    assert HideLabels(env).reset(seed=0)[1] == {}
    vector = gymnasium.make_vec("CartPole-v1", 2, vectorization_mode="sync")
    assert vector_labels(vector) == ()


def test_wrapped_environments_survive_pickle_and_spec_json() -> None:
    env = HideLabels(gymnasium.make("tropism/PatternWorld-Switch-v0"))
    assert pickle.loads(pickle.dumps(env)).reset(seed=0)[1] == {}
    assert env.spec is not None
    again = gymnasium.make(EnvSpec.from_json(env.spec.to_json()))
    assert isinstance(again, HideLabels)
    assert again.reset(seed=0)[1] == {}
