"""Everything that can be set about the agent ``evosax``, and how a budget becomes generations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tropism_evosax.checks import check_name
from tropism_evosax.config import PRESETS, EvoConfig
from tropism_evosax.cost import affordable
from tropism_evosax.devices import choose_devices
from tropism_evosax.filters import Novelty, Rung, Viability
from tropism_evosax.genomes.registry import ENCODINGS
from tropism_evosax.networks.registry import NETWORKS
from tropism_evosax.registry import find

DEFAULT = PRESETS["tropism"]
"""Whose sigma and learning rate are the agent's too; the rate for its own strategy only."""
PLAYERS = ("best", "mean")
SIZES = (
    (128, 8, 4, 128),
    (64, 8, 4, 64),
    (64, 4, 4, 32),
    (32, 4, 4, 16),
    (32, 2, 4, 16),
    (16, 2, 2, 16),
    (8, 2, 1, 8),
    (4, 1, 0, 1),
    (2, 1, 0, 1),
)
"""Population, episodes, finalists and their episodes, largest first: what is chosen where nothing is set."""
ENOUGH = 3
"""Generations for each genome of the population that a size has to leave.

By trial on L0.2 and L2.0, six seeds each: with 1e7 steps 64 x 4 reached 177 on L0.2 where 128 x 8 reached 168 and 16 x 4
reached 170; with 1e6 all sizes were within the noise.
"""
_CHOSEN = ("population", "episodes", "finalists", "finalist_episodes")


@dataclass(frozen=True)
class EvosaxConfig:
    """Settings of :class:`tropism_evosax.agent.EvosaxAgent`.

    The fields are those of :class:`tropism_evosax.config.EvoConfig`, with the same ranges; what the task and the
    budget decide (environment, seeds, generations) is left out.  ``None`` is chosen from the budget, or the
    strategy's own.

    Attributes:
        controller: ``spiking``, ``mlp`` or ``gru``.
        controller_kwargs: options of the network, ``{"plasticity": {"modulator": "event"}}`` say.
        genome: encoding, ``direct`` or ``cppn``.
        genome_kwargs: options of the encoding.
        strategy: a key of :data:`tropism_evosax.registry.STRATEGIES`.
        strategy_kwargs: further arguments of evosax's algorithm.
        population: genomes a generation; chosen from :data:`SIZES`.
        episodes: lives a genome; chosen.
        steps: horizon of a life.
        sigma: deviation of the search.
        sigma_schedule: ``constant``, ``exponential`` or ``cosine``.
        sigma_final: fraction of sigma at the end.
        lr: learning rate of the mean.
        lr_schedule: as for sigma.
        lr_final: as for sigma.
        optimizer: ``sgd``, ``momentum``, ``adam`` or ``clipup``.
        shaping: of the fitness.
        antithetic: mirrored sampling of ``openes``.
        init_sigma: deviation of the first mean or population.
        common_episodes: all genomes of a generation meet the same episodes.
        viability: the filter before evaluation.
        rungs: cheap evaluations before the full one.
        novelty: archive of behaviours.
        crown_every: generations between two evaluations of the finalists.
        finalists: genomes that are evaluated again; chosen.
        finalist_episodes: fresh episodes of that; chosen.
        checkpoint_every: generations between checkpoints.
        devices: that share the population; as many as divide it.
        play: which genome becomes the policy: the crowned ``best``, or the strategy's ``mean``.
    """

    controller: str = "spiking"
    controller_kwargs: Mapping[str, Any] = field(default_factory=dict)
    genome: str = "direct"
    genome_kwargs: Mapping[str, Any] = field(default_factory=dict)
    strategy: str = "openes"
    strategy_kwargs: Mapping[str, Any] = field(default_factory=dict)
    population: int | None = None
    episodes: int | None = None
    steps: int | None = None
    sigma: float = DEFAULT.sigma
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
    viability: Viability | None = None
    rungs: tuple[Rung, ...] = ()
    novelty: Novelty | None = None
    crown_every: int = 10
    finalists: int | None = None
    finalist_episodes: int | None = None
    checkpoint_every: int = 50
    devices: int | None = None
    play: str = "best"

    def __post_init__(self) -> None:
        """Refuse values out of range.

        Raises:
            OptionError: naming the field, the value and the range.
            UnknownNameError: for a name that does not exist.
        """
        check_name("network", self.controller, NETWORKS)
        check_name("encoding", self.genome, ENCODINGS)
        check_name("genome to play", self.play, PLAYERS)
        self.evolution()

    def evolution(self, **settled: Any) -> EvoConfig:
        """The config of the evolution, ``settled`` fields laid over."""
        own = {name: value for name, value in vars(self).items() if value is not None}
        del own["play"]
        if self.strategy == DEFAULT.strategy:
            own.setdefault("lr", DEFAULT.lr)
        return EvoConfig(**own | settled)


def plan(config: EvosaxConfig, life: int, steps: int, **settled: Any) -> EvoConfig | None:
    """The evolution that a budget pays for: the largest size that leaves :data:`ENOUGH` generations.

    Args:
        config: of the agent.
        life: steps of a life in the environment.
        steps: environment steps that may be computed.
        **settled: fields that the task decides.

    Returns:
        A config whose run never computes more than ``steps``; ``None`` if not one generation can be afforded.
    """
    least, evolution, generations = find(config.strategy).least, None, 0
    for size in SIZES:
        chosen = dict(zip(_CHOSEN, size, strict=True))
        chosen = {name: v for name, v in chosen.items() if getattr(config, name) is None}
        if chosen.get("population", least) < least:
            break
        evolution = config.evolution(**chosen, **settled)
        devices = choose_devices(evolution.population, evolution.devices)
        generations = affordable(evolution, life, devices, steps)
        if generations >= ENOUGH * size[0]:
            break
    return replace(evolution, generations=generations) if evolution and generations else None
