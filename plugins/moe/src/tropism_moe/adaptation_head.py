"""A head that learns while it is used, by gradients of its LoRA: estimated by forward mode, or exact."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional

from tropism.errors import OptionError
from tropism_moe.adaptation_config import AdaptationConfig
from tropism_moe.forward_gradient import Gradient, forward_gradient, reverse_gradient
from tropism_moe.lora import LoRA
from tropism_moe.rollback import Rollback, Tensors, copies

Loss = Callable[[Tensor, Tensor], Tensor]
"""Losses ``float[n]`` of outputs ``float[n, V]`` by targets ``[n, ...]``."""

CLIP = 0.2
"""By how much a ratio of probabilities counts at most, beside 1 (Schulman et al. 2017, arXiv:1707.06347)."""


def squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Half the squared distance, ``float[n]``, of two ``float[n, V]``."""
    return (outputs - targets).square().sum(-1) / 2


def cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Nats, ``float[n]``, by which logits ``float[n, V]`` miss right answers ``int64[n, 1]``."""
    return functional.cross_entropy(outputs, targets[:, 0], reduction="none")


def policy_gradient(outputs: Tensor, targets: Tensor) -> Tensor:
    """Loss of logits ``float[n, V]`` by rewards: the clipped surrogate of PPO, ``float[n]``.

    It also tells by past actions how another head would have done, as a rollback must.

    Args:
        outputs: logits.
        targets: action, its log-probability when it was taken, and its advantage or reward, ``float[n, 3]``.
    """
    action, before, advantage = targets.unbind(-1)
    log_probs = torch.log_softmax(outputs, -1).gather(-1, action.long()[:, None])[:, 0]
    ratio = torch.exp(log_probs - before)
    return -torch.minimum(ratio * advantage, ratio.clamp(1 - CLIP, 1 + CLIP) * advantage)


class HeadAdapter:
    """Learns online: pairs are observed, and each step between lowers the loss of the latest.

    A step is one of gradient descent on the mean loss of the pairs at hand plus ``anchor`` times the square distance from where
    the parameters began (L2-SP, Li et al. 2018, arXiv:1802.01483).

    Args:
        weight: of the head, ``float[V, D]``; it is not changed.
        config: rates and sizes.
        loss: of outputs by targets; of operations that ``torch.func`` can differentiate and map over a batch.

    Attributes:
        lora: the head as adapted so far.
        rollback: watches every observation.
        steps: taken so far.
    """

    def __init__(self, weight: Tensor, config: AdaptationConfig, loss: Loss) -> None:
        self.config, self.steps, self._loss = config, 0, loss
        self.lora = LoRA(weight, config.rank, _generator(config.seed, 0))
        self._start = copies(self._parameters)
        self.rollback = Rollback(self._start, config.window, config.margin)
        self._features = weight.new_zeros(0, weight.shape[1])
        self._targets: Tensor | None = None

    @property
    def size(self) -> int:
        """Parameters that adapt."""
        return sum(p.numel() for p in self._start.values())

    def outputs(self, features: Tensor) -> Tensor:
        """Of latents ``float[..., D]``, ``float[..., V]``, detached."""
        with torch.no_grad():
            return self.lora(features)

    def change(self, features: Tensor) -> Tensor:
        """By how much those have changed, ``float[..., V]``, detached; exactly 0 before the first step."""
        with torch.no_grad():
            return self.lora.change(features)

    def observe(self, features: Tensor, targets: Tensor) -> Tensor:
        """Take in pairs; return to the snapshot if a window has shown that it does better.

        Args:
            features: latents, ``float[n, D]``.
            targets: what ``loss`` compares outputs with, ``[n, ...]``.

        Returns:
            The losses ``float[n]`` of the head before it has learned from them.

        Raises:
            OptionError: of another shape or dtype, or not finite; nothing was taken in.
        """
        self._check(features, targets)
        with torch.no_grad():
            now = self._loss(self.lora(features), targets)
            before = self._loss(self._with(self.rollback.snapshot, features), targets)
        self.rollback.watch(now, before)
        self._set(self.rollback.judge(self._parameters))
        kept = targets if self._targets is None else torch.cat([self._targets, targets])
        self._targets = kept[-self.config.pairs :].detach()
        self._features = torch.cat([self._features, features])[-self.config.pairs :].detach()
        return now

    def step(self) -> float | None:
        """Learn from the pairs at hand; returns their mean loss before, or None where there are none."""
        targets = self._targets
        if targets is None or not len(targets):
            return None
        self.steps += 1
        found, rate, config = self._gradient(targets), self._rate, self.config
        moved = {}
        for name, p in self._parameters.items():
            pull = 2 * config.anchor * (p - self._start[name])
            moved[name] = p - rate * found.gradients[name] - config.learning_rate * pull
        finite = all(torch.isfinite(p).all() for p in moved.values())
        self._set(moved if finite else self.rollback.restore())
        return found.loss.item()

    def state_dict(self) -> Tensors:
        """Everything that changes, and where it began."""
        state = {**copies(self._parameters), "features": self._features.clone()}
        state.update({f"start.{name}": p.clone() for name, p in self._start.items()})
        state.update({f"rollback.{name}": x for name, x in self.rollback.state_dict().items()})
        if self._targets is not None:
            state["targets"] = self._targets.clone()
        return {**state, "steps": torch.tensor(self.steps)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take over what :meth:`state_dict` gave."""
        self._set({name: state[name] for name in self._start})
        self._start = {name: state[f"start.{name}"].clone() for name in self._start}
        inner = {k.removeprefix("rollback."): v for k, v in state.items() if k.startswith("rollback.")}  # fmt: skip
        self.rollback.load_state_dict(inner)
        self._features, self.steps = state["features"].clone(), int(state["steps"])
        self._targets = state["targets"].clone() if "targets" in state else None

    def _gradient(self, targets: Tensor) -> Gradient:
        """Of the mean loss of the pairs at hand."""

        def loss(parameters: Tensors) -> Tensor:
            return self._loss(self._with(parameters, self._features), targets).mean()

        if not self.config.directions:
            return reverse_gradient(loss, self._parameters)
        generator = _generator(self.config.seed, self.steps)
        return forward_gradient(loss, self._parameters, self.config.directions, generator)

    @property
    def _rate(self) -> float:
        """Along a gradient, or along an estimate of it."""
        directions, rate = self.config.directions, self.config.learning_rate
        return rate * directions / (self.size + directions + 1) if directions else rate

    @property
    def _parameters(self) -> Tensors:
        return {name: p.detach() for name, p in self.lora.named_parameters()}

    def _set(self, parameters: Tensors) -> None:
        self.lora.load_state_dict(parameters)

    def _with(self, parameters: Tensors, features: Tensor) -> Tensor:
        return functional_call(self.lora, parameters, (features,))

    def _check(self, features: Tensor, targets: Tensor) -> None:
        width, dtype = self._features.shape[1], self._features.dtype
        if features.ndim != 2 or features.shape[1] != width or features.dtype != dtype:
            raise OptionError(
                f"features are {features.dtype}{list(features.shape)}; {dtype}[n, {width}] expected"
            )
        like = targets if self._targets is None else self._targets
        if len(targets) != len(features) or targets.shape[1:] != like.shape[1:]:
            raise OptionError(
                f"targets are {list(targets.shape)}; {[len(features), *like.shape[1:]]} expected"
            )
        for name, x in (("features", features), ("targets", targets)):
            if not torch.isfinite(x).all():
                raise OptionError(
                    f"{name} are not finite; drop such pairs before they are observed"
                )


def _generator(seed: int, step: int) -> torch.Generator:
    """Of one step: nothing but the count of steps need be saved to go on with the same numbers."""
    (drawn,) = np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(drawn))
