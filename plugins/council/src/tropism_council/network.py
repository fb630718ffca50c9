"""The whole network: embeddings, backbone, one head for both systems, council and gate."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from tropism_council.backbone import Backbone, Stream
from tropism_council.config import CouncilConfig
from tropism_council.council import Council, Thought
from tropism_council.gate import Gate
from tropism_council.tokens import MOST_NEW, Tokens


class Sizes(NamedTuple):
    """How many of each there are.

    Attributes:
        tokens: values of a token, the masked one included.
        answers: actions.
        queries: values of a query.
    """

    tokens: int
    answers: int
    queries: int


class Read(NamedTuple):
    """What the backbone made of new tokens: see :meth:`tropism_council.backbone.Backbone.forward`."""

    latents: Tensor
    context: Tensor
    sees: Tensor


class Network(nn.Module):
    """Both systems.

    Args:
        sizes: of the task.
        config: of the agent.
    """

    def __init__(self, sizes: Sizes, config: CouncilConfig) -> None:
        super().__init__()
        width = config.width
        tables = (sizes.tokens, 2 * MOST_NEW, sizes.queries, sizes.answers + 1, 5)
        self.embeddings = nn.ModuleList(nn.Embedding(count, width) for count in tables)
        for table in self.embeddings:
            nn.init.normal_(table.weight, std=0.5)  # type: ignore[arg-type]
        self.backbone = Backbone(width, config.layers, config.heads, config.window)
        self.council = Council(width, config.heads, config.voices, config.ponder_steps)
        self.head = nn.Linear(width, sizes.answers)
        self.gate = Gate()

    def read(self, tokens: Tokens, stream: Stream) -> tuple[Read, Stream]:
        """Take further tokens in."""
        columns = [torch.from_numpy(column) for column in tokens]
        x = sum(table(column) for table, column in zip(self.embeddings, columns, strict=False))
        lanes, width = x.shape[0], x.shape[2]  # type: ignore[union-attr]
        no_memory, filled = torch.zeros(lanes, 0, width), torch.zeros(lanes, 0, dtype=torch.bool)
        plasticity = torch.zeros(lanes)
        latents, context, sees, stream = self.backbone(
            x, plasticity, no_memory, filled, stream, columns[-1]
        )
        return Read(latents, context, sees), stream

    def reflex(self, latents: Tensor) -> Tensor:
        """System 1: log-probabilities ``float[..., V]`` of latents ``float[..., D]``."""
        return torch.log_softmax(self.head(latents), -1)

    def think(self, read: Read, columns: Tensor) -> Thought:
        """System 2 about the positions ``int64[B, Q]`` of what was read."""
        lanes = torch.arange(len(columns), device=columns.device)[:, None]
        start, visible = read.latents[lanes, columns], read.sees[lanes, columns]
        return self.council(start, read.context, visible, self.head)
