"""The whole network: embeddings, backbone, memory, one head for both systems, council and gate."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from tropism_council.backbone import Backbone, Context, Stream
from tropism_council.blocks import Layer
from tropism_council.config import CouncilConfig
from tropism_council.council import Asked, Council, Thought
from tropism_council.editor import Editor
from tropism_council.gate import Gate
from tropism_council.memory import Ring, Written
from tropism_council.readout import Readout
from tropism_council.telemetry import Telemetry
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


class State(NamedTuple):
    """What a lane carries from step to step."""

    stream: Stream
    ring: Ring

    def forget(self, mask: Tensor) -> State:
        """The same with nothing seen in the lanes of ``bool[B]``."""
        return State(self.stream.forget(mask), self.ring.forget(mask))

    def detach(self) -> State:
        """The same, through which no gradient flows."""
        return State(self.stream.detach(), self.ring.detach())


class Read(NamedTuple):
    """What System 1 made of ``T`` steps.

    Attributes:
        latents: of the steps, ``float[B, T, D]``.
        at: their positions in the stream, ``int64[B, T]``.
        step: their numbers in the episode, ``int64[B, T]``.
        context: of the stream.
        written: slots of the memory.
        before: what the last layer had of the steps before its last gains, ``float[B, T, D]``.
        plasticity: of the steps, ``float[B, T]``.
    """

    latents: Tensor
    at: Tensor
    step: Tensor
    context: Context
    written: Written
    before: Tensor
    plasticity: Tensor

    def rows(self, rows: Tensor) -> Read:
        """The same for some lanes."""
        context = Context(*(x[rows] for x in self.context))
        written = Written(*(x[rows] for x in self.written))
        return Read(
            self.latents[rows],
            self.at[rows],
            self.step[rows],
            context,
            written,
            self.before[rows],
            self.plasticity[rows],
        )


class Network(nn.Module):
    """Both systems.

    Args:
        sizes: of the task.
        config: of the agent.
    """

    def __init__(self, sizes: Sizes, config: CouncilConfig) -> None:
        super().__init__()
        width, heads, window = config.width, config.heads, config.window
        tables = (sizes.tokens, 2 * MOST_NEW, sizes.queries, sizes.answers + 1, 5)
        self.embeddings = nn.ModuleList(nn.Embedding(count, width) for count in tables)
        for table in self.embeddings:
            nn.init.normal_(table.weight, std=0.5)  # type: ignore[arg-type]
        self.backbone = Backbone(width, config.layers, heads, window)
        self.council = Council(
            width,
            heads,
            window,
            config.voices,
            config.ponder_steps,
            config.slots,
            config.patience,
        )
        self.head = nn.Linear(width, sizes.answers)
        self.value = nn.Linear(width, 1)
        self.gate = Gate(config.signals, config.optimism)
        self.telemetry = Telemetry(width)
        self.editor = Editor(width) if config.online else None

    @property
    def readout(self) -> Readout:
        """What adapts within an episode, over the weights of now."""
        last = self.backbone.layers[-1]
        assert isinstance(last, Layer)
        return Readout(last.gain_feed, self.backbone.norm, self.head)

    def begin(self, lanes: int) -> State:
        """Nothing seen yet."""
        return State(self.backbone.begin(lanes), self.council.memory.begin(lanes))

    def read(
        self, tokens: Tokens, asked: Tensor, state: State, plasticity: Tensor | None = None
    ) -> tuple[Read, State]:
        """Take further tokens in.

        Args:
            tokens: of ``T`` steps.
            asked: the column of the last token of every step, ascending, ``int64[B, T]``.
            state: from before.
            plasticity: of each step, ``float[B, T]``; None: 0.
        """
        columns = [torch.from_numpy(column) for column in tokens]
        x = torch.stack(
            [table(column) for table, column in zip(self.embeddings, columns, strict=False)]
        ).sum(0)
        plastic = _by_token(plasticity, asked, x)
        latents, context, stream, before = self.backbone(x, plastic, state.stream, columns[-1])
        lanes = torch.arange(len(asked))[:, None]
        at = context.where[lanes, asked + context.where.shape[1] - x.shape[1]]
        latents, before, plastic = (x[lanes, asked] for x in (latents, before, plastic))
        written, ring = self.council.memory.store(latents, state.ring)
        step = state.ring.count[:, None] + torch.arange(asked.shape[1])
        read = Read(latents, at, step, context, written, before, plastic)
        return read, State(stream, ring)

    def worth(self, latents: Tensor) -> Tensor:
        """System 1: the discounted share of right answers to come, ``float[...]`` of latents ``float[..., D]``."""
        return self.value(latents)[..., 0]

    def reflex(self, latents: Tensor) -> Tensor:
        """System 1: log-probabilities ``float[..., V]`` of latents ``float[..., D]``."""
        return torch.log_softmax(self.head(latents), -1)

    def think(self, read: Read, chosen: Tensor) -> Thought:
        """System 2 about some of the steps that were read, ``int64[B, Q]``."""
        lanes = torch.arange(len(chosen))[:, None]
        asked = Asked(
            *(x[lanes, chosen] for x in (read.latents, read.written.now, read.at, read.step))
        )
        return self.council(asked, read.context, read.written, self.head)


def _by_token(plasticity: Tensor | None, asked: Tensor, x: Tensor) -> Tensor:
    """The plasticity of the step to which each token belongs, ``float[B, S]``."""
    if plasticity is None:
        return x.new_zeros(x.shape[:2])
    if plasticity.shape[1] == 1:
        return plasticity.expand(x.shape[:2])
    columns = torch.arange(x.shape[1]).expand(len(x), -1).contiguous()
    step = torch.searchsorted(asked.contiguous(), columns).clamp(max=asked.shape[1] - 1)
    return plasticity.gather(1, step)
