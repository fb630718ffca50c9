from __future__ import annotations

import warnings

import pytest

from tropism.agents import __version__
from tropism.agents.contract import Agent
from tropism.agents.plugins import PluginHost, PluginWarning
from tropism.errors import PluginError, UnknownNameError

HEALTHY = """
    from tropism.agents import hookimpl

    @hookimpl
    def tropism_register_agents(register):
        register("walker", "tropism.agents.baselines:RandomAgent", summary="walks")
"""
IMPORT_ERROR = "import a_module_nobody_has\n"
SYNTAX_ERROR = "def broken(:\n    pass\n"
UNKNOWN_HOOK = """
    from tropism.agents import hookimpl

    @hookimpl
    def tropism_register_agent(register):
        register("misspelt", "x:Y")
"""
WRONG_ARGUMENT = """
    from tropism.agents import hookimpl

    @hookimpl
    def tropism_register_agents(registry):
        registry("wrong", "x:Y")
"""
TAKEN_AGENT = """
    from tropism.agents import hookimpl

    @hookimpl
    def tropism_register_agents(register):
        register("fine-by-itself", "x:Y")
        register("random", "x:Y")
"""
RAISES_WHEN_CALLED = """
    from tropism.agents import hookimpl

    @hookimpl
    def tropism_register_agents(register):
        raise RuntimeError("no licence file")
"""
EXITS = "raise SystemExit(3)\n"


def by_name(host):
    return {status.name: status for status in host.plugins()}


def test_built_in_agents_come_through_the_same_hooks():
    host = PluginHost([], {})
    (status,) = host.plugins()
    assert (status.name, status.state) == ("builtin", "loaded")
    assert (status.distribution, status.version) == ("tropism", __version__)
    assert {entry.plugin for entry in host.agents().values()} == {"builtin"}
    assert {"random", "heuristic", "table", "cusum", "map", "ideal", "oracle", "two-mode"} <= set(
        host.agents()
    )
    assert all(entry.summary for entry in host.agents().values())


def test_every_built_in_agent_can_be_imported():
    host = PluginHost([], {})
    for name in host.agents():
        assert issubclass(host.agent_class(name), Agent)


def test_healthy_plugin_is_loaded_with_its_distribution(site):
    site.install("good", HEALTHY)
    status = by_name(site.host())["good"]
    assert (status.state, status.reason, status.distribution, status.version) == (
        "loaded",
        "",
        "tropism-good",
        "1.2",
    )
    assert status.ms > 0
    assert not status.bad
    entry = site.host().agents()["walker"]
    assert (entry.summary, entry.plugin) == ("walks", "good")
    assert site.host().make_agent("walker", seed=3).seed == 3


@pytest.mark.parametrize(
    ("source", "state", "reason"),
    [
        (IMPORT_ERROR, "failed", "ModuleNotFoundError: No module named 'a_module_nobody_has'"),
        (SYNTAX_ERROR, "failed", "tropism_bad.py:1 invalid syntax"),
        (UNKNOWN_HOOK, "failed", "tropism_register_agent"),
        (WRONG_ARGUMENT, "failed", "registry"),
        (TAKEN_AGENT, "failed", "agent 'random' is already registered by plugin 'builtin'"),
        (RAISES_WHEN_CALLED, "failed", "RuntimeError: no licence file"),
        (EXITS, "failed", "SystemExit: 3"),
    ],
    ids=["import", "syntax", "unknown-hook", "wrong-argument", "taken-agent", "raises", "exits"],
)
def test_broken_plugin_is_reported_and_the_others_work(site, source, state, reason):
    site.install("bad", source)
    site.install("good", HEALTHY)
    host = site.host()
    status = by_name(host)["bad"]
    assert status.state == state
    assert reason in status.reason
    assert status.bad
    with pytest.warns(PluginWarning, match=r"'bad' \(failed\)"):
        agents = host.agents()
    assert "walker" in agents
    assert "random" in agents
    assert "fine-by-itself" not in agents  # a failed plugin leaves nothing behind
    with pytest.raises(PluginError, match=r"plugin 'bad' \(failed\)") as caught:
        host.plugin("bad")
    assert caught.value.__cause__ is status.error is not None
    assert host.plugin("good").__name__ == "tropism_good"


def test_syntax_error_names_file_and_line(site):
    site.install("bad", SYNTAX_ERROR)
    assert f"SyntaxError: {site.path / 'tropism_bad.py'}:1" in by_name(site.host())["bad"].reason


