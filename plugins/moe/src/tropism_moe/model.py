"""The recurrent model in torch: what is trained, and what the packed form is compared with.

Shapes: ``B`` lanes, ``T`` steps, ``D`` width.  One state serves tokens and observations alike::

    outputs, state = model(tokens, state)          # int64[B, T]
    outputs, state = model(observations, state)    # float[B, T, inputs]
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from tropism.errors import OptionError
from tropism_moe.attention import WindowedAttention
from tropism_moe.blocks import SwiGLU, rms_norm
from tropism_moe.config import BLOCK, ModelConfig
from tropism_moe.experts import Experts
from tropism_moe.lattice import Lattice
from tropism_moe.recurrence import GatedRecurrence
from tropism_moe.routing import TEMPERATURE, Route, Routers

State = tuple[Any, ...]
"""Of every layer: fast weights, or keys and values; of a block that is gated ahead, what entered it."""


class Routing(NamedTuple):
    """How a model routes.

    Attributes:
        temperature: of the gates.
        soft: let several experts answer.
        slack: how much farther than the nearest expert the one that answers may be, by chance.
    """

    temperature: float = TEMPERATURE
    soft: bool = False
    slack: float = 0.0


class Output(NamedTuple):
    """What a model says.

    Attributes:
        outputs: of the heads, ``float[B, T, outputs]``, or logits of tokens, ``float[B, T, inputs]``.
        routes: of every layer with experts.
        latents: that the heads read, ``float[B, T, D]``.
    """

    outputs: Tensor
    routes: list[Route]
    latents: Tensor


class Entries(NamedTuple):
    """What entered a block at the last ``K`` steps, by which experts of the next ``K`` are chosen; zeros before an episode.

    Attributes:
        stream: normalised, ``float[B, K, D]``, oldest first.
    """

    stream: Tensor

    def forget(self, mask: Tensor) -> Entries:
        """The same with nothing read in the lanes of ``bool[B]``."""
        return Entries(self.stream.masked_fill(mask[:, None, None], 0))

    def detach(self) -> Entries:
        """The same, through which no gradient flows."""
        return Entries(self.stream.detach())

    def follow(self, entry: Tensor, resets: Tensor | None) -> tuple[Tensor, Entries]:
        """Of every step of ``float[B, T, D]``, what entered ``K`` steps before it in its episode; and the last ``K``."""
        ahead, steps = self.stream.shape[1], entry.shape[1]
        every = torch.cat([self.stream, entry], 1)
        old, last = every[:, :steps], every[:, steps:]
        if resets is not None:
            episode = functional.pad(resets.cumsum(1), (ahead, 0))
            old = old.masked_fill((episode[:, :steps] < episode[:, ahead:])[..., None], 0)
            last = last.masked_fill((episode[:, steps:] < episode[:, -1:])[..., None], 0)
        return old, Entries(last)


class RecurrentLayer(nn.Module):
    """Gated linear recurrence, then one of many experts."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.norm, self.norm_expert = rms_norm(config.width), rms_norm(config.width)
        self.recurrence = GatedRecurrence(config.width, config.rank)
        self.experts = Experts(config.width, config.hidden, config.experts)

    def begin(self, lanes: int) -> Any:
        """Nothing read."""
        return self.recurrence.begin(lanes)

    def mix(self, x: Tensor, state: Any, resets: Tensor | None) -> tuple[Tensor, Any]:
        """The stream after the recurrence."""
        found, state = self.recurrence(self.norm(x), state, resets)
        return x + found, state


