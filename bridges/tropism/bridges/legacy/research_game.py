"""Research v1, the game's side: for tests, and for games that want agents written for the original.

Unlike the original it loses nothing to an agent that writes whenever it likes: it marks what it has taken (WAIT),
and looks again before it says that a picture is ready. Between that look and the writing lies about a
microsecond; only agents that write out of turn can lose something there.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tropism.bridges.errors import InvalidValue, ShmUnavailable
from tropism.bridges.legacy.research import (
    DEFAULT_SIZE,
    FACTS,
    FACTS_AT,
    Facts,
    Segment,
    Word,
    default_path,
    total_size,
)


class Request(NamedTuple):
    """What the agent wants: a reset, or an action of six numbers."""

    reset: bool
    action: tuple[float, ...] = (0.0,) * 6


class ResearchGame:
    """The game's end: `publish` a picture, `wait` for the request, simulate, and so on.

    The file is made anew, readable by its owner only, and deleted by `close`.

    Args:
        path: of the file; None: that of instance `MEGABONK_INSTANCE_ID`.
        size: height and width of pictures in pixels.

    Raises:
        ShmUnavailable: the file cannot be made.
    """

    def __init__(self, path: Path | None = None, size: tuple[int, int] = DEFAULT_SIZE) -> None:
        self.path, self.size, self.step = path or default_path(), size, 0
        _create(self.path, size)
        self._segment = Segment(self.path)
        self._early: Request | None = None

    def publish(
        self, pixels: np.ndarray, *, reward: float = 0.0, done: bool = False, time_ms: int = 0
    ) -> None:
        """Show a picture and give the turn to the agent.

        If the agent has written something out of turn this is not shown; `wait` returns that at once.

        Raises:
            InvalidValue: no uint8 picture of the right shape.
        """
        if pixels.dtype != np.uint8 or pixels.shape != (*self.size, 3):
            raise InvalidValue(
                f"a picture is uint8 {(*self.size, 3)}, not {pixels.dtype} {pixels.shape}"
            )
        height, width = self.size
        self._segment.write_picture(pixels)
        self._segment.facts = Facts(reward, int(done), self.step, time_ms, width, height)
        self._early = self._early or self._take()
        if self._early is None:
            self._segment.flag = Word.OBS_READY

    def wait(self, timeout: float = 10.0) -> Request:
        """The next request; the step counter follows it.

        Raises:
            StepTimeout: none came; call again, the picture is still shown.
        """
        if self._early is None:
            self._segment.wait(_is_request, timeout, "step")
        request, self._early = self._early or self._take(), None
        assert request is not None
        self.step = 0 if request.reset else self.step + 1
        return request

    def close(self) -> None:
        """Tell the agent that the game has ended, and delete the file; twice does no harm."""
        if not self._segment.closed:
            self._segment.flag = Word.TERMINATED
            self._segment.close()
            self.path.unlink(missing_ok=True)

    def __enter__(self) -> ResearchGame:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _take(self) -> Request | None:
        """Take what stands in the flag, if it is a request, and mark it as taken."""
        flag = self._segment.flag
        if not _is_request(flag):
            return None
        request = Request(flag == Word.RESET, self._segment.action)
        self._segment.flag = Word.WAIT
        return request


def _is_request(flag: int) -> bool:
    return flag in (Word.ACTION_READY, Word.RESET)


def _create(path: Path, size: tuple[int, int]) -> None:
    """Make the file under another name and put it in place whole, so that no agent sees half of it."""
    need, made = total_size(*size), path.with_name(f"{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(made, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        try:
            os.write(descriptor, bytes(need))  # written, not only sized: no SIGBUS on a full disk
            os.pwrite(descriptor, FACTS.pack(*Facts(width=size[1], height=size[0])), FACTS_AT)
        finally:
            os.close(descriptor)
        os.replace(made, path)
    except OSError as error:
        made.unlink(missing_ok=True)
        raise ShmUnavailable(f"{path} with {need} bytes: {error}") from error
