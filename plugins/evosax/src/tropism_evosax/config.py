"""Everything that can be set about an evolution, with its ranges."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from tropism.agents.options import build_config
from tropism.errors import OptionError, UnknownNameError
from tropism.limits import Limits, check_fields, check_flag
from tropism_evosax.checks import check_name
from tropism_evosax.filters import Novelty, Rung, Viability
from tropism_evosax.registry import OPTIMIZERS, SCHEDULES, SHAPINGS, find

_LIMITS: dict[str, Limits] = {
    "population": (2, 1_000_000),
    "episodes": (1, 65_536),
    "generations": (1, 10_000_000),
    "crown_every": (1, 1_000_000),
    "finalists": (0, 1024),
    "finalist_episodes": (1, 65_536),
    "checkpoint_every": (1, 1_000_000),
    "seed": (0, 2**32 - 1),
    "steps": (1, 1_000_000),
    "devices": (1, 1_000_000),
    "sigma": (1e-6, 100.0),
    "sigma_final": (1e-6, 1.0),
    "lr_final": (1e-6, 1.0),
    "lr": (1e-9, 100.0),
    "init_sigma": (0.0, 100.0),
}


@dataclass(frozen=True)
class EvoConfig:
    """Settings of :func:`tropism_evosax.evolve.evolve`.

    Attributes:
        env_id: an id with a functional face, flat observations and discrete actions.
        env_kwargs: as for ``gym.make``; JSON values.
        controller: ``spiking``, ``mlp`` or ``gru``.
        controller_kwargs: see :mod:`tropism_evosax.networks.registry`.
        genome: encoding, ``direct`` or ``cppn``.
        genome_kwargs: see :mod:`tropism_evosax.genomes.registry`.
        strategy: a key of :data:`tropism_evosax.registry.STRATEGIES`.
        strategy_kwargs: further arguments or parameters of evosax's algorithm.
        population: genomes a generation, in [2, 1e6].
        episodes: lives a genome, in [1, 65536].
        generations: in [1, 1e7].
        steps: horizon of a life, or ``None`` for the environment's own.
        sigma: standard deviation of the search, in [1e-6, 100]; the first one where it adapts itself.
        sigma_schedule: ``constant``, ``exponential`` or ``cosine``.
        sigma_final: fraction of ``sigma`` in the last generation, in [1e-6, 1].
        lr: learning rate of the mean, in [1e-9, 100]; ``None`` for the strategy's own (.05 for ``openes``).
        lr_schedule: as for sigma.
        lr_final: as for sigma.
        optimizer: ``sgd``, ``momentum``, ``adam``, ``clipup``; ``None`` for the strategy's own.
        shaping: ``own``, ``none``, ``centred-ranks``, ``z-score``; ``None`` for the strategy's own.
        antithetic: mirrored sampling of ``openes``; ``None`` for its default, yes.
        init_sigma: deviation of the first mean or population, in [0, 100]; ``None`` for the strategy's own.
        common_episodes: all genomes of a generation meet the same episodes, else each its own.
        train_seeds: half-open range of reset seeds ``(first, stop)`` the episodes are drawn from; the default ends
            before 424242, with which koki2's held-out episodes begin.
        viability: the filter before evaluation, or ``None``.
        rungs: cheap evaluations before the full one, cheapest first.
        novelty: archive of behaviours, or ``None``.
        crown_every: generations between two evaluations of the finalists, in [1, 1e6].
        finalists: genomes evaluated again before one is crowned best, in [0, 1024], besides the present best and
            the strategy's mean; 0 keeps the best score ever seen instead, lucky as it may be.
        finalist_episodes: fresh common episodes of such an evaluation, in [1, 65536].
        checkpoint_every: generations between checkpoints, in [1, 1e6].
        devices: how many share the population; ``None`` for all that divide it.
        seed: in [0, 2**32); everything random derives from it and the generation.
    """

    env_id: str = "tropism/Chemotaxis-L0.2-v0"
    env_kwargs: Mapping[str, Any] = field(default_factory=dict)
    controller: str = "spiking"
    controller_kwargs: Mapping[str, Any] = field(default_factory=dict)
    genome: str = "direct"
    genome_kwargs: Mapping[str, Any] = field(default_factory=dict)
    strategy: str = "openes"
    strategy_kwargs: Mapping[str, Any] = field(default_factory=dict)
    population: int = 128
    episodes: int = 8
    generations: int = 200
    steps: int | None = None
    sigma: float = 0.1
    sigma_schedule: str = "constant"
    sigma_final: float = 0.1
    lr: float | None = None
    lr_schedule: str = "constant"
    lr_final: float = 0.1
    optimizer: str | None = None
    shaping: str | None = None
    antithetic: bool | None = None
    init_sigma: float | None = None
    common_episodes: bool = True
    train_seeds: tuple[int, int] = (0, 400_000)
    viability: Viability | None = None
    rungs: tuple[Rung, ...] = ()
    novelty: Novelty | None = None
    crown_every: int = 10
    finalists: int = 4
    finalist_episodes: int = 128
    checkpoint_every: int = 50
    devices: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse values out of range.

        Raises:
            OptionError: naming the field, the value and the range.
            UnknownNameError: for a name that does not exist.
        """
        check_fields(self, _LIMITS)
        check_flag("common_episodes", self.common_episodes)
        self._check_names()
        self._check_seeds()
        self._check_population()

    def _check_names(self) -> None:
        check_name("sigma_schedule", self.sigma_schedule, SCHEDULES)
        check_name("lr_schedule", self.lr_schedule, SCHEDULES)
        if self.optimizer is not None:
            check_name("optimizer", self.optimizer, OPTIMIZERS)
        if self.shaping is not None:
            check_name("fitness shaping", self.shaping, SHAPINGS)

    def _check_seeds(self) -> None:
        first, stop = self.train_seeds
        if not 0 <= first < stop <= 2**31 - 1:
            raise OptionError(
                "train_seeds must be a range (first, stop) with 0 <= first < stop <= 2**31 - 1, "
                f"got {self.train_seeds!r}"
            )

    def _check_population(self) -> None:
        entry = find(self.strategy)
        if entry.pairs and self.population % 2:
            raise OptionError(
                f"population must be even for strategy {self.strategy!r}, which samples in pairs, "
                f"got {self.population}"
            )
        if self.devices is not None and self.population % self.devices:
            raise OptionError(
                f"population must be a multiple of devices ({self.devices}), got {self.population}"
            )

    def to_json(self) -> dict[str, Any]:
        """The config as JSON values; :meth:`from_json` reads them back."""
        return json.loads(json.dumps(asdict(self), allow_nan=False))

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> EvoConfig:
        """A config from JSON values laid over the defaults.

        Raises:
            UnknownNameError: for a name that is no field, with the nearest ones.
            OptionError: for a value of the wrong type or out of range.
        """
        return build_config(cls, values, owner="evolution")


PRESETS: dict[str, EvoConfig] = {
    "tropism": EvoConfig(sigma=0.2, lr=0.5),
    "origin": EvoConfig(
        controller_kwargs={"topology": "random"},
        antithetic=False,
        shaping="centred-ranks",
        optimizer="sgd",
        lr=0.05,
        sigma=0.1,
        init_sigma=0.1,
        common_episodes=False,
        finalists=0,
    ),
}
"""``tropism``, with steps that suit threshold units (by trial on L0.2, L1.1 and L2.0), and ``origin``: plain OpenAI-ES
as koki2 (K. Kis, 2025) ran it, https://github.com/Krisztiaan/koki2: small steps, nothing mirrored, own episodes for
each genome, the best score ever kept."""


def preset(name: str, **changes: Any) -> EvoConfig:
    """A preset with ``changes``.

    Raises:
        UnknownNameError: if there is no such preset.
    """
    if name not in PRESETS:
        raise UnknownNameError("preset", name, PRESETS)
    return replace(PRESETS[name], **changes)
