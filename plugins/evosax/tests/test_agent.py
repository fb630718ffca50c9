from __future__ import annotations

import json
from importlib.metadata import EntryPoint

import numpy as np
import pytest

from tropism.agents.conformance import agent_conformance
from tropism.agents.contract import Budget, Task
from tropism.agents.evaluate import evaluate
from tropism.agents.plugins import PluginHost
from tropism.agents.runs import Run, read_metrics
from tropism.errors import OptionError, UnknownNameError, UnsupportedTaskError
from tropism_evosax.agent import EvosaxAgent, EvosaxPlasticAgent
from tropism_evosax.agent_config import SIZES, EvosaxConfig, plan
from tropism_evosax.cost import most_steps
from tropism_evosax.filters import Rung, Viability
from tropism_evosax.store import read_rows

L02 = "tropism/Chemotaxis-L0.2-v0"
ONE = Task(L02, {"steps": 24}, train_seeds=(50, 51), test_seeds=(60, 90))
SMALL = {"controller": "mlp", "controller_kwargs": {"hidden": 4}, "devices": 1}
SIZED = SMALL | {
    "population": 4,
    "episodes": 1,
    "finalists": 1,
    "finalist_episodes": 2,
    "crown_every": 7,
    "checkpoint_every": 5,
}
pytestmark = pytest.mark.usefixtures("quick_evolutions")
LIFE = 32  # 24 steps are computed in chunks of 16
STEPS = 40 * 4 * LIFE


@pytest.fixture
def host():
    return PluginHost([EntryPoint("evosax", "tropism_evosax.plugin", "tropism")], environ={})


def train(config, steps, directory, wall_s=None):
    with Run(directory, {"seed": 0}) as run:
        return EvosaxAgent(EvosaxConfig(**config)).train(ONE, Budget(steps, wall_s), run)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, quick_evolutions):
    """An unbroken run: its policy and its directory."""
    directory = tmp_path_factory.mktemp("whole")
    return train(SIZED, STEPS, directory), directory


def test_the_agent_keeps_the_contract_on_the_ladder(host):
    passed = agent_conformance("evosax", L02, host=host)
    assert "lanes_are_independent" in passed


def test_the_agent_keeps_it_elsewhere(host):
    task = Task("tropism/PatternWorld-Switch-v0", {"flat": True, "max_episode_steps": 64})
    small = {"controller": "mlp", "controller_kwargs": {"hidden": 2}}
    assert agent_conformance("evosax", task, host=host, config=small, probes=())


@pytest.mark.slow
@pytest.mark.parametrize("level", ["L0.2", "L1.0", "L4.2"])
def test_the_plastic_agent_keeps_it_too(host, level):
    name = f"tropism/Chemotaxis-{level}-v0"
    assert agent_conformance("evosax-plastic", name, host=host, env_steps=1024)


def test_one_learns_by_default_and_the_other_does_not():
    assert EvosaxPlasticAgent().config.controller_kwargs["plasticity"]["modulator"] == "event"
    assert EvosaxAgent().config.controller_kwargs == {}


def test_the_budget_is_kept_and_used(whole):
    rows, logged = read_rows(whole[1]), read_metrics(whole[1])
    used = sum(row["simulated"] + row["crown_simulated"] for row in rows)
    assert STEPS - 4 * LIFE - 6 * LIFE < used <= STEPS
    assert logged[-1]["step"] == used
    assert len(logged) == len(rows)


def test_only_training_seeds_are_drawn(whole):
    # There is one; who lives again lives alike, so the score of the champion never falls.
    scores = [row["best_score"] for row in read_rows(whole[1]) if row["best_score"] is not None]
    assert len(scores) > 3
    assert scores == sorted(scores)


def test_a_run_that_was_stopped_goes_on_to_the_same_genome(whole, tmp_path):
    stopped = train(SIZED, STEPS, tmp_path, wall_s=1e-6)
    assert evaluate(stopped, ONE, [7])[0].score >= 24
    assert len(read_rows(tmp_path)) == 5
    resumed = train(SIZED, STEPS, tmp_path)
    np.testing.assert_array_equal(resumed.genome, whole[0].genome)
    logged = [row["step"] for row in read_metrics(tmp_path)]
    assert logged == [row["step"] for row in read_metrics(whole[1])]


def test_a_budget_for_nothing_gives_a_policy_all_the_same(tmp_path):
    policy = train(SMALL, 0, tmp_path)
    assert np.ptp(policy.genome) > 0
    assert evaluate(policy, ONE, [1])[0].score >= 24


@pytest.mark.parametrize("steps", [10**4, 10**6, 10**8])
@pytest.mark.parametrize(
    "options",
    [{}, {"viability": Viability(), "rungs": (Rung(16, 1), Rung(20, 2, 0.3))}, {"population": 20}],
)
def test_plans_never_cost_more_than_the_budget(steps, options):
    config = EvosaxConfig(**options, devices=1)
    chosen = plan(config, 24, steps)
    if chosen is not None:
        assert most_steps(chosen, 24) <= steps
        assert most_steps(plan_one_longer(chosen), 24) > steps
        assert options.get("population", chosen.population) == chosen.population


def plan_one_longer(chosen):
    return type(chosen).from_json(chosen.to_json() | {"generations": chosen.generations + 1})


def test_richer_budgets_choose_larger_populations():
    sizes = [plan(EvosaxConfig(devices=1), 128, 10**n) for n in range(3, 9)]
    populations = [size.population for size in sizes if size]
    assert populations == sorted(populations)
    assert populations[-1] == SIZES[0][0]


@pytest.mark.parametrize(
    ("task", "hint"),
    [
        (Task("tropism/Sanity-Memory-v0"), "functional face"),
        (Task("tropism/PatternWorld-Switch-v0"), "flat=True"),
        (Task(L02, agents=("a", "b")), "single-agent"),
        (Task(L02, train_seeds=(0, 2**32), test_seeds=(2**32, 2**33)), "seeds"),
    ],
)
def test_what_cannot_be_evolved_on_is_said(task, hint, tmp_path):
    assert hint in (EvosaxAgent().supports(task) or "")
    with Run(tmp_path, {}) as run, pytest.raises(UnsupportedTaskError, match=hint):
        EvosaxAgent().train(task, Budget(1000), run)


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"controller": "spikng"}, "spiking"),
        ({"genome": "direkt"}, "direct"),
        ({"play": "bst"}, "best"),
        ({"strategy": "opnes"}, "openes"),
        ({"generations": 5}, "option of agent"),
        ({"population": 1}, r"\[2, 1000000\]"),
        ({"rungs": [{"keep": 2}]}, r"rung.keep"),
    ],
)
def test_what_is_mistyped_is_named(host, options, hint):
    with pytest.raises((UnknownNameError, OptionError), match=hint):
        host.make_agent("evosax", options)


def test_options_are_json(host):
    options = json.loads('{"viability": {"steps": 40}, "rungs": [{"steps": 8}], "population": 16}')
    agent = host.make_agent("evosax", options)
    assert agent.config.viability == Viability(steps=40)
    assert agent.config.evolution(seed=3).rungs == (Rung(8),)
