from __future__ import annotations

import os
import pickle
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tropism.agents.conformance import agent_conformance
from tropism.agents.contract import Decision, Task
from tropism.agents.hygiene import imports_of
from tropism.errors import AgentContractError, UnknownNameError

from .learner import LearnerAgent, LearnerPolicy

ROOT = Path(__file__).parents[2]
MEMORY = Task("tropism/Sanity-Memory-v0")


def broken(agent=None, policy=None, **members):
    """The learner with a few members of its agent class and of its policy class replaced."""
    policy_class = type("BrokenPolicy", (LearnerPolicy,), policy or {})
    return type(
        "Broken", (LearnerAgent,), {"policy_class": policy_class, **(agent or {}), **members}
    )


def replace_decision(**changes):
    def act(self, observation, info, gate=None):
        good = LearnerPolicy.act(self, observation, info, gate)
        fields = {"action": good.action, "compute": good.compute, "log_probs": good.log_probs}
        return Decision(**fields | {name: change(good) for name, change in changes.items()})

    return {"act": act}


def caught(agent, match, **kwargs):
    with pytest.raises(AgentContractError, match=match):
        agent_conformance(agent, probes=(), **kwargs)


def test_good_agent_passes():
    passed = agent_conformance(LearnerAgent)
    assert len(passed) == 14
    assert passed[0] == "config_is_frozen"
    assert passed[-1] == "probe tropism/Sanity-MultiDiscrete-v0"


def test_by_name_with_options(site):
    site.install(
        "learner",
        """
        from tropism.agents import hookimpl

        @hookimpl
        def tropism_register_agents(register):
            register("learner", "tests.agents.learner:LearnerAgent")
        """,
    )
    assert agent_conformance("learner", host=site.host(), config={"rate": 0.1}, env_steps=64)
    with pytest.raises(UnknownNameError, match="Did you mean 'rate'"):
        agent_conformance("learner", host=site.host(), config={"rat": 0.1})
    with pytest.raises(UnknownNameError, match="Did you mean 'learner'"):
        agent_conformance("learne", host=site.host())


def test_message_names_agent_task_and_check():
    caught(
        broken(vector_steps=lambda self, budget: budget.env_steps),
        "^agent 'Broken' on tropism/Sanity-Memory-v0, training_keeps_the_budget: training took 2048",
    )


@dataclass
class Thawed:
    rate: float = 0.5


@dataclass(frozen=True)
class Demanding:
    rate: float


class Plain:
    rate = 0.5


@pytest.mark.parametrize(
    ("config", "message"),
    [(Thawed, "must be frozen"), (Plain, "must be a dataclass"), (Demanding, "needs a default")],
)
def test_config_must_be_a_frozen_dataclass_with_defaults(config, message):
    caught(broken(Config=config), message)


def test_unsupported_task_is_said():
    caught(LearnerAgent, "supports\\(\\) says 'Discrete spaces only", env_id="CartPole-v1")


def test_overdrawn_budget_is_caught():
    caught(
        broken(vector_steps=lambda self, b: b.env_steps // 4 + 1),
        "took 516 environment steps, the budget is 512",
    )


@pytest.mark.parametrize(
    ("seed", "message"),
    [
        (10_000, "outside Task.train_seeds"),
        (9_998, "outside Task.train_seeds"),
        (None, "must seed the first reset"),
    ],
)
def test_seeds_outside_the_training_range_are_caught(seed, message):
    caught(broken(first_seed=lambda self, task: seed), message)


def test_policy_of_another_type_is_caught():
    caught(
        broken(train=lambda self, task, budget, run: lambda observation: 0), "must return a Policy"
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"action": lambda d: d.action + 5}, "is not in MultiDiscrete"),
        ({"action": lambda d: d.action[:1]}, "Decision.action must have shape"),
        ({"compute": lambda d: d.compute.astype(float)}, "compute must be int64, got float64"),
        ({"compute": lambda d: -d.compute}, "compute must be >= 0"),
        ({"compute": lambda d: d.compute[:2]}, "Decision.compute must have shape"),
        ({"log_probs": lambda d: d.log_probs.astype(np.float64)}, "log_probs must be float32"),
        ({"log_probs": lambda d: d.log_probs * np.float32(np.inf)}, "log_probs must be finite"),
        ({"log_probs": lambda d: d.log_probs + np.float32(0.1)}, "must sum to 1"),
        (
            {"diagnostics": lambda d: {"mode": np.zeros(7)}},
            "diagnostics\\['mode'\\] needs one row a lane",
        ),
    ],
)
def test_malformed_decisions_are_caught(changes, message):
    caught(broken(policy=replace_decision(**changes)), message)


