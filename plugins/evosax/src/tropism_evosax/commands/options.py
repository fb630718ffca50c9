"""The options of an evolution on the command line, and the config they make."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tropism.errors import OptionError, UnknownNameError

if TYPE_CHECKING:
    from tropism_evosax.config import EvoConfig

Command = TypeVar("Command", bound=Callable[..., Any])

DIRECTORY = click.Path(path_type=Path)
PAIRS: Mapping[str, Any] = {"multiple": True, "metavar": "KEY=VALUE"}
OPTIONS = (
    click.option("--preset", "base", metavar="NAME", help="tropism (default), or origin: as koki2 ran it."),
    click.option("--generations", type=int, help="Generations  [200]."),
    click.option("--population", type=int, help="Genomes a generation  [128]."),
    click.option("--episodes", type=int, help="Lives a genome  [8]."),
    click.option("--controller", metavar="NAME", help="Network: spiking (default), mlp, gru."),
    click.option("--network", **PAIRS, help="Option of the network: neurons=64, plasticity.scale=10."),
    click.option("--encoding", "genome", metavar="NAME", help="Genome: direct (default), cppn."),
    click.option("--plasticity", metavar="NAME", help="Modulator: off (default), spike, drive, event."),
    click.option("--strategy", metavar="NAME", help="Strategy of evosax  [openes]."),
    click.option("--lr", type=float, help="Learning rate of the mean  [the strategy's own]."),
    click.option("--sigma", type=float, help="Standard deviation of the search  [0.1]."),
    click.option("--viability/--no-viability", default=None, help="Look at each genome first."),
    click.option("--rungs", metavar="STEPS:EPISODES:KEEP,...", help="Cheap evaluations first: 64:2:0.5."),
    click.option("--novelty", type=float, help="Weight of novelty beside fitness, in [0, 1]."),
    click.option("--development", multiple=True, metavar="RAMP=LOW:HIGH:START:END",
                 help="Grow up: gradient_gain=0:1:0:0.3; may be repeated."),
    click.option("--env", **PAIRS, help="Option of the environment."),
    click.option("--set", "fields", **PAIRS, help="Any other field of EvoConfig, as JSON."),
    click.option("--devices", type=int, help="Devices that share the population  [one a core, at most 8]."),
)  # fmt: skip


def evolution_options(command: Command) -> Command:
    """Give ``command`` the options of an evolution."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def make_config(env_id: str, given: Mapping[str, Any], base: EvoConfig | None = None) -> EvoConfig:
    """The config that the options ask for.

    Args:
        env_id: of the environment.
        given: values of :data:`OPTIONS`, and ``seed``; ``None`` and ``()`` where nothing was said.
        base: what they are laid over; else the preset.

    Raises:
        UnknownNameError: for a name that does not exist, with the nearest ones.
        OptionError: for a value out of range.
    """
    from tropism_evosax.config import EvoConfig, preset

    start = (base or preset(given["base"] or "tropism")).to_json()
    if given["strategy"] not in (None, start["strategy"]):
        start["lr"] = None  # the preset's is for its own strategy
    plain = (
        "generations",
        "population",
        "episodes",
        "controller",
        "genome",
        "strategy",
        "lr",
        "sigma",
    )
    changes = {name: given[name] for name in (*plain, "seed") if given.get(name) is not None}
    changes |= _filters(given) | pairs(given["fields"], "--set") | {"env_id": known_env(env_id)}
    config = EvoConfig.from_json(start | changes)
    kwargs = {**config.env_kwargs, **environment(given["env"], given["development"])}
    network = _network(config.to_json()["controller_kwargs"], config.genome, given)
    return EvoConfig.from_json(
        config.to_json() | {"env_kwargs": kwargs, "controller_kwargs": network}
    )


def environment(env: Iterable[str], development: Iterable[str]) -> dict[str, Any]:
    """Arguments of the environment, from ``--env`` and ``--development``."""
    kwargs = pairs(env, "--env")
    ramps = {name: _numbers(text, "--development", 2, 4) for name, text in _split(development)}
    return kwargs | ({"development": ramps} if ramps else {})


def known_env(env_id: str) -> str:
    """``env_id`` if it is registered, by the suite, Gymnasium or a plugin.

    Raises:
        UnknownNameError: if it is not.
    """
    import gymnasium

    import tropism.envs  # noqa: F401  registers the ids
    from tropism.agents.plugins import default_host

    default_host().register_envs()
    if env_id not in gymnasium.registry:
        raise UnknownNameError("environment", env_id, gymnasium.registry)
    return env_id


def pairs(given: Iterable[str], option: str) -> dict[str, Any]:
    """``key=value`` arguments as a dictionary; a value is JSON if it parses as such, else text.

    Raises:
        OptionError: for an argument without ``=``.
    """
    return {key: _value(text) for key, text in _split(given, option)}


def _split(given: Iterable[str], option: str = "--development") -> Iterable[tuple[str, str]]:
    for argument in given:
        key, equals, value = argument.partition("=")
        if not equals or not key:
            raise OptionError(f"{option} {argument!r} must be key=value")
        yield key, value


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _numbers(text: str, option: str, least: int, most: int) -> list[float]:
    """Numbers between colons."""
    try:
        numbers = [float(part) for part in text.split(":")]
    except ValueError:
        numbers = []
    if not least <= len(numbers) <= most:
        raise OptionError(f"{option} takes {least} to {most} numbers between colons, got {text!r}")
    return numbers


def _filters(given: Mapping[str, Any]) -> dict[str, Any]:
    """Viability, rungs and novelty."""
    from tropism_evosax.filters import Novelty

    changes: dict[str, Any] = {}
    if given["viability"] is not None:
        changes["viability"] = {} if given["viability"] else None
    if given["rungs"] is not None:
        changes["rungs"] = [_rung(text) for text in given["rungs"].split(",")]
    if given["novelty"] is not None:
        changes["novelty"] = asdict(Novelty(weight=given["novelty"]))
    return changes


def _rung(text: str) -> dict[str, Any]:
    steps, episodes, keep = _numbers(text, "--rungs", 3, 3)
    return {"steps": int(steps), "episodes": int(episodes), "keep": keep}


def _network(options: dict[str, Any], genome: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Options of the network; a dot reaches into those of plasticity, and cppn grows on a lattice."""
    options = ({"topology": "lattice"} if genome == "cppn" else {}) | options
    told = pairs(given["network"], "--network")
    if given["plasticity"] is not None:
        told = {"plasticity.modulator": given["plasticity"]} | told
    for name, value in told.items():
        outer, dot, inner = name.partition(".")
        options[outer] = {**options.get(outer, {}), inner: value} if dot else value
    return options
