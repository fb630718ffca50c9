"""Suites: which agents play which tasks, with what budget and which seeds.  Data only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tropism.agents.contract import Task
from tropism.errors import OptionError, UnknownNameError

FIRST_TEST_SEED = 10_000
"""Evaluation seeds begin here; training seeds end here (PatternWorld protocol)."""


@dataclass(frozen=True)
class Player:
    """An agent as it enters a suite.

    Attributes:
        agent: The registered name of the agent.
        env_steps: Training budget; 0 for agents that do not learn before they play.
        config: Options laid over the agent's defaults; JSON values.
        label: The name on the board; the agent's own by default.
    """

    agent: str
    env_steps: int = 0
    config: Mapping[str, Any] = field(default_factory=dict)
    label: str = ""

    @property
    def name(self) -> str:
        """What the board calls this player."""
        return self.label or self.agent


@dataclass(frozen=True)
class Entry:
    """One task of a suite and who plays it.

    Attributes:
        task: The environment and its seeds.
        players: Who plays.
        tags: What the task asks for.
        block: Episodes averaged into one sample of a score.  Where an episode is one right or wrong
            answer, an interquartile mean of single episodes would round to all or nothing.
    """

    task: Task
    players: tuple[Player, ...]
    tags: tuple[str, ...] = ()
    block: int = 1


@dataclass(frozen=True)
class Suite:
    """A named selection of entries.

    Attributes:
        name: What users type.
        summary: One line for the listing.
        entries: Tasks and their players.
        train_seeds: How many times a learner is trained, with the seeds 0, 1, ...  A player without a
            training budget is the same every time and plays once.
        episodes: Samples of each trained policy, with the evaluation seeds 10 000, 10 001, ...: one
            episode each, or one block of episodes.
    """

    name: str
    summary: str
    entries: tuple[Entry, ...]
    train_seeds: int
    episodes: int

    def eval_seeds(self, entry: Entry) -> tuple[int, ...]:
        """The seeds of the evaluation episodes on a task."""
        return tuple(range(FIRST_TEST_SEED, FIRST_TEST_SEED + self.episodes * entry.block))

    def select(self, agents: tuple[str, ...] = (), train_seeds: int | None = None) -> Suite:
        """The suite with some players only, or another number of training seeds.

        Args:
            agents: Names on the board; ``()`` keeps all.  The references stay.  An agent that is not in
                the suite joins every task, with the largest training budget found there.
            train_seeds: Replaces the suite's own number; at least 1.

        Raises:
            OptionError: If there are no training seeds.
        """
        if train_seeds is not None and train_seeds < 1:
            raise OptionError(f"seeds must be >= 1, got {train_seeds}")
        entries = (
            tuple(self._chosen(entry, agents) for entry in self.entries) if agents else self.entries
        )
        return replace(self, entries=entries, train_seeds=train_seeds or self.train_seeds)

    def _chosen(self, entry: Entry, agents: tuple[str, ...]) -> Entry:
        """The references and wanted players of ``entry``, and the newcomers."""
        listed = {player.name for other in self.entries for player in other.players}
        kept = [player for player in entry.players if player.name in (*REFERENCES, *agents)]
        budget = max(player.env_steps for player in entry.players)
        newcomers = [_newcomer(name, budget) for name in agents if name not in listed]
        return replace(entry, players=(*kept, *newcomers))


REFERENCES = ("random", "ideal", "oracle")
"""Players that fix the scale of a task: 0 of the normalised score, and 1 (the ideal where there is one)."""

NAIVE = tuple(
    map(
        Player,
        ("random", "last-difference", "table", "cusum", "two-mode", "map", "ideal", "oracle"),
    )
)
"""Players that need no training, on a PatternWorld task."""


def _newcomer(name: str, budget: int) -> Player:
    """A player for an agent that the suite does not list; the built-in ones have nothing to learn."""
    return Player(name, 0 if name in {player.name for player in NAIVE} else budget)


def _pattern_world(tier: str, players: tuple[Player, ...], **kwargs: Any) -> Entry:
    feedback = kwargs.get("feedback", "reveal")
    return Entry(Task(f"tropism/PatternWorld-{tier}-v0", kwargs), players, ("adaptation", feedback))


def _sanity(capability: str, players: tuple[Player, ...]) -> Entry:
    players = (Player("random"), Player("oracle"), *players)
    task = Task(f"tropism/Sanity-{capability}-v0")
    return Entry(task, players, ("sanity", capability.lower()), block=16)


def _chemotaxis(level: str) -> Entry:
    """A rung of the ladder: who needs no training, evolution on every level, all learners where memory begins."""
    task = Task(f"tropism/Chemotaxis-{level}-v0")
    players = (*map(Player, _WANDERERS), Player("evosax", 10_000_000))
    if level in _HARMFUL:
        players = (*players, Player("probe"))
    if level in _COMPARED:
        players = (*players, Player("ppo", _EQUAL), Player("evosax", _EQUAL, label="evosax-1M"))
    return Entry(task, players, ("chemotaxis",), block=16)


_WANDERERS = ("random", "stay", "heuristic", "oracle")
_HARMFUL = ("L0.2", "L0.2-Informed", "L1.0", "L1.1", "L5.0")
_COMPARED = ("L0.2", "L1.0", "L1.1")
_EQUAL = 1_000_000
"""Environment steps of learners that are compared at equal experience."""
_LEVELS = (
    "L0.0", "L0.1", "L0.2", "L0.2-Informed", "L1.0", "L1.1", "L1.2", "L2.0", "L2.1", "L2.2",
    "L3.0", "L3.1", "L3.2", "L4.0", "L4.1", "L4.2", "L5.0",
)  # fmt: skip
_DEMO = (*map(Player, ("random", "table", "cusum", "two-mode", "ideal")), Player("ppo", 100_000))
_LEARNERS = (Player("ppo", 100_000), Player("recurrent-ppo", 60_000))
_MASKED = (*map(Player, ("random", "table", "map", "ideal")), Player("ppo", 60_000))
_TIERS = ("Seed", "Switch", "Affine", "Noisy", "Fast", "Order2", "Heldout", "Recur", "Alias", "Hop")

QUICK = Suite(
    "quick",
    "four PatternWorld tiers and a memory check, in three minutes",
    (
        *(_pattern_world(tier, _DEMO) for tier in ("Switch", "Affine", "Noisy", "Fast")),
        _sanity("Memory", (Player("ppo", 12_000), Player("recurrent-ppo", 12_000))),
    ),
    train_seeds=3,
    episodes=8,
)

PATTERNWORLD = Suite(
    "patternworld",
    "all ten tiers, the protocol of the environment: 5 training seeds, 20 episodes",
    tuple(_pattern_world(tier, (*NAIVE, *_LEARNERS)) for tier in _TIERS),
    train_seeds=5,
    episodes=20,
)

CHEMOTAXIS = Suite(
    "chemotaxis",
    "the whole ladder: baselines and evolution on every level, PPO beside it on three",
    tuple(map(_chemotaxis, _LEVELS)),
    train_seeds=5,
    episodes=20,
)

FULL = Suite(
    "full",
    "every tier, the other feedback modes on three of them, the whole ladder, and every sanity check",
    (
        *PATTERNWORLD.entries,
        *CHEMOTAXIS.entries,
        *(
            _pattern_world(tier, _MASKED, feedback=feedback)
            for tier in ("Switch", "Affine", "Noisy")
            for feedback in ("bandit", "probe", "closed")
        ),
        *(
            _sanity(name, (Player("heuristic"), Player("ppo", 30_000)))
            for name in ("Credit", "Continuous", "Dict", "MultiDiscrete")
        ),
        # The best policy there is a mixture, so it is drawn from, not maximised.
        _sanity(
            "Stochastic", (Player("heuristic"), Player("ppo", 30_000, {"deterministic": False}))
        ),
        _sanity(
            "Memory",
            (Player("heuristic"), Player("ppo", 12_000), Player("recurrent-ppo", 12_000)),
        ),
    ),
    train_seeds=5,
    episodes=20,
)

SUITES: dict[str, Suite] = {suite.name: suite for suite in (QUICK, PATTERNWORLD, CHEMOTAXIS, FULL)}
"""Every suite by name."""


def find_suite(name: str) -> Suite:
    """The suite called ``name``.

    Raises:
        UnknownNameError: If there is none; the nearest names are suggested.
    """
    if name not in SUITES:
        raise UnknownNameError("suite", name, SUITES)
    return SUITES[name]
