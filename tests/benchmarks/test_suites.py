from __future__ import annotations

import gymnasium
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tropism.envs  # noqa: F401  registers the ids
from tropism.agents.plugins import PluginHost
from tropism.benchmarks.cells import Cell, cell_key, source_of, suite_cells
from tropism.benchmarks.engine import shard
from tropism.benchmarks.suites import FIRST_TEST_SEED, QUICK, SUITES, find_suite
from tropism.errors import ArtifactError, OptionError, UnknownNameError

PLUGIN_AGENTS = {"ppo", "recurrent-ppo", "evosax"}


@pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES)
def test_suites_name_what_there_is(suite):
    agents = set(PluginHost(entry_points=[]).agents()) | PLUGIN_AGENTS
    for entry in suite.entries:
        assert entry.task.env_id in gymnasium.registry
        names = [player.name for player in entry.players]
        assert len(set(names)) == len(names)
        assert "random" in names
        assert {"ideal", "oracle"} & set(names)
        assert {player.agent for player in entry.players} <= agents


@pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES)
def test_evaluation_seeds_are_never_trained_on(suite):
    for entry in suite.entries:
        seeds = suite.eval_seeds(entry)
        assert min(seeds) == FIRST_TEST_SEED == entry.task.train_seeds[1]
        assert len(seeds) == suite.episodes * entry.block


def test_the_protocol_of_patternworld():
    suite = find_suite("patternworld")
    assert len(suite.entries) == 10
    assert suite.train_seeds == 5
    assert suite.episodes == 20


def test_the_ladder_is_whole_and_compares_learners_at_equal_experience():
    suite = find_suite("chemotaxis")
    registered = {name for name in gymnasium.registry if name.startswith("tropism/Chemotaxis-")}
    assert {entry.task.env_id for entry in suite.entries} == registered
    for entry in suite.entries:
        steps = {player.name: player.env_steps for player in entry.players}
        assert {"random", "stay", "heuristic", "oracle", "evosax"} <= set(steps)
        assert steps.get("ppo") == steps.get("evosax-1M")
        offered = gymnasium.make(entry.task.env_id).unwrapped.baselines
        assert ("probe" in steps) == ("probe" in offered)
    compared = {e.task.env_id.split("-")[1] for e in suite.entries if "ppo" in str(e.players)}
    assert {"L0.2", "L1.0", "L1.1"} <= compared
    assert all(entry in find_suite("full").entries for entry in suite.entries)


def test_the_demo_shows_what_it_must():
    switching = [e for e in QUICK.entries if "adaptation" in e.tags]
    assert len(switching) >= 4
    wanted = {"random", "table", "cusum", "two-mode", "ideal", "ppo"}
    assert all(wanted <= {p.name for p in entry.players} for entry in switching)
    (memory,) = (e for e in QUICK.entries if e.task.env_id == "tropism/Sanity-Memory-v0")
    assert {"random", "ppo", "recurrent-ppo"} <= {p.name for p in memory.players}
    assert QUICK.train_seeds == 3


def test_unknown_suites_are_answered_with_the_nearest():
    with pytest.raises(UnknownNameError, match="'quick'"):
        find_suite("quik")


def test_selected_agents_keep_the_references():
    chosen = QUICK.select(("table",), train_seeds=1)
    for entry in chosen.entries:
        names = {player.name for player in entry.players}
        assert names <= {"random", "ideal", "oracle", "table"}
        assert ("table" in names) == ("adaptation" in entry.tags)


def test_a_newcomer_joins_every_task_with_the_budget_of_the_learners():
    for entry in QUICK.select(("mine",)).entries:
        (mine,) = (player for player in entry.players if player.name == "mine")
        assert mine.env_steps == max(player.env_steps for player in entry.players) > 0


def test_a_newcomer_that_has_nothing_to_learn_gets_no_budget():
    players = [p for entry in QUICK.select(("map",)).entries for p in entry.players]
    assert {p.env_steps for p in players if p.name == "map"} == {0}


def test_at_least_one_training_seed():
    with pytest.raises(OptionError, match="seeds must be >= 1, got 0"):
        QUICK.select((), 0)


def test_learners_train_once_a_seed_and_others_play_once():
    cells = suite_cells(QUICK)
    assert {c.train_seed for c in cells if c.agent == "ppo"} == {0, 1, 2}
    assert {c.train_seed for c in cells if c.agent == "table"} == {0}
    assert [c.env_steps for c in cells] == sorted((c.env_steps for c in cells), reverse=True)


@pytest.mark.parametrize("cell", suite_cells(QUICK), ids=lambda cell: cell.title)
def test_cells_survive_json(cell):
    again = Cell.from_json(cell.to_json())
    assert again == cell
    assert cell_key(again) == cell_key(cell)


def test_bad_cells_are_refused():
    with pytest.raises(ArtifactError, match="describes no cell"):
        Cell.from_json({"agent": "random"})


def test_a_key_tells_cells_and_sources_apart(memory, monkeypatch):
    key = cell_key(memory())
    assert key != cell_key(memory("oracle"))
    assert key != cell_key(memory(train_seed=1))
    assert key != cell_key(memory(config={"x": 1}))
    monkeypatch.setattr("tropism.benchmarks.cells.source_of", lambda agent: "edited")
    assert key != cell_key(memory())


def test_the_source_of_a_plugin_agent_covers_its_own_files(third_party):
    source_of.cache_clear()
    before = source_of("odd-raises")
    file = third_party / "tropism_odd.py"
    file.write_text(file.read_text() + "# edited\n")
    source_of.cache_clear()
    assert source_of("odd-raises") != before
    source_of.cache_clear()


@given(st.integers(0, 40), st.integers(1, 9), st.sampled_from([0, 1]))
def test_shards_part_the_cells_whether_counted_from_zero_or_one(count, shards, first):
    cells = list(range(count))
    parts = [shard(cells, f"{i + first}/{shards}") for i in range(shards)]  # type: ignore[arg-type]
    assert sorted(c for part in parts for c in part) == cells  # type: ignore[type-var]


@pytest.mark.parametrize("which", ["", "1", "3/2", "-1/2", "a/b", "1/0", "1/2/3"])
def test_malformed_shards_are_refused(which):
    with pytest.raises(OptionError, match="shard="):
        shard([], which)
