"""The contract between the suite and an agent: what an agent is, what a policy does, what it is told.

An :class:`Agent` learns and returns a :class:`Policy`; a policy acts for a batch of lanes and may keep
adapting while it acts.  Everything that crosses this line is a NumPy array or a frozen dataclass, so a
plugin may use any framework inside.  Importing this module loads NumPy and nothing heavier.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from tropism.limits import within

if TYPE_CHECKING:
    from gymnasium.envs.registration import EnvSpec
    from gymnasium.spaces import Space
    from gymnasium.vector import VectorEnv

    from tropism.agents.runs import Run

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Decision:
    """What a policy answers for a batch of ``B`` lanes.

    Attributes:
        action: an element of the batched action space, ``B`` lanes first.
        compute: ``int64[B]``, what this decision cost in the agent's own primitive (network passes).
        log_probs: ``float32[B, n]`` log-probabilities over a discrete action space of ``n`` actions, or
            ``None``; the log-regret metric needs them.
        diagnostics: further arrays, one row a lane, recorded but never scored.
    """

    action: Any
    compute: npt.NDArray[np.int64]
    log_probs: npt.NDArray[np.float32] | None = None
    diagnostics: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Budget:
    """How much an agent may learn from.

    Attributes:
        env_steps: environment steps, summed over lanes; samples drawn from a generator count as steps.
        wall_s: wall-clock seconds, or ``None`` for no limit.  Results under a wall limit depend on the
            machine, so suites use ``env_steps``.
    """

    env_steps: int = 0
    wall_s: float | None = None

    def __post_init__(self) -> None:
        """Refuse a negative budget."""
        if self.env_steps < 0:
            raise ValueError(f"Budget.env_steps must be >= 0, got {self.env_steps}")
        if self.wall_s is not None and self.wall_s <= 0:
            raise ValueError(f"Budget.wall_s must be > 0 or None, got {self.wall_s}")


@dataclass(frozen=True)
class Task:
    """An environment with the seeds an agent may train on and the seeds it is judged on.

    Attributes:
        env_id: a registered Gymnasium id, for example ``"tropism/PatternWorld-Switch-v0"``.
        kwargs: keyword arguments of ``gym.make`` for both training and evaluation; JSON values only.
        train_kwargs: laid over ``kwargs`` while training; an id's own training arguments (the training split of
            Heldout) hold without being named here, unless ``kwargs`` decide otherwise.
        train_seeds: half-open range ``(first, stop)`` of reset seeds for training.
        test_seeds: half-open range of reset seeds for evaluation; never seen in training.
        num_envs: lanes to train with, a hint an agent may override.
        lifelong: a policy keeps what it learned from one episode to the next.
        agents: agent names for a parallel environment, empty for a single-agent one.
    """

    env_id: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    train_kwargs: Mapping[str, Any] = field(default_factory=dict)
    train_seeds: tuple[int, int] = (0, 10_000)
    test_seeds: tuple[int, int] = (10_000, 20_000)
    num_envs: int = 8
    lifelong: bool = False
    agents: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse overlapping or empty seed ranges."""
        for name in ("train_seeds", "test_seeds"):
            first, stop = getattr(self, name)
            if not 0 <= first < stop:
                raise ValueError(
                    f"Task.{name} must be a range (first, stop) with 0 <= first < stop, got {(first, stop)}"
                )
        if self.train_seeds[0] < self.test_seeds[1] and self.test_seeds[0] < self.train_seeds[1]:
            raise ValueError(
                f"Task.train_seeds {self.train_seeds} and Task.test_seeds {self.test_seeds} overlap"
            )
        if self.num_envs < 1:
            raise ValueError(f"Task.num_envs must be >= 1, got {self.num_envs}")

    def make(self, *, train: bool = False, **overrides: Any) -> Any:
        """One environment: ``gym.make(env_id, **kwargs)``; ``train=True`` lays ``train_kwargs`` over them."""
        import gymnasium

        import tropism.envs  # noqa: F401  registers the ids

        return gymnasium.make(self.env_id, **self._kwargs(train), **overrides)

    def make_vec(
        self, num_envs: int | None = None, *, train: bool = False, **overrides: Any
    ) -> VectorEnv:
        """A vector of ``num_envs`` lanes through ``gym.make_vec``; the suite's own vector class if there is one.

        Args:
            num_envs: lanes; the task's own hint by default.
            train: lay ``train_kwargs`` over ``kwargs``.
            overrides: further keyword arguments of the environment; ``autoreset_mode`` reaches the vector
                class of the suite or Gymnasium's ``SyncVectorEnv``, whichever serves the id.
        """
        import gymnasium

        import tropism.envs  # noqa: F401  registers the ids

        kwargs = self._kwargs(train) | overrides
        spec = gymnasium.spec(self.env_id)
        if "autoreset_mode" in kwargs and not _vector_takes(spec, "autoreset_mode"):
            kwargs["vectorization_mode"] = "sync"
            kwargs["vector_kwargs"] = {"autoreset_mode": kwargs.pop("autoreset_mode")}
        return gymnasium.make_vec(self.env_id, num_envs=num_envs or self.num_envs, **kwargs)

    def spaces(self) -> tuple[Space[Any], Space[Any]]:
        """Observation and action space of one lane."""
        env = self.make()
        spaces = env.observation_space, env.action_space
        env.close()
        return spaces

    def _kwargs(self, train: bool) -> dict[str, Any]:
        from tropism.envs import TRAINING

        if not train:
            return dict(self.kwargs)
        return {**TRAINING.get(self.env_id, {}), **self.kwargs, **self.train_kwargs}


