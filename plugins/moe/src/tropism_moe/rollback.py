"""Taking adaptation back where it does harm: a snapshot, and what it would have lost."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from tropism.errors import OptionError

Tensors = dict[str, Tensor]


class Rollback:
    """Keeps the best parameters of a window past, and says when to return to them.

    Over a window both, the parameters at play and the snapshot, are judged by the same data, before either has learned
    from them.  Where those at play lose more by the margin, the snapshot returns; where they lose less, they become the
    snapshot.  A loss of the past would be no baseline: after a change of the world everything loses more, and nothing
    could ever be learned again.

    Args:
        parameters: the first snapshot.
        window: losses between verdicts.
        margin: share of the snapshot's loss by which the other may be higher.

    Attributes:
        snapshot: copies of the best parameters.
        count: snapshots returned to.

    Raises:
        OptionError: an argument out of range.
    """

    def __init__(self, parameters: Mapping[str, Tensor], window: int, margin: float) -> None:
        if window < 1:
            raise OptionError(f"window is {window}; losses between verdicts, 1 or more, expected")
        if not 0 <= margin < float("inf"):
            raise OptionError(f"margin is {margin}; a share of a loss, 0 or more, expected")
        self.window, self.margin, self.count = window, margin, 0
        self.snapshot = copies(parameters)
        self._sums = torch.zeros(2, dtype=torch.float64)
        self._seen = 0

    def watch(self, now: Tensor, before: Tensor) -> None:
        """Add losses ``float[n]`` of the parameters at play, and of the snapshot on the same data."""
        self._sums += torch.stack([now.double().sum(), before.double().sum()])
        self._seen += now.numel()

    def judge(self, parameters: Mapping[str, Tensor]) -> Tensors:
        """The parameters to go on with: after a full window perhaps the snapshot, bit for bit."""
        if self._seen < self.window:
            return dict(parameters)
        now, before = self._sums.tolist()
        self._sums, self._seen = torch.zeros_like(self._sums), 0
        if not now <= before + self.margin * abs(before):  # nor if it is not a number
            return self.restore()
        if now < before:
            self.snapshot = copies(parameters)
        return dict(parameters)

    def restore(self) -> Tensors:
        """A copy of the snapshot, to go on with; the window begins anew."""
        self._sums, self._seen = torch.zeros_like(self._sums), 0
        self.count += 1
        return copies(self.snapshot)

    def state_dict(self) -> Tensors:
        """Everything that changes."""
        state = {f"snapshot.{name}": value.clone() for name, value in self.snapshot.items()}
        counts = torch.tensor([self._seen, self.count])
        return {**state, "losses": self._sums.clone(), "counts": counts}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take over what :meth:`state_dict` gave."""
        self.snapshot = {name: state[f"snapshot.{name}"].clone() for name in self.snapshot}
        self._sums = state["losses"].clone()
        self._seen, self.count = state["counts"].tolist()


def copies(parameters: Mapping[str, Tensor]) -> Tensors:
    """Detached copies."""
    return {name: p.detach().clone() for name, p in parameters.items()}