def test_training_that_depends_on_something_else_is_caught():
    states = iter(range(100))
    caught(
        broken(vector_steps=lambda self, b: 40 + 20 * next(states)),
        "a second training with the same seed",
    )


def test_lanes_that_share_randomness_are_caught():
    def words(self, observation, info, gate=None):
        actions = np.random.default_rng(len(observation)).integers(2, size=len(observation))
        return Decision(actions, np.ones(len(actions), np.int64))

    caught(broken(policy={"act": words}), "change with (one lane|the lanes)")


def test_policy_that_remembers_is_caught():
    class Remembering(LearnerPolicy):
        count = 0

        def act(self, observation, info, gate=None):
            self.count += 1
            action = np.full(
                len(observation), self.count // 8 % 2
            )  # 8 steps are one episode of the task
            return Decision(action, np.ones(len(action), np.int64))

    caught(broken(policy_class=Remembering), "change with")


def test_lossy_save_is_caught():
    def save(self, directory):
        np.savez(directory / "weights.npz", preferences=np.log(np.full_like(self.preferences, 0.5)))

    def load(cls, directory, task):
        policy = LearnerAgent.load(directory, task)
        policy.preferences[:, 0] -= 9
        return policy

    caught(broken(policy={"save": save}, load=classmethod(load)), "change with save and load")


def test_pickles_are_caught():
    def save(self, directory):
        LearnerPolicy.save(self, directory)
        (directory / "extra.bin").write_bytes(pickle.dumps([1, 2]))

    caught(broken(policy={"save": save}), "save\\(\\) must not pickle, found extra.bin")


def test_loading_nothing_must_raise():
    def quiet(cls, directory, task):
        try:
            return LearnerAgent.load(directory, task)
        except Exception:
            return LearnerPolicy(np.zeros((4, 2), np.float32))

    def loud(cls, directory, task):
        with np.load(directory / "weights.npz") as file:
            return LearnerPolicy(file["preferences"])

    caught(broken(load=classmethod(quiet)), "must raise ArtifactError, it returned")
    caught(broken(load=classmethod(loud)), "must raise ArtifactError, raised FileNotFoundError")


def test_supporting_what_fails_is_caught():
    with pytest.raises(
        AgentContractError,
        match="Sanity-Continuous-v0: supports\\(\\) gives no reason, but it fails",
    ):
        agent_conformance(broken(supports=lambda self, task: None))
    with pytest.raises(AgentContractError, match="supports\\(\\) gave ''"):
        agent_conformance(
            broken(supports=lambda self, task: None if "Memory" in task.env_id else ""),
        )


def test_import_of_benchmarks_is_caught(site, monkeypatch):
    (site.path / "climber.py").write_text(
        "from tests.agents.learner import LearnerAgent\n"
        "class Climber(LearnerAgent):\n"
        "    def cheat(self):\n"
        "        import tropism.benchmarks.suites\n"
    )
    site.modules.append("climber")
    import climber  # pyright: ignore[reportMissingImports]

    assert imports_of(climber.Climber) == [
        "climber: tests.agents.learner.LearnerAgent",
        "climber: tropism.benchmarks.suites",
    ]
    caught(
        climber.Climber, "must not import tropism.benchmarks: climber: tropism.benchmarks.suites"
    )


# -- the pytest plugin ----------------------------------------------------------------------------------------

USER_TEST = """
def test_contract(agent_conformance, plugin_host):
    host = plugin_host(my_learner="my_hooks")
    assert [status.name for status in host.plugins()] == ["builtin", "my-learner"]
    assert "reset_forgets" in agent_conformance("learner", host=host, env_steps=64, probes=())
"""


def test_fixtures_reach_a_users_pytest(tmp_path):
    (tmp_path / "test_mine.py").write_text(USER_TEST)
    (tmp_path / "my_hooks.py").write_text(
        "from tropism.agents import hookimpl\n"
        "@hookimpl\n"
        "def tropism_register_agents(register):\n"
        "    register('learner', 'tests.agents.learner:LearnerAgent')\n"
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-W",
        "error",
        "-p",
        "tropism.agents.pytest_plugin",
        ".",
    ]
    environment = {
        "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT), *sys.path]),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_default_host_is_used_by_default():
    with pytest.raises(UnknownNameError, match="Unknown agent 'nobody-of-this-name'"):
        agent_conformance("nobody-of-this-name")