def test_warns_once_and_listing_never(site):
    site.install("bad", IMPORT_ERROR)
    host = site.host()
    host.plugins()  # warnings are errors here
    with pytest.warns(PluginWarning):
        host.agents()
    host.agents()
    host.agent_class("random")


def test_wrong_version_is_incompatible_and_not_imported(site):
    site.install("old", "raise AssertionError('imported')", requires=("numpy>=1", "Tropism<0.1"))
    host = site.host()
    status = by_name(host)["old"]
    assert status.state == "incompatible"
    assert status.reason.startswith("needs tropism<0.1, this is tropism 0.")
    with pytest.raises(PluginError, match=r"\(incompatible\): needs tropism<0\.1"):
        host.plugin("old")


def test_requirement_of_another_environment_does_not_count(site):
    site.install(
        "good", HEALTHY, requires=('tropism<0.1; python_version < "3"', 'tropism>9; extra == "x"')
    )
    assert by_name(site.host())["good"].state == "loaded"


def test_unreadable_requirement_fails(site):
    site.install("bad", HEALTHY, requires=("tropism >>> 1",))
    status = by_name(site.host())["bad"]
    assert status.state == "failed"
    assert "InvalidRequirement" in status.reason


def test_second_plugin_of_a_name_fails_and_the_first_stays(site):
    site.install("twin", HEALTHY, distribution="tropism-one")
    site.install("twin", TAKEN_AGENT, distribution="tropism-two")
    host = site.host()
    first, second = (status for status in host.plugins() if status.name == "twin")
    assert (first.state, first.distribution) == ("loaded", "tropism-one")
    assert (second.state, second.distribution) == ("failed", "tropism-two")
    assert "already taken by a plugin of tropism-one" in second.reason
    with pytest.warns(PluginWarning):
        assert "walker" in host.agents()
    assert host.plugin("twin").__name__ == "tropism_one"


def test_selection_by_environment_variable(site):
    site.install("good", HEALTHY)
    site.install("other", "")
    states = {n: s.state for n, s in by_name(site.host(TROPISM_PLUGINS="other")).items()}
    assert states == {"builtin": "loaded", "good": "disabled", "other": "loaded"}
    host = site.host(TROPISM_PLUGINS="")
    assert {n for n, s in by_name(host).items() if s.state == "loaded"} == {"builtin"}
    assert "walker" not in host.agents()  # and no warning: it was the user's wish
    with pytest.raises(PluginError, match=r"'good' \(disabled\): not named in TROPISM_PLUGINS"):
        host.plugin("good")


def test_disabled_plugin_is_not_imported(site):
    site.install("bad", IMPORT_ERROR)
    assert by_name(site.host(TROPISM_PLUGINS=""))["bad"].state == "disabled"


def test_unknown_name_in_the_selection_is_an_error_that_suggests(site):
    site.install("good", HEALTHY)
    host = site.host(TROPISM_PLUGINS="godo")
    for _ in range(2):
        with pytest.raises(UnknownNameError, match="Did you mean 'good'"):
            host.agents()


def test_unknown_agent_suggests_and_broken_plugin_of_that_name_is_named(site):
    site.install("senate", IMPORT_ERROR)
    host = site.host()
    with pytest.raises(
        PluginError, match=r"agent 'senate-small' needs plugin 'senate' \(failed\)"
    ) as caught:
        host.make_agent("senate-small")
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)
    with (
        pytest.warns(PluginWarning),
        pytest.raises(UnknownNameError, match="Did you mean 'random'"),
    ):
        host.make_agent("randon")


def test_unknown_plugin_suggests(site):
    site.install("good", HEALTHY)
    with pytest.raises(UnknownNameError, match="Did you mean 'good'"):
        site.host().plugin("goood")


@pytest.mark.parametrize(
    ("target", "cause"),
    [
        ("a_module_nobody_has:Agent", ModuleNotFoundError),
        ("tropism.agents.baselines:Nobody", AttributeError),
        ("tropism.agents.baselines:NoConfig", None),
    ],
)
def test_agent_that_cannot_be_imported_raises_when_asked_for(site, target, cause):
    site.install("good", HEALTHY.replace("tropism.agents.baselines:RandomAgent", target))
    host = site.host()
    assert "walker" in host.agents()  # listing imports nothing
    with pytest.raises(PluginError, match="'walker'") as caught:
        host.make_agent("walker")
    assert type(caught.value.__cause__) is (cause or type(None))


def test_no_warning_when_all_is_well(site):
    site.install("good", HEALTHY)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        site.host().agents()