class AttentionLayer(nn.Module):
    """Windowed attention, then a feed-forward network that all inputs share."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.norm, self.norm_feed = rms_norm(config.width), rms_norm(config.width)
        heads = config.query_heads, config.kv_heads, config.head_width
        self.attention = WindowedAttention(config.width, *heads, config.window)
        self.feed = SwiGLU(config.width, config.hidden)

    def begin(self, lanes: int) -> Any:
        """Nothing read."""
        return self.attention.begin(lanes)

    def forward(self, x: Tensor, state: Any, resets: Tensor | None) -> tuple[Tensor, Any]:
        """The stream after the layer."""
        found, state = self.attention(self.norm(x), state, resets)
        x = x + found
        return x + self.feed(self.norm_feed(x)), state


class Block(nn.Module):
    """Three layers that recur and have experts, and one that attends."""

    def __init__(self, config: ModelConfig, lattice: Lattice) -> None:
        super().__init__()
        self.width, self.pre_gated, self.ahead = config.width, config.pre_gated, config.gated_ahead
        self.routers = Routers(config.width, lattice, BLOCK - 1)
        self.recurrent = nn.ModuleList(RecurrentLayer(config) for _ in range(BLOCK - 1))
        self.attention = AttentionLayer(config)

    def begin(self, lanes: int) -> State:
        """Nothing read."""
        layers = (*self.recurrent, self.attention)
        state = tuple(layer.begin(lanes) for layer in layers)  # pyright: ignore[reportCallIssue]
        if not self.ahead:
            return state
        return *state, Entries(next(self.parameters()).new_zeros(lanes, self.ahead, self.width))

    def forward(
        self, x: Tensor, state: State, resets: Tensor | None, routing: Routing
    ) -> tuple[Tensor, State, list[Route]]:
        """The stream after the block, its state, and where it was routed."""
        routes, after = [], []
        seen, last = self.recurrent[0].norm(x), ()  # pyright: ignore[reportCallIssue]
        if self.ahead:
            seen, *last = state[BLOCK].follow(seen, resets)
        for layer, router, before in zip(self.recurrent, self.routers, state, strict=False):
            x, new = layer.mix(x, before, resets)  # pyright: ignore[reportCallIssue]
            h = layer.norm_expert(x)  # pyright: ignore[reportCallIssue]
            route = router(seen if self.pre_gated else h, routing.temperature, routing.slack)
            x = x + layer.experts(h, route, routing.soft)  # pyright: ignore[reportCallIssue]
            routes.append(route)
            after.append(new)
        x, window = self.attention(x, state[BLOCK - 1], resets)
        return x, (*after, window, *last), routes


class Model(nn.Module):
    """Blocks between a table of inputs and heads.

    Args:
        config: shapes.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.inputs = nn.Parameter(torch.randn(config.inputs, config.width) * 0.5)
        lattice = Lattice(config.lattice)
        self.blocks = nn.ModuleList(Block(config, lattice) for _ in range(config.layers // BLOCK))
        self.norm = rms_norm(config.width)
        self.heads = nn.Linear(config.width, config.outputs, bias=False) if config.outputs else None

    def begin(self, lanes: int) -> State:
        """The state of lanes that have read nothing."""
        return tuple(block.begin(lanes) for block in self.blocks)  # pyright: ignore[reportCallIssue]

    def forward(
        self, x: Tensor, state: State, resets: Tensor | None = None, routing: Routing | None = None
    ) -> tuple[Output, State]:
        """Read further steps.

        Args:
            x: tokens ``int64[B, T]``, or observations ``float[B, T, inputs]``.
            state: of the steps before.
            resets: where an episode begins, ``bool[B, T]``.
            routing: how; by default to the nearest expert.

        Raises:
            OptionError: a token is not in the table.
        """
        routing = routing or Routing()
        x = self.embed(x)
        routes, after = [], []
        for block, before in zip(self.blocks, state, strict=True):
            x, new, found = block(x, before, resets, routing)
            routes += found
            after.append(new)
        latents = self.norm(x)
        outputs = self.heads(latents) if self.heads else latents @ self.inputs.T
        return Output(outputs, routes, latents), tuple(after)

    def embed(self, x: Tensor) -> Tensor:
        """``float[B, T, D]`` of tokens or observations."""
        if x.is_floating_point():
            return x @ self.inputs
        if ((x < 0) | (x >= len(self.inputs))).any():
            raise OptionError(
                f"tokens must lie in [0, {len(self.inputs)}), got {int(x.min())} to {int(x.max())}"
            )
        return self.inputs[x]


def forget(state: State, mask: Tensor) -> State:
    """The state with nothing read in the lanes of ``bool[B]``."""
    return tuple(tuple(layer.forget(mask) for layer in block) for block in state)


def detach(state: State) -> State:
    """The state, through which no gradient flows."""
    return tuple(tuple(layer.detach() for layer in block) for block in state)
