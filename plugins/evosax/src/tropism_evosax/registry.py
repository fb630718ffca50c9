"""The names of the strategies, what each needs, and why some cannot be used here."""

from __future__ import annotations

from dataclasses import dataclass

from tropism.errors import OptionError, UnknownNameError

SHAPINGS = ("own", "none", "centred-ranks", "z-score")
"""Fitness shaping; ``own`` is what evosax's algorithm does by default."""
SCHEDULES = ("constant", "exponential", "cosine")
"""How the learning rate and sigma may move over a run."""
OPTIMIZERS = ("sgd", "momentum", "adam", "clipup")
"""What may move the mean."""


@dataclass(frozen=True)
class Entry:
    """One strategy of evosax.

    Attributes:
        path: ``module:class``.
        summary: one line.
        by_population: keeps genomes with scores instead of a distribution.
        pairs: the population must be even.
        least: smallest population.
        lr: learning rate that moves the mean at our scale; ``None`` where there is no optimiser.
        optimizer: by default.
        shaping: by default.
        spread: deviation of the first mean, or of the first population.
        scale: the evosax parameter that is sigma, where there is no schedule.
        unusable: why it cannot be used, or ``None``.
    """

    path: str
    summary: str
    by_population: bool = False
    pairs: bool = False
    least: int = 2
    lr: float | None = None
    optimizer: str = "sgd"
    shaping: str = "own"
    spread: float = 0.1
    scale: str = "std_init"
    unusable: str | None = None


_DISTRIBUTIONS = "evosax.algorithms.distribution_based"
_POPULATIONS = "evosax.algorithms.population_based"


def _d(path: str, summary: str, **needs: object) -> Entry:
    return Entry(f"{_DISTRIBUTIONS}.{path}", summary, **needs)  # type: ignore[arg-type]


def _p(path: str, summary: str, **needs: object) -> Entry:
    needs = {"spread": 0.5, "least": 4, **needs}
    return Entry(f"{_POPULATIONS}.{path}", summary, by_population=True, **needs)  # type: ignore[arg-type]


_UNROLLS = "made for truncated unrolls of one long inner problem; over whole lives it is 'openes'"
_SEVERAL = "evolves several populations at once, each with its own mean; run several seeds instead"

STRATEGIES: dict[str, Entry] = {
    "openes": _d("open_es:Open_ES", "OpenAI-ES: finite differences", pairs=True, lr=0.05),
    "pgpe": _d("pgpe:PGPE", "policy gradients with parameter-based exploration",
               pairs=True, lr=0.15, optimizer="clipup"),
    "ars": _d("ars:ARS", "augmented random search", pairs=True, lr=0.05),
    "esmc": _d("esmc:ESMC", "evolution strategy with meta-loss clipping",
               pairs=True, least=4, lr=0.5, shaping="z-score"),
    "guidedes": _d("guided_es:GuidedES", "guided by the last gradients",
                   pairs=True, lr=0.05, shaping="centred-ranks"),
    "asebo": _d("asebo:ASEBO", "adaptive search in active subspaces",
                pairs=True, lr=0.05, shaping="centred-ranks"),
    "snes": _d("snes:SNES", "separable natural evolution strategy", lr=1.0),
    "xnes": _d("xnes:xNES", "exponential natural evolution strategy, full covariance", lr=1.0),
    "cr-fm-nes": _d("cr_fm_nes:CR_FM_NES", "fast-moving NES, cost reduced", pairs=True),
    "cma-es": _d("cma_es:CMA_ES", "covariance matrix adaptation, full"),
    "sep-cma-es": _d("sep_cma_es:Sep_CMA_ES", "CMA-ES with a diagonal covariance"),
    "ma-es": _d("ma_es:MA_ES", "matrix adaptation"),
    "lm-ma-es": _d("lm_ma_es:LM_MA_ES", "limited-memory matrix adaptation"),
    "rm-es": _d("rm_es:Rm_ES", "rank-one ES with few search paths"),
    "simple-es": _d("simple_es:SimpleES", "mean and deviation of the elite", lr=1.0),
    "discovered-es": _d("discovered_es:DiscoveredES", "symbolic form of the learned ES", lr=1.0),
    "learned-es": _d("learned_es:LearnedES", "a meta-learned transformer updates the distribution"),
    "cma-anchored-les": _d("cma_anchored_les:CMAAnchoredLES", "CMA-ES with learned residuals"),
    "iamalgam-full": _d("iamalgam_full:iAMaLGaM_Full", "estimation of distribution, full covariance"),
    "iamalgam-univariate": _d("iamalgam_univariate:iAMaLGaM_Univariate",
                              "estimation of distribution, diagonal"),
    "gradientless-descent": _d("gradientless_descent:GradientlessDescent",
                               "ball sampling around the best", scale="radius_max"),
    "hill-climbing": _d("hill_climbing:HillClimbing", "keep the best ever"),
    "simulated-annealing": _d("simulated_annealing:SimulatedAnnealing", "keep worse ones at times"),
    "random-search": _d("random_search:RandomSearch", "independent draws: the control"),
    "differential-evolution": _p("differential_evolution:DifferentialEvolution",
                                 "differences of members as steps"),
    "pso": _p("pso:PSO", "particle swarm"),
    "simple-ga": _p("simple_ga:SimpleGA", "truncation selection and mutation"),
    "mr15-ga": _p("mr15_ga:MR15_GA", "mutation rate by the 1/5 rule"),
    "samr-ga": _p("samr_ga:SAMR_GA", "self-adapted mutation rates"),
    "gesmr-ga": _p("gesmr_ga:GESMR_GA", "mutation rates evolved by groups"),
    "learned-ga": _p("learned_ga:LearnedGA", "a meta-learned genetic algorithm"),
    "diffusion-evolution": _p("diffusion_evolution:DiffusionEvolution", "denoising towards the fit",
                              shaping="z-score", scale="std_m"),
    "evotf-es": _d("evotf_es:EvoTF_ES", "evolution transformer",
                   unusable="one generation takes minutes to compile on a CPU"),
    "persistent-es": _d("persistent_es:PersistentES", "persistent ES", unusable=_UNROLLS),
    "noise-reuse-es": _d("noise_reuse_es:NoiseReuseES", "noise-reuse ES", unusable=_UNROLLS),
    "sv-cma-es": _d("sv.sv_cma_es:SV_CMA_ES", "Stein variational CMA-ES", unusable=_SEVERAL),
    "sv-openes": _d("sv.sv_open_es:SV_Open_ES", "Stein variational OpenAI-ES", unusable=_SEVERAL),
}  # fmt: skip
"""Every algorithm of evosax 0.3 by our name."""


def find(name: str) -> Entry:
    """The entry of ``name``.

    Raises:
        UnknownNameError: if there is none; the nearest names are in the message.
        OptionError: if it cannot be used here, with the reason.
    """
    if name not in STRATEGIES:
        raise UnknownNameError("strategy", name, STRATEGIES)
    entry = STRATEGIES[name]
    if entry.unusable:
        raise OptionError(f"strategy {name!r} cannot be used: {entry.unusable}")
    return entry
