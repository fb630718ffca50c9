"""A token model of PatternWorld: it reads tokens and nothing else, and what it ought to have said is the token that follows."""

from __future__ import annotations

from typing import Any

import numpy as np

from tropism.agents.contract import Task
from tropism_moe.lessons import Lessons


def why_not(task: Task) -> str | None:
    """``None``, or why there are no tokens that follow one another in what ``task`` shows."""
    if "tropism/PatternWorld-" not in task.env_id:
        return "it shows no tokens; tokens=true is for PatternWorld"
    env = task.make()
    params = env.unwrapped.params  # pyright: ignore[reportAttributeAccessIssue]
    env.close()
    if params.family == "hop" or params.feedback != "reveal":
        return "its tokens are not shown one after the other; tokens=true needs feedback='reveal', and no Hop"
    return None


class TokenLessons(Lessons):
    """Lessons without a teacher: what is wanted is the token that the next observation shows.

    Arguments are those of :class:`~tropism_moe.lessons.Lessons`; nobody asks the teacher.
    """

    @property
    def sizes(self) -> tuple[int, int]:
        """One table reads tokens and says them."""
        return self.encoder.size, 0

    def _step(self, player: Any) -> tuple[Any, Any, Any]:  # noqa: ARG002  answers do not move this world
        began = self._over
        if began.any():
            self._reset(began)
        seen = self.encoder(self._observation)
        idle = np.zeros(self.lanes, np.int64)
        self._observation, _, terminated, truncated, _ = self.env.step(idle)
        self._over = terminated | truncated
        return seen, self.choices.numbers(self.encoder(self._observation)), began
