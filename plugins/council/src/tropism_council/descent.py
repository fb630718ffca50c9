"""Steps down the gradient: AdamW, its learning rate, and how far one step may go; the gate apart from the rest.

The gate has few numbers, which must keep up with what they foresee: its learning rate does not fall, and it takes several
steps where the others take one.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from tropism.agents.torch_state import optimiser_tensors, restore_optimiser
from tropism.errors import DivergedError
from tropism_council.network import Network

GATE_RATE, GATE_STEPS = 5e-3, 4
"""Learning rate of the gate, and the steps that it takes an update."""


class Descent:
    """The optimiser of a network.

    Args:
        network: to move.
        rate: of learning, after a warm-up; in the second half it falls linearly to a thirtieth.
        updates: how many there will be.
    """

    def __init__(self, network: Network, rate: float, updates: int) -> None:
        named = list(network.named_parameters())
        rest = [p for n, p in named if not n.startswith("gate.")]
        self.gate = list(network.gate.parameters())
        self.editor = list(network.editor.parameters()) if network.editor else []
        self.others = [p for n, p in named if not n.startswith(("gate.", "editor."))]
        groups = [{"params": rest}, {"params": self.gate, "lr": GATE_RATE}]
        self.adam = torch.optim.AdamW(groups, rate, weight_decay=0.01)
        self._updates, self.norm = updates, 0.0
        self._schedule = self._after(0)

    @property
    def done(self) -> int:
        """Updates so far."""
        return self._schedule.last_epoch

    @property
    def rate(self) -> float:
        """Learning rate of the next update."""
        return float(self._schedule.get_last_lr()[0])

    def step(self, loss: Tensor, lesson: Callable[[], Tensor]) -> None:
        """One update.

        Args:
            loss: to lower, a scalar.
            lesson: gives the gate's own loss anew.

        Raises:
            DivergedError: a gradient is not a number; the weights are as they were.
        """
        self._back(loss)
        self.norm = self._clip()
        self.adam.step()
        for _ in range(GATE_STEPS - 1):
            self._back(lesson())  # the optimiser leaves alone what has no gradient
            _finite("gate", torch.nn.utils.clip_grad_norm_(self.gate, 1.0).item())
            self.adam.step()
        self._schedule.step()

    def tensors(self) -> dict[str, Tensor]:
        """All that it remembers."""
        norm = torch.tensor(self.norm, dtype=torch.float64)
        return {**optimiser_tensors(self.adam, "adam."), "norm": norm}

    def restore(self, tensors: dict[str, Tensor], updates: int) -> None:
        """Take back what :meth:`tensors` gave, after so many updates."""
        restore_optimiser(self.adam, tensors, "adam.")
        self.norm = tensors["norm"].item()
        self._schedule = self._after(updates)

    def _back(self, loss: Tensor) -> None:
        self.adam.zero_grad()
        loss.backward()

    def _after(self, done: int) -> torch.optim.lr_scheduler.LambdaLR:
        updates, warm = self._updates, max(1, min(100, self._updates // 10))

        def rate(update: int) -> float:
            return min(1.0, (update + 1) / warm, max(1 / 30, 2 * (1 - update / updates)))

        return torch.optim.lr_scheduler.LambdaLR(self.adam, [rate, lambda _: 1.0], done - 1)

    def _clip(self) -> float:
        """Cut the gradients to length 1, the gate's and the editor's apart, not to shrink the others; how long those were."""
        parts = {"gate": self.gate, "editor": self.editor, "network": self.others}
        norms = {n: torch.nn.utils.clip_grad_norm_(p, 1.0).item() for n, p in parts.items()}
        for name, norm in norms.items():
            _finite(name, norm)
        return norms["network"]


def _finite(name: str, norm: float) -> None:
    if not math.isfinite(norm):
        raise DivergedError(name, norm, "gradient")
