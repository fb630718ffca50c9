"""The plugin host: finds plugins, loads them one by one, and never dies because of one nor hides one.

A plugin is an entry point in group ``tropism`` that names a light module of hook implementations (see
:mod:`tropism.agents.hookspecs`).  Nothing is looked up before the first question, and importing this module
loads neither NumPy nor Gymnasium.

Environment variables: ``TROPISM_PLUGINS`` is a comma list of the plugin names to load (empty: built-ins
only); ``TROPISM_TRACE_PLUGINS=1`` prints every hook call to stderr.
"""

from __future__ import annotations

import functools
import importlib.metadata
import os
import time
import warnings
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pluggy

from tropism.agents import __version__, hookspecs
from tropism.agents.plugin_info import (
    GROUP,
    AgentEntry,
    IsolatedHooks,
    PluginStatus,
    PluginWarning,
    describe,
    resolve_agent,
    trace_after,
    trace_before,
    unmet_requirement,
)
from tropism.errors import PluginError, UnknownNameError

if TYPE_CHECKING:
    import click

    from tropism.agents.contract import Agent

BUILTIN = importlib.metadata.EntryPoint(name="builtin", value="tropism.agents.builtin", group=GROUP)


class PluginHost:
    """Loads plugins on the first question and answers for all of them.

    Args:
        entry_points: the entry points to load after the built-in ones; by default those installed in group
            ``tropism``, sorted by name.
        environ: where ``TROPISM_PLUGINS`` is read; ``os.environ`` by default.
    """

    def __init__(
        self,
        entry_points: Iterable[importlib.metadata.EntryPoint] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._entry_points = None if entry_points is None else list(entry_points)
        self._environ = os.environ if environ is None else environ
        self._manager = pluggy.PluginManager(GROUP)
        self._manager.add_hookspecs(hookspecs)
        self._statuses: list[PluginStatus] = []
        self._agents: dict[str, AgentEntry] = {}
        self._warned: set[str] = set()
        self._loaded = False
        self.hook = IsolatedHooks(self.call_each)

    def plugins(self) -> list[PluginStatus]:
        """Every plugin found, the built-in one first; loads them, and warns of none (this is the report)."""
        self._load()
        return list(self._statuses)

    def agents(self) -> dict[str, AgentEntry]:
        """Registered agents by name; warns once of each plugin that is not usable."""
        self._load()
        self._warn()
        return dict(self._agents)

    def plugin(self, name: str) -> Any:
        """The module of the plugin ``name``.

        Raises:
            tropism.errors.PluginError: if it cannot be used; the cause is chained.
            tropism.errors.UnknownNameError: if there is none of that name.
        """
        self._load()
        module = self._manager.get_plugin(name)
        if module is not None:
            return module
        for status in self._statuses:
            if status.name == name:
                raise PluginError(
                    f"plugin {name!r} ({status.state}): {status.reason}"
                ) from status.error
        raise UnknownNameError("plugin", name, {status.name for status in self._statuses})

    def agent_class(self, name: str) -> type[Agent]:
        """Import the class of the agent ``name``.

        Raises:
            tropism.errors.UnknownNameError: if nobody registered ``name``.
            tropism.errors.PluginError: if its plugin or its module cannot be used; the cause is chained.
        """
        self._load()
        if name not in self._agents:
            self._explain(name)
        self._warn()
        return resolve_agent(self._agents[name])

    def make_agent(
        self, name: str, config: Mapping[str, Any] | None = None, seed: int = 0
    ) -> Agent:
        """Build the agent ``name`` with ``config`` laid over the defaults of its ``Config``.

        Raises:
            tropism.errors.UnknownNameError: for an unknown agent or option, with the nearest names.
            tropism.errors.OptionError: for a value of the wrong type or out of range.
            tropism.errors.PluginError: if the plugin cannot be used; the cause is chained.
        """
        from tropism.agents.options import build_config

        agent_class = self.agent_class(name)
        return agent_class(build_config(agent_class.Config, config, owner=f"agent {name!r}"), seed)

    def add_commands(self, cli: click.Group) -> None:
        """Let every plugin add its subcommands to ``cli``."""
        self.hook.tropism_register_commands(cli=cli)

    def register_envs(self) -> None:
        """Let every plugin register its environments with Gymnasium."""
        self.hook.tropism_register_envs()

    def call_each(self, hook: str, arguments: Mapping[str, Any]) -> None:
        """Call ``hook`` plugin by plugin: one that raises is failed and reported, the others go on."""
        self._load()
        for status in [s for s in self._statuses if s.state == "loaded"]:
            try:
                self._call(status.name, hook, arguments)
            except Exception as error:
                self._fail(status, error, f"{hook} raised ")
        self._warn()

    def _load(self) -> None:
        if self._loaded:
            return
        found = self._found()
        wanted = self._wanted({point.name for point in found})
        self._loaded = True
        if self._environ.get("TROPISM_TRACE_PLUGINS") == "1":
            self._manager.add_hookcall_monitoring(trace_before, trace_after)
        self._load_one(BUILTIN, None)
        for point in found:
            self._load_one(point, wanted)

    def _found(self) -> list[importlib.metadata.EntryPoint]:
        if self._entry_points is not None:
            return self._entry_points
        return sorted(importlib.metadata.entry_points(group=GROUP), key=lambda point: point.name)

    def _wanted(self, known: set[str]) -> set[str] | None:
        """The names in ``TROPISM_PLUGINS``, or ``None`` if everything is wanted."""
        selection = self._environ.get("TROPISM_PLUGINS")
        if selection is None:
            return None
        names = {name.strip() for name in selection.split(",") if name.strip()}
        for name in sorted(names - known):
            raise UnknownNameError("plugin in TROPISM_PLUGINS", name, known)
        return names

    def _load_one(self, point: importlib.metadata.EntryPoint, wanted: set[str] | None) -> None:
        status = PluginStatus(point.name)
        if point.dist is not None:
            status.distribution, status.version = point.dist.name, point.dist.version
        elif point is BUILTIN:
            status.distribution, status.version = GROUP, __version__
        started = time.perf_counter()
        try:
            if wanted is not None and point.name not in wanted:
                status.state, status.reason = "disabled", "not named in TROPISM_PLUGINS"
            elif unmet := unmet_requirement(point):
                status.state, status.reason = "incompatible", unmet
            else:
                self._register(point)
        except (Exception, SystemExit) as error:
            self._fail(status, error)
        status.ms = (time.perf_counter() - started) * 1e3
        self._statuses.append(status)

    def _register(self, point: importlib.metadata.EntryPoint) -> None:
        """Import, register, validate and collect the agents of one plugin: all of it or an exception."""
        for other in self._statuses:
            if other.name == point.name and other.state == "loaded":
                origin = other.distribution or "another origin"
                raise PluginError(
                    f"the name {point.name!r} is already taken by a plugin of {origin}"
                )
        self._manager.register(point.load(), name=point.name)
        self._manager.check_pending()  # a misspelt hook is otherwise accepted in silence
        register = functools.partial(self._register_agent, point.name)
        self._call(point.name, "tropism_register_agents", {"register": register})

    def _register_agent(self, plugin: str, name: str, target: str, summary: str = "") -> None:
        if name in self._agents:
            owner = self._agents[name].plugin
            raise PluginError(
                f"agent {name!r} is already registered by plugin {owner!r}; choose another name"
            )
        self._agents[name] = AgentEntry(name, target, summary, plugin)

    def _call(self, plugin: str, hook: str, arguments: Mapping[str, Any]) -> None:
        mine = self._manager.get_plugin(plugin)
        others = [module for module in self._manager.get_plugins() if module is not mine]
        self._manager.subset_hook_caller(hook, others)(**arguments)

    def _fail(self, status: PluginStatus, error: BaseException, context: str = "") -> None:
        """Withdraw everything the plugin registered and remember why."""
        status.state, status.reason, status.error = "failed", context + describe(error), error
        taken = any(s.name == status.name and s.state == "loaded" for s in self._statuses)
        if not taken:  # else the name belongs to a healthy plugin that came first
            if self._manager.has_plugin(status.name):
                self._manager.unregister(name=status.name)
            self._agents = {n: a for n, a in self._agents.items() if a.plugin != status.name}

    def _warn(self) -> None:
        for status in self._statuses:
            if status.bad and status.name not in self._warned:
                self._warned.add(status.name)
                message = f"plugin {status.name!r} ({status.state}): {status.reason} (see `tropism plugins`)"
                warnings.warn(message, PluginWarning, stacklevel=4)

    def _explain(self, name: str) -> None:
        """Say why there is no agent ``name``: its plugin is broken, or nobody has heard of it."""
        for status in self._statuses:
            if status.state != "loaded" and (
                name == status.name or name.startswith(f"{status.name}-")
            ):
                raise PluginError(
                    f"agent {name!r} needs plugin {status.name!r} ({status.state}): {status.reason}"
                ) from status.error
        self._warn()
        raise UnknownNameError("agent", name, self._agents)


@functools.cache
def default_host() -> PluginHost:
    """The host of this process, over the installed plugins."""
    return PluginHost()
