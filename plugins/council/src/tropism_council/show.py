"""``tropism council show``: play a trained council on held-out episodes and write a page about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tropism.agents.artifacts import write_atomic
from tropism.agents.contract import Task
from tropism.agents.progress import progress
from tropism.errors import OptionError
from tropism_council.show_play import Life, play, with_gains
from tropism_council.show_run import Trained, read_run

PAGE = "council.html"
HALF = 0.5
"""How often System 2 is asked where chance decides."""
MOST_EPISODES = 1000


@dataclass(frozen=True)
class Shown:
    """What the page is about.

    Attributes:
        run: that was trained.
        own: episodes played as its gate decides.
        alone: the same episodes, played by System 1 alone.
        always: the same with System 2 asked at every step.
        asked: episodes from which the gate's reliability is read: ``own`` with the gain of every step, or, where what is shown
            depends on what was answered, episodes in which chance decided who answers.
    """

    run: Trained
    own: list[Life]
    alone: list[Life]
    always: list[Life]
    asked: list[Life]


def show(
    directory: Path, *, episodes: int = 8, seed: int | None = None, output: Path | None = None
) -> Path:
    """Write the page and return its path; it appears whole or not at all.

    Args:
        directory: of a run of ``tropism train council``.
        episodes: held-out episodes to play.
        seed: of the first of them; by default the first that is held out.
        output: the page; by default ``council.html`` in the run's directory.

    Raises:
        OptionError: if ``episodes`` or ``seed`` are out of range, or ``output`` cannot be written.
        ArtifactError: if the run is not one of the council, unfinished or damaged.
    """
    from tropism_council.show_page import page

    path = _output(directory, output)
    run = read_run(directory)
    seeds = held_out(run.task, episodes, seed)
    write_atomic(path, page(played(run, seeds)))
    return path


def played(run: Trained, seeds: range) -> Shown:
    """Play one episode of each seed, several times."""
    count = len(seeds)
    with one_thread(), progress(3 * count, "episodes") as update:

        def again(turn: int, rate: float | None) -> list[Life]:
            return play(
                run.policy,
                run.task,
                seeds,
                rate=rate,
                progress=lambda done: update(min(turn, 2) * count + done),
            )

        own, alone, always = again(0, None), again(1, 0.0), again(2, 1.0)
        asked = with_gains(own, alone, always) or again(3, HALF)
    return Shown(run, own, alone, always, asked)


@contextmanager
def one_thread() -> Iterator[None]:
    """A few lanes of a small network are played fastest by one thread; several wait for each other on a busy machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def held_out(task: Task, episodes: int, seed: int | None) -> range:
    """Seeds of episodes that nobody learned from.

    Raises:
        OptionError: if there are none such.
    """
    if not 1 <= episodes <= MOST_EPISODES:
        raise OptionError(f"episodes must be in [1, {MOST_EPISODES}], got {episodes}")
    first, stop = task.test_seeds
    begin = first if seed is None else seed
    if not first <= begin <= stop - episodes:
        raise OptionError(
            f"seed must be in [{first}, {stop - episodes}], so that {episodes} episodes are held out, got {begin}"
        )
    return range(begin, begin + episodes)


def _output(directory: Path, output: Path | None) -> Path:
    """Where to write; asked before anything is played.

    Raises:
        OptionError: if there is no such directory, or it is one itself.
    """
    path = directory / PAGE if output is None else output
    if output is not None and not path.parent.is_dir():
        raise OptionError(f"--output {path}: there is no directory {path.parent}; make it first")
    if path.is_dir():
        raise OptionError(f"--output {path} is a directory; name a file in it, {path / PAGE} say")
    return path