def _vector_takes(spec: EnvSpec, argument: str) -> bool:
    """Whether the id's own vector class has ``argument`` (Gymnasium's hand-written ones lack ``autoreset_mode``)."""
    from gymnasium.envs.registration import load_env_creator

    entry_point = spec.vector_entry_point
    if entry_point is None:
        return False
    creator = load_env_creator(entry_point) if isinstance(entry_point, str) else entry_point
    parameters = inspect.signature(creator).parameters.values()
    return any(p.name == argument or p.kind is p.VAR_KEYWORD for p in parameters)


def _checked_seed(seed: Any) -> int:
    """``seed`` as an int that every framework takes."""
    within("seed", seed, 0, 2**32 - 1, integer=True)
    return int(seed)


class Policy(ABC):
    """Acts for a batch of ``B`` lanes, and may keep adapting while it acts.

    A lane is one environment (in a parallel environment: one agent in one environment).  A policy is used
    as ``reset`` -> (``act`` -> ``observe``)*; ``observe`` tells the outcome of the action just taken.
    """

    max_lanes: int | None = None
    """Most lanes one policy can serve; 1 if lanes would share weights that adapt."""

    @abstractmethod
    def reset(self, mask: BoolArray, seeds: npt.NDArray[np.uint64]) -> None:
        """Begin an episode in the lanes of ``mask``.

        Those lanes forget everything (unless the task is lifelong), and ``seeds`` are their only
        randomness: the same seed and the same observations give the same actions, whatever the other
        lanes do.

        Args:
            mask: ``bool[B]``; its length is the number of lanes from here on.
            seeds: ``uint64[B]``, read where ``mask`` is true.
        """

    @abstractmethod
    def act(
        self, observation: Any, info: Mapping[str, Any], gate: BoolArray | None = None
    ) -> Decision:
        """Choose an action for every lane.

        Args:
            observation: a batched observation of ``B`` lanes.
            info: batched info; labels are stripped unless the agent is privileged.  A mask of legal
                actions, if any, is ``info["action_mask"]``.
            gate: ``bool[B]`` imposes the costly mode lane by lane (the matched-random control); ``None``
                lets the policy decide.  A policy with one mode ignores it.
        """

    def observe(  # noqa: B027  optional: most policies learn nothing here
        self,
        action: Any,
        observation: Any,
        reward: npt.NDArray[np.float64],
        terminated: BoolArray,
        truncated: BoolArray,
        info: Mapping[str, Any],
    ) -> None:
        """Learn the outcome of ``action``: arrays of ``B`` lanes, ``observation`` being the next one.

        The default does nothing.
        """

    @abstractmethod
    def save(self, directory: Path) -> None:
        """Write weights, normalisation and spaces into ``directory`` (which exists): no pickle, no lane state."""


class Agent(ABC):
    """A learner, built from a frozen config dataclass and a seed.

    Subclasses set :attr:`Config` to their own frozen dataclass; every field has a default, and the device,
    if any, is one of them.  The constructor is ``Agent(config=None, seed=0)``.
    """

    Config: ClassVar[type]
    """Frozen dataclass of everything that can be set, with defaults."""
    privileged: ClassVar[bool] = False
    """Sees labels and rules: a reference line, never ranked."""

    def __init__(self, config: Any = None, seed: int = 0) -> None:
        self.config = self.Config() if config is None else config
        if not isinstance(self.config, self.Config):
            raise TypeError(
                f"{type(self).__name__} takes a {self.Config.__qualname__}, got {type(config).__name__}; "
                f"build one with {type(self).__name__}.Config(...)"
            )
        self.seed = _checked_seed(seed)

    def supports(self, task: Task) -> str | None:  # noqa: ARG002  the default supports everything
        """``None`` if the agent can run ``task``, else the reason why not, for a person to read."""
        return None

    @abstractmethod
    def train(self, task: Task, budget: Budget, run: Run) -> Policy:
        """Learn ``task`` within ``budget``; log progress and checkpoints through ``run``, and resume from it.

        A training that was killed and resumed ends with the same policy as an unbroken one: a checkpoint must
        hold everything that training depends on, or reseed from its step.  An entry of the leaderboard that
        was resumed by an agent which breaks this cannot be reproduced.
        """

    @classmethod
    @abstractmethod
    def load(cls, directory: Path, task: Task) -> Policy:
        """The policy that :meth:`Policy.save` wrote into ``directory``.

        Raises:
            tropism.errors.ArtifactError: if the directory is incomplete, damaged, or written for other
                spaces than the task's.
        """
