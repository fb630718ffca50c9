from __future__ import annotations

from pathlib import Path

import click
import pytest

from tropism.agents import hookspecs
from tropism.agents.plugins import PluginHost, PluginWarning


def state_of(host, name):
    return {status.name: status.state for status in host.plugins()}[name]


def test_hook_that_raises_later_stops_nobody(site):
    site.install(
        "angry",
        """
        from tropism.agents import hookimpl

        @hookimpl
        def tropism_register_agents(register):
            register("angry", "x:Y")

        @hookimpl
        def tropism_episode_end(episode):
            raise ValueError("cannot reach the tracker")
        """,
    )
    site.install(
        "calm",
        """
        from tropism.agents import hookimpl

        seen = []

        @hookimpl
        def tropism_episode_end(episode):
            seen.append(episode)
        """,
    )
    host = site.host()
    with pytest.warns(
        PluginWarning, match="tropism_episode_end raised ValueError: cannot reach the tracker"
    ):
        host.hook.tropism_episode_end(episode="first")
    host.hook.tropism_episode_end(episode="second")
    assert host.plugin("calm").seen == ["first", "second"]
    assert state_of(host, "angry") == "failed"
    assert "angry" not in host.agents()


def test_interrupt_in_a_hook_is_not_swallowed(site):
    site.install(
        "slow",
        """
        from tropism.agents import hookimpl

        @hookimpl
        def tropism_register_envs():
            raise KeyboardInterrupt
        """,
    )
    with pytest.raises(KeyboardInterrupt):
        site.host().register_envs()


def test_commands_and_environments_of_plugins(site):
    site.install(
        "more",
        """
        import click
        from tropism.agents import hookimpl

        calls = []

        @hookimpl
        def tropism_register_commands(cli):
            cli.add_command(click.Command("dance"))

        @hookimpl
        def tropism_register_envs():
            calls.append("envs")
        """,
    )
    host, cli = site.host(), click.Group()
    host.add_commands(cli)
    host.register_envs()
    assert list(cli.commands) == ["dance"]
    assert host.plugin("more").calls == ["envs"]


def test_unknown_hook_of_the_host_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no hook 'tropism_step'"):
        PluginHost([], {}).hook.tropism_step()


def test_trace(site, capsys):
    site.install(
        "good",
        """
        from tropism.agents import hookimpl

        @hookimpl
        def tropism_register_agents(register):
            register("walker", "x:Y")
        """,
    )
    site.host(TROPISM_TRACE_PLUGINS="1").plugins()
    assert "hook tropism_register_agents(register) -> good\n" in capsys.readouterr().err


def test_every_hook_is_documented_and_tested():
    hooks = [name for name in vars(hookspecs) if name.startswith("tropism_")]
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    for name in hooks:
        assert getattr(hookspecs, name).__doc__
        assert f"def {name}(" in tests
    assert len(hooks) == 4
