"""The pre-registered studies as data: arms by name, each a change of the default evolution.

See ``benchmarks/PREREGISTRATION.md`` for what each tests, and ``benchmarks/study_evolution.py`` to run them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SEEDS = (0, 1, 2, 3, 4)


@dataclass(frozen=True)
class Arm:
    """One configuration.

    Attributes:
        name: unique in its study.
        changes: fields of ``EvoConfig`` laid over the preset.
        preset: of ``tropism_evosax.config``.
        controls: held-out again with these options of plasticity, by name.
    """

    name: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    preset: str = "tropism"
    controls: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Study:
    """Arms and the comparisons that were announced.

    Attributes:
        arms: by name.
        comparisons: ``(better, than)`` names of arms.
        players: reference baselines played on the same held-out episodes, of each environment.
        episodes: held-out.
        seeds: of each arm's runs.
    """

    arms: tuple[Arm, ...]
    comparisons: tuple[tuple[str, str], ...] = ()
    players: tuple[str, ...] = ("random", "greedy", "oracle")
    episodes: int = 2048
    seeds: tuple[int, ...] = SEEDS


def _on(level: str) -> str:
    return f"tropism/Chemotaxis-{level}-v0"


def _network(controller: str, **options: Any) -> dict[str, Any]:
    return {"controller": controller, "controller_kwargs": options}


def _plastic(modulator: str, **options: Any) -> dict[str, Any]:
    return _network("spiking", plasticity={"modulator": modulator, **options})


_MLP, _GRU = _network("mlp", hidden=58), _network("gru", hidden=11)
_WITHIN = {"generations": 184}
"""With its crownings this many are 26.1 million steps: what the origin's 200 generations take."""


def _by(strategy: str, network: Mapping[str, Any]) -> dict[str, Any]:
    """A strategy with its own learning rate and the origin's first deviation, within the origin's steps."""
    return {"strategy": strategy, "lr": None, "sigma": 0.1, **network, **_WITHIN}


_BUDGET = Study(
    (
        Arm("origin", {}, "origin"),
        Arm("spiking openes", _WITHIN),
        Arm("spiking openes, small steps", _by("openes", {})),
        Arm("spiking openes, event plastic", _plastic("event") | _WITHIN),
        Arm("spiking snes", _by("snes", {})),
        Arm("spiking cr-fm-nes", _by("cr-fm-nes", {})),
        Arm("spiking sep-cma-es", _by("sep-cma-es", {})),
        Arm("mlp openes", _MLP | _WITHIN),
        Arm("mlp openes, small steps", _by("openes", _MLP)),
        Arm("mlp snes", _by("snes", _MLP)),
        Arm("mlp cr-fm-nes", _by("cr-fm-nes", _MLP)),
        Arm("mlp sep-cma-es", _by("sep-cma-es", _MLP)),
        Arm("gru openes, small steps", _by("openes", _GRU)),
        Arm("gru snes", _by("snes", _GRU)),
        Arm("gru cr-fm-nes", _by("cr-fm-nes", _GRU)),
        Arm("gru sep-cma-es", _by("sep-cma-es", _GRU)),
        Arm("gru differential-evolution", _by("differential-evolution", _GRU)),
    ),
    comparisons=(
        ("spiking openes", "origin"),
        ("spiking openes", "spiking openes, small steps"),
        ("gru snes", "mlp snes"),
        ("gru openes, small steps", "mlp openes, small steps"),
        ("gru openes, small steps", "spiking openes, small steps"),
    ),
    players=("random", "greedy", "probe", "oracle"),
    episodes=5120,
)

_CONTROLS = {"rate 0": {"eta": 0.0}, "shuffled": {"control": "shuffled"}}
_PLASTIC_LEVELS = ("L1.0", "L1.1", "L3.1", "L4.1")
_PLASTICITY = Study(
    tuple(
        Arm(f"{level} {name}", {"env_id": _on(level), **changes}, controls=controls)
        for level in _PLASTIC_LEVELS
        for name, changes, controls in (
            ("fixed", {}, {}),
            ("event", _plastic("event"), _CONTROLS),
            ("drive", _plastic("drive"), _CONTROLS),
            ("shuffled", _plastic("event", control="shuffled"), {}),
        )
    ),
    comparisons=tuple(
        (f"{level} {one}", f"{level} {other}")
        for level in _PLASTIC_LEVELS
        for one, other in (("event", "fixed"), ("event", "shuffled"), ("drive", "fixed"))
    ),
)

_SIZES = (32, 64, 128, 256)
_ENCODING = Study(
    tuple(
        Arm(f"{genome} {n}", {"genome": genome, **_network("spiking", neurons=n, **options)})
        for n in _SIZES
        for genome, options in (("direct", {}), ("cppn", {"topology": "lattice"}))
    ),
    comparisons=tuple((f"cppn {n}", f"direct {n}") for n in _SIZES),
)

_GROWING = {"gradient_gain": [0.0, 1.0, 0.0, 0.3], "gradient_bins": [2, 16, 0.0, 0.6]}
_DEVELOPMENT = Study(
    tuple(
        Arm(
            f"{growth}, {look}",
            {"env_id": _on("L1.1"), "env_kwargs": kwargs, "viability": viability},
        )
        for growth, kwargs in (("adult", {}), ("growing", {"development": _GROWING}))
        for look, viability in (("no filter", None), ("filter", {}))
    ),
    comparisons=(
        ("growing, no filter", "adult, no filter"),
        ("growing, filter", "adult, filter"),
        ("adult, filter", "adult, no filter"),
        ("growing, filter", "growing, no filter"),
    ),
)

_RUNG = [{"steps": 64, "episodes": 2, "keep": 0.5}]
_SAVINGS = Study(
    (
        Arm("full"),
        Arm("viability", {"viability": {}}),
        Arm("rung", {"rungs": _RUNG}),
        Arm("viability and rung", {"viability": {}, "rungs": _RUNG}),
    ),
    comparisons=(("viability", "full"), ("rung", "full"), ("viability and rung", "full")),
)

_MEAL = {"episodes": 1, "min_energy": 0.52}
"""At least one meal in half a life: energy falls by 1/128 a step, and a source gives .05."""
_MOST = [{"steps": 64, "episodes": 2, "keep": 0.75}]
_SELECTION = Study(
    (
        Arm("full"),
        Arm("viability, a meal", {"viability": _MEAL}),
        Arm("rung, three quarters", {"rungs": _MOST}),
        Arm("viability and rung", {"viability": _MEAL, "rungs": _MOST}),
    ),
    comparisons=tuple(
        (name, "full")
        for name in ("viability, a meal", "rung, three quarters", "viability and rung")
    ),
    seeds=tuple(range(10)),
)

_LADDER = Study(
    tuple(
        Arm(f"{level} {name}", {"env_id": _on(level), **changes})
        for level in (
            "L0.0", "L0.1", "L0.2", "L0.2-Informed", "L1.0", "L1.1", "L1.2", "L2.0", "L2.1",
            "L2.2", "L3.0", "L3.1", "L3.2", "L4.0", "L4.1", "L4.2", "L5.0",
        )
        for name, changes in (("spiking openes", {}), ("mlp snes", _by("snes", _MLP)))
    ),
)  # fmt: skip

STUDIES: dict[str, Study] = {
    "budget": _BUDGET,
    "plasticity": _PLASTICITY,
    "encoding": _ENCODING,
    "development": _DEVELOPMENT,
    "savings": _SAVINGS,
    "selection": _SELECTION,
    "ladder": _LADDER,
}
"""Every study by name."""
