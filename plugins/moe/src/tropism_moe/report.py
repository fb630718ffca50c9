"""What a run came to, stage by stage: scores on test episodes, bytes of weights, and how evenly experts were asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from tropism.agents.contract import Policy, Task
from tropism.agents.evaluate import evaluate
from tropism.agents.options import build_config
from tropism.agents.trained import policy_of, read_training, task_of
from tropism_moe.agent import MoEAgent
from tropism_moe.agent_config import MoEConfig
from tropism_moe.choices import Choices
from tropism_moe.encoders import encoder_of
from tropism_moe.expert_store import ExpertStore
from tropism_moe.pack import STORE, read_shared
from tropism_moe.policy import MoEPolicy
from tropism_moe.stage_policy import NetworkPolicy, load_network
from tropism_moe.stages import STAGES
from tropism_moe.teachers import privileged, teach, teacher_of

FLOAT = 4
"""Bytes of a weight in training."""


@dataclass(frozen=True)
class Row:
    """One player.

    Attributes:
        player: ``random``, the teacher, the stages in their order, ``packed``.
        score: mean of the episodes' scores.
        same: share of actions that are those of the player of the row before; the packed form should do as the ternary network did.
        weight_bytes: of all weights; None of players that have none.
        unevenness: Gini coefficient of the experts' load, mean over layers; None without experts.
        unused: experts that were never asked.
    """

    player: str
    score: float
    same: float | None = None
    weight_bytes: int | None = None
    unevenness: float | None = None
    unused: int | None = None

    def to_json(self) -> dict[str, float | int | str | None]:
        """The fields."""
        return asdict(self)


def read_run(directory: Path) -> tuple[Task, MoEConfig, Path]:
    """The task, the settings and the directory of the policy of a run of ``tropism train moe``.

    Raises:
        ArtifactError: it holds no such run, or one that is not finished.
        UnknownNameError: its environment is not registered.
    """
    told = read_training(directory, "moe")
    config = build_config(MoEConfig, told["options"], owner=str(directory))
    return task_of(directory, told), config, policy_of(directory, told)


def assess(
    directory: Path,
    task: Task,
    config: MoEConfig,
    packed: Path,
    episodes: int = 8,
    update: Callable[[float], None] = lambda _: None,
) -> list[Row]:
    """Play every stage of a run on the first test seeds.

    Args:
        directory: of the run.
        task: that it learned.
        config: of the agent.
        packed: directory of the policy.
        episodes: to play.
        update: told the number of players that are done.
    """
    rows: list[Row] = []
    seeds = range(task.test_seeds[0], task.test_seeds[0] + episodes)
    before: list[np.ndarray] | None = None
    for name, policy in _players(directory, task, config, packed):
        labels = name == "teacher" and privileged(teacher_of(config.teacher, task))
        played = evaluate(policy, task, seeds, privileged=labels)
        score = float(np.mean([episode.score for episode in played]))
        actions = [episode.action for episode in played]
        rows.append(Row(name, score, _same(before, actions), *_facts(policy)))
        before = actions
        update(len(rows))
    return rows


def _players(
    directory: Path, task: Task, config: MoEConfig, packed: Path
) -> Iterator[tuple[str, Policy]]:
    _, action = task.spaces()
    yield "random", teach("random", task)
    yield "teacher", teach(teacher_of(config.teacher, task), task)
    for stage in STAGES:
        network = load_network(directory, stage.name)
        encoder = encoder_of(task, config.tokens)
        yield stage.name, NetworkPolicy(network, encoder, Choices(action))
    yield "packed", MoEAgent.load(packed, task)


def _same(before: list[np.ndarray] | None, actions: list[np.ndarray]) -> float | None:
    """Share of the actions that are the same, until the shorter episode ends."""
    if before is None:
        return None
    pairs = [(a[: len(b)], b[: len(a)]) for a, b in zip(before, actions, strict=True)]
    return float(np.mean(np.concatenate([(a == b).reshape(len(a), -1).all(1) for a, b in pairs])))


def _facts(policy: Policy) -> tuple[int | None, float | None, int | None]:
    """Bytes, Gini coefficient and idle experts of a player."""
    if isinstance(policy, NetworkPolicy):
        nbytes = FLOAT * sum(weight.numel() for weight in policy.model.parameters())
        return nbytes, policy.unevenness, int((policy.load == 0).sum())
    return packed_bytes(policy.directory) if isinstance(policy, MoEPolicy) else None, None, None


def packed_bytes(directory: Path) -> int:
    """Of all weights of a packed model as they lie on disk, without padding."""
    _, arrays = read_shared(directory)
    with ExpertStore.open(directory / STORE) as store:
        slabs = sum(slab.length for slab in store.slabs.values())
    return slabs + sum(array.nbytes for array in arrays.values())


def table(rows: list[Row]) -> str:
    """For people."""
    low, high = rows[0].score, rows[1].score
    head = f"{'player':10}{'score':>10}{'of teacher':>12}{'as before':>11}{'bytes':>12}{'Gini':>7}{'idle':>6}"
    return "\n".join([head, *(_line(row, low, high) for row in rows)])


def _line(row: Row, low: float, high: float) -> str:
    of = (row.score - low) / (high - low) if high != low else float("nan")
    cells = (
        f"{row.score:10.2f}", f"{of:12.3f}", "" if row.same is None else f"{row.same:.3f}",
        "" if row.weight_bytes is None else f"{row.weight_bytes:,}",
        "" if row.unevenness is None else f"{row.unevenness:.3f}",
        "" if row.unused is None else f"{row.unused}",
    )  # fmt: skip
    widths = 10, 12, 11, 12, 7, 6
    return f"{row.player:10}" + "".join(f"{c:>{w}}" for c, w in zip(cells, widths, strict=True))
