"""What the plugin host knows about one plugin: its state, its agents, and why it cannot be used."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tropism.agents import __version__, hookspecs
from tropism.errors import PluginError

if TYPE_CHECKING:
    from tropism.agents.contract import Agent

GROUP = "tropism"
"""Entry-point group of plugins, and the distribution they require."""

State = Literal["loaded", "disabled", "incompatible", "failed"]


class PluginWarning(UserWarning):
    """A plugin is not usable; said once, the first time agents are asked for."""


@dataclass(frozen=True)
class AgentEntry:
    """One registered agent: ``target`` is ``"package.module:Class"``, imported when it is asked for."""

    name: str
    target: str
    summary: str
    plugin: str


@dataclass
class PluginStatus:
    """What became of one entry point.

    Attributes:
        name: entry-point name.
        state: ``loaded``, ``disabled`` (not in ``TROPISM_PLUGINS``), ``incompatible`` (its distribution
            requires another version of the host) or ``failed``.
        reason: why it is not loaded, empty if it is.
        distribution: the distribution that brings it, empty if unknown.
        version: that distribution's version.
        ms: milliseconds spent loading it.
        error: the exception behind ``failed``.
    """

    name: str
    state: State = "loaded"
    reason: str = ""
    distribution: str = ""
    version: str = ""
    ms: float = 0.0
    error: BaseException | None = None

    @property
    def bad(self) -> bool:
        """Wanted, but not usable."""
        return self.state in ("incompatible", "failed")


class IsolatedHooks:
    """``host.hook.<hook>(**arguments)`` calls each plugin's implementation on its own."""

    def __init__(self, call_each: Callable[[str, Mapping[str, Any]], None]) -> None:
        self._call_each = call_each

    def __getattr__(self, hook: str) -> Callable[..., None]:
        if not hasattr(hookspecs, hook):
            raise AttributeError(f"no hook {hook!r} in tropism.agents.hookspecs")
        return lambda **arguments: self._call_each(hook, arguments)


def unmet_requirement(point: importlib.metadata.EntryPoint) -> str:
    """Why the distribution of ``point`` does not fit this version of the suite, or an empty string."""
    for text in (point.dist.requires or ()) if point.dist is not None else ():
        requirement = Requirement(text)
        if canonicalize_name(requirement.name) != GROUP:
            continue
        applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if applies and not requirement.specifier.contains(__version__, prereleases=True):
            return f"needs {GROUP}{requirement.specifier}, this is {GROUP} {__version__}"
    return ""


def resolve_agent(entry: AgentEntry) -> type[Agent]:
    """Import the class an entry names.

    Raises:
        tropism.errors.PluginError: if it cannot be imported (the cause is chained) or is no agent.
    """
    from tropism.agents.contract import Agent

    module, _, attribute = entry.target.partition(":")
    try:
        found = getattr(import_module(module), attribute)
    except Exception as error:
        raise PluginError(
            f"Agent {entry.name!r} of plugin {entry.plugin!r} cannot be imported from {entry.target!r}: "
            f"{describe(error)}"
        ) from error
    if not (isinstance(found, type) and issubclass(found, Agent)):
        raise PluginError(
            f"Agent {entry.name!r}: {entry.target!r} is not a subclass of tropism.agents.Agent"
        )
    return found


def describe(error: BaseException) -> str:
    """One line about ``error``; a syntax error with its place."""
    if isinstance(error, SyntaxError):
        return f"SyntaxError: {error.filename}:{error.lineno} {error.msg}"
    return f"{type(error).__name__}: {error}"


def trace_before(hook: str, implementations: Any, arguments: Any) -> None:
    """Tell on stderr which plugins a hook call goes to."""
    names = ", ".join(implementation.plugin_name for implementation in implementations) or "nobody"
    sys.stderr.write(f"hook {hook}({', '.join(arguments)}) -> {names}\n")


def trace_after(outcome: Any, hook: str, implementations: Any, arguments: Any) -> None:  # noqa: ARG001  as pluggy calls it
    """Tell on stderr what came of it."""
    if implementations:
        sys.stderr.write(f"hook {hook} gave {outcome.exception or outcome.get_result()!r}\n")
