"""A cell: one agent, trained once on one task and evaluated on fixed seeds; data, and what identifies it."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tropism.agents.contract import Task
from tropism.agents.plugins import default_host
from tropism.errors import ArtifactError

if TYPE_CHECKING:
    from tropism.benchmarks.suites import Suite


@dataclass(frozen=True)
class Cell:
    """What to run; JSON-able and picklable.

    Attributes:
        agent: Registered name of the agent.
        task: Where it plays.
        env_steps: Training budget in environment steps.
        train_seed: Seed of the agent.
        eval_seeds: One evaluation episode each.
        config: Options laid over the agent's defaults.
        label: Its name on the board.
        block: Consecutive episodes averaged into one sample of a score.
    """

    agent: str
    task: Task
    env_steps: int
    train_seed: int
    eval_seeds: tuple[int, ...]
    config: Mapping[str, Any] = field(default_factory=dict)
    label: str = ""
    block: int = 1

    def to_json(self) -> dict[str, Any]:
        """The cell as JSON values."""
        return json.loads(json.dumps(asdict(self), allow_nan=False))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Cell:
        """The cell that :meth:`to_json` described."""
        try:
            task = Task(**{k: _tuple(v) for k, v in data["task"].items()})
            rest = {k: _tuple(v) for k, v in data.items() if k != "task"}
            return cls(task=task, **rest)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ArtifactError(f"{dict(data)!r} describes no cell: {error}") from error

    @property
    def cost(self) -> int:
        """Environment steps to train plus a flat charge to evaluate: what the progress bar counts."""
        return self.env_steps + 1000

    @property
    def title(self) -> str:
        """A line for people."""
        return f"{self.label or self.agent} on {self.task.env_id}, training seed {self.train_seed}"


def suite_cells(suite: Suite) -> list[Cell]:
    """Every cell of a suite, those that cost most first, so that two processes end together."""
    cells = [
        Cell(
            player.agent,
            entry.task,
            player.env_steps,
            seed,
            suite.eval_seeds(entry),
            player.config,
            player.name,
            entry.block,
        )
        for entry in suite.entries
        for player in entry.players
        for seed in range(suite.train_seeds if player.env_steps else 1)
    ]
    return sorted(cells, key=lambda cell: -cell.env_steps)


def cell_key(cell: Cell) -> str:
    """SHA3-256 (hex) of the cell and of the sources that play it.

    The sources are those of the environments, the agents' floor and the agent's own package; what only
    reads results, such as the report, is not among them.
    """
    body = {"cell": cell.to_json(), "source": source_of(cell.agent), "versions": packages()}
    return hashlib.sha3_256(json.dumps(body, sort_keys=True).encode()).hexdigest()


@functools.cache
def source_of(agent: str) -> str:
    """SHA3-256 (hex) over the Python files of environments, agents' floor and the agent's package."""
    entry = default_host().agents().get(agent)
    package = entry.target.split(":")[0].split(".")[0] if entry else "tropism"
    names = {"tropism.envs", "tropism.agents"} | ({package} - {"tropism"})
    digest = hashlib.sha3_256()
    for name in sorted(names):
        for file, short in _files(name):
            content = file.read_bytes()
            digest.update(f"{short}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def packages() -> dict[str, str]:
    """Versions of the installed packages that can change a number, other people's plugins left out."""
    from tropism.agents.manifest import versions

    return {name: v for name, v in versions().items() if not name.startswith("tropism-")}


def _files(package: str) -> Iterator[tuple[Path, str]]:
    """The Python files of an importable package (or of a single module), with portable names."""
    spec = importlib.util.find_spec(package)
    roots = list(spec.submodule_search_locations or ()) if spec else []
    if spec and spec.origin and not roots:
        yield Path(spec.origin), package
    for root in map(Path, roots):
        for file in sorted(root.rglob("*.py")):
            yield file, f"{package}/{file.relative_to(root).as_posix()}"


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
