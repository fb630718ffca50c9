"""Everything that can be set about PPO, with its ranges."""

from __future__ import annotations

from dataclasses import dataclass

from tropism.errors import OptionError, UnknownNameError
from tropism.limits import Limits, check_fields

ENCODINGS = ("auto", "raw", "one-hot", "tokens")
"""How an observation becomes numbers; see :mod:`tropism_ppo.encoding`."""

_LIMITS: dict[str, Limits] = {
    "n_envs": (1, 65_536),
    "n_steps": (1, 1_000_000),
    "batch_size": (2, 10_000_000),
    "n_epochs": (1, 1000),
    "learning_rate": (1e-8, 1.0),
    "gamma": (0.0, 1.0),
    "gae_lambda": (0.0, 1.0),
    "clip_range": (1e-3, 10.0),
    "ent_coef": (0.0, 10.0),
    "vf_coef": (0.0, 10.0),
    "max_grad_norm": (1e-3, 1e6),
    "window": (1, 4096),
    "threads": (1, 1024),
    "checkpoint_every": (1, 10**12),
    "lstm_size": (1, 4096),
}


@dataclass(frozen=True)
class PPOConfig:
    """Settings of :class:`tropism_ppo.agent.PPOAgent`; ``None`` is chosen for the task.

    What ``None`` becomes is in :mod:`tropism_ppo.presets`; the names are those of Stable-Baselines3.

    Attributes:
        n_envs: lanes that collect, in [1, 65536].
        n_steps: steps a lane collects before each update, in [1, 1e6]; fewer where the budget is not a
            multiple of ``n_envs * n_steps``.
        batch_size: transitions a gradient step, at least 2; fewer where the rollout does not divide evenly.
        n_epochs: passes over each rollout, in [1, 1000].
        learning_rate: of Adam, in [1e-8, 1].
        gamma: discount factor, in [0, 1].
        gae_lambda: trade-off of the generalised advantage estimator, in [0, 1].
        clip_range: of the surrogate objective, in [0.001, 10].
        ent_coef: weight of the entropy bonus, in [0, 10].
        vf_coef: weight of the value loss, in [0, 10].
        max_grad_norm: gradient clipping, in [0.001, 1e6].
        net_arch: hidden units of the actor, layer by layer; ``()`` is a linear policy.
        value_arch: the same of the critic.
        activation: ``"tanh"`` or ``"relu"``.
        encoding: how observations become numbers: ``"auto"``, ``"raw"``, ``"one-hot"`` or ``"tokens"``.
        window: last tokens shown by the ``"tokens"`` encoding, in [1, 4096].
        normalize_observation: running mean and variance of vector observations, stored with the agent.
        normalize_reward: scale rewards by the running deviation of the return (training only).
        deterministic: act by the mode of the distribution instead of a sample.
        threads: torch threads of this process, at least 1; one is fastest for small networks.
        device: a torch device, for example ``"cpu"`` or ``"cuda"``.
        checkpoint_every: environment steps between checkpoints, rounded up to whole rollouts.
        tensorboard: also write TensorBoard scalars into the run directory (needs ``tropism-ppo[track]``).
    """

    n_envs: int | None = None
    n_steps: int | None = None
    batch_size: int | None = None
    n_epochs: int | None = None
    learning_rate: float | None = None
    gamma: float | None = None
    gae_lambda: float | None = None
    clip_range: float = 0.2
    ent_coef: float | None = None
    vf_coef: float = 0.5
    max_grad_norm: float = 0.5
    net_arch: tuple[int, ...] | None = None
    value_arch: tuple[int, ...] | None = None
    activation: str | None = None
    encoding: str = "auto"
    window: int | None = None
    normalize_observation: bool = False
    normalize_reward: bool = False
    deterministic: bool = True
    threads: int = 1
    device: str = "cpu"
    checkpoint_every: int = 200_000
    tensorboard: bool = False

    def __post_init__(self) -> None:
        """Refuse values out of range.

        Raises:
            OptionError: naming the field, the value and the range.
            UnknownNameError: for an encoding or activation that does not exist.
        """
        check_fields(self, _LIMITS)
        for name in ("net_arch", "value_arch"):
            _check_layers(name, getattr(self, name))
        if self.encoding not in ENCODINGS:
            raise UnknownNameError("encoding", self.encoding, ENCODINGS)
        if self.activation not in (None, "tanh", "relu"):
            raise UnknownNameError("activation", self.activation, ("tanh", "relu"))


@dataclass(frozen=True)
class RecurrentPPOConfig(PPOConfig):
    """Settings of :class:`tropism_ppo.recurrent.RecurrentPPOAgent`: those of PPO and the LSTM's.

    Attributes:
        lstm_size: units of the LSTM, in [1, 4096]; actor and critic have one each.
    """

    checkpoint_every: int = 50_000
    lstm_size: int = 64


def _check_layers(name: str, layers: tuple[int, ...] | None) -> None:
    if layers is not None and not all(isinstance(units, int) and units >= 1 for units in layers):
        raise OptionError(f"{name} must hold hidden units >= 1, layer by layer, got {layers!r}")
