"""The parts of a layer: neuromodulated attention over a sliding window, FiLM gains, feed-forward.

Shapes: ``B`` lanes, ``S`` new positions, ``P`` cached ones, ``D`` width, ``H`` heads, ``d = D / H``.
Every layer takes a plasticity ``p`` (``float[B, S]``), by which it sharpens or diffuses its attention, draws it to the
present, and scales its output; at ``p = 0`` all three are the identity, whatever the weights.  Idea: the Omni-Zero seed
(``000``), whose temperature could only diffuse and whose gains were not the identity at zero.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

NEVER = -1_000_000_000
"""Position of an empty place in a cache: too long ago for any window."""

PLASTIC_STD = 0.1
"""Of what plasticity is multiplied by; were it 0, as plasticity is at first, neither would ever move."""


class Cache(NamedTuple):
    """Keys and values of the last positions of one layer: ``float[B, H, P, d]``."""

    keys: Tensor
    values: Tensor


def split_heads(x: Tensor, parts: int, heads: int) -> tuple[Tensor, ...]:
    """``float[B, S, parts * D]`` as ``parts`` of ``float[B, H, S, d]``."""
    b, s, wide = x.shape
    split = x.view(b, s, parts, heads, wide // parts // heads)
    return split.permute(2, 0, 3, 1, 4).unbind(0)


def turns(
    position: Tensor, width: int, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor]:
    """Rotary positions (Su et al. 2021, arXiv:2104.09864): cosines and sines, each ``float[B, 1, S, d / 4]``.

    Args:
        position: ``int64[B, S]``.
        width: of what they turn, ``d``, a multiple of 4.
        dtype: of that.
    """
    quarter = width // 4
    speed = torch.exp(
        torch.arange(quarter, device=position.device) * (-6.9 / quarter)
    )  # periods up to 6,000
    angle = (position[:, None, :, None] * speed).to(dtype)
    return angle.cos(), angle.sin()


def rotate(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """``float[B, H, S, d]``, half of whose channels are turned: scores depend on differences of positions only.

    The other half compares content wherever it stands, as in GPT-NeoX (Black et al. 2022, arXiv:2204.06745).
    """
    cos, sin = turn
    quarter = cos.shape[-1]
    a, b, plain = x.split([quarter, quarter, x.shape[-1] - 2 * quarter], -1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos, plain], -1)


def recency(heads: int) -> nn.Parameter:
    """How much a position of distance fades, a head, ``float[H]``, to be learned (ALiBi, Press et al. 2022, arXiv:2108.12409).

    It lets the latest of several matches win.  The last head begins with no preference.
    """
    slopes = 0.25 ** torch.arange(1, heads + 1)
    slopes[-1] = 0.0
    return nn.Parameter(slopes)


def ages(where: Tensor) -> Tensor:
    """How far each position lies before the last of its lane, ``float[B, C]`` of ``int64[B, C]``; 0 for an empty place.

    A softmax sees differences only, so that ages at the last position serve all others.
    """
    return torch.where(where < 0, 0, where.max(1, keepdim=True).values - where).to(torch.float32)


class Attention(nn.Module):
    """Causal attention within a window of positions.

    Args:
        width: ``D``.
        heads: ``H``, a divisor of it.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.temperature = nn.Parameter(torch.randn(heads) * PLASTIC_STD)
        self.focus = nn.Parameter(torch.randn(heads) * PLASTIC_STD)
        self.recency = recency(heads)

    def forward(
        self, x: Tensor, p: Tensor, where: Tensor, age: Tensor, mask: Tensor, cache: Cache
    ) -> tuple[Tensor, Cache]:
        """Attend.

        Args:
            x: ``float[B, S, D]``.
            p: plasticity, ``float[B, S]``.
            where: positions of ``x``, ``int64[B, S]``.
            age: of all that is seen, ``float[B, P + S]``, from :func:`ages`.
            mask: what each new position sees, ``bool[B, S, P + S]``.
            cache: of the positions before.

        Returns:
            ``float[B, S, D]``, and the cache with the new positions at its end.
        """
        q, k, v = split_heads(self.qkv(x), 3, self.heads)
        turn = turns(where, q.shape[-1], q.dtype)
        q, k = rotate(q, turn), rotate(k, turn)
        keys, values = torch.cat([cache.keys, k], 2), torch.cat([cache.values, v], 2)
        plastic = p[:, None, :, None]
        sharpness = torch.exp(plastic * self.temperature[:, None, None]) / q.shape[-1] ** 0.5
        scores = (q * sharpness) @ keys.transpose(-1, -2)
        scores = scores - self.recency[:, None, None] * age[:, None, None]
        itself = scores.diagonal(cache.keys.shape[2], -2, -1)
        itself.add_((plastic * self.focus[:, None, None])[..., 0])
        weights = torch.softmax(scores.masked_fill(~mask[:, None], -torch.inf), -1)
        return self.out((weights @ values).transpose(1, 2).flatten(2)), Cache(keys, values)


class Gain(nn.Module):
    """FiLM (Perez et al. 2018, arXiv:1709.07871) by plasticity: ``x (1 + gamma p) + beta p``."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.randn(width) * PLASTIC_STD)
        self.beta = nn.Parameter(torch.randn(width) * PLASTIC_STD)

    def forward(self, x: Tensor, p: Tensor) -> Tensor:
        """Scale and shift ``float[B, S, D]`` by ``float[B, S]``."""
        return film(x, p, self.gamma, self.beta)


def film(x: Tensor, p: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    """As :meth:`Gain.forward`, by weights that are given: ``float[D]``, or of each lane's own ``float[B, 1, D]``."""
    p = p[..., None]
    return x * (1 + p * gamma) + p * beta


class Layer(nn.Module):
    """Attention and feed-forward, each normalised before and scaled by plasticity after."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm, self.norm_feed = nn.RMSNorm(width), nn.RMSNorm(width)
        self.attention = Attention(width, heads)
        self.feed = feed_forward(width)
        self.gain, self.gain_feed = Gain(width), Gain(width)

    def forward(
        self, x: Tensor, p: Tensor, where: Tensor, age: Tensor, mask: Tensor, cache: Cache
    ) -> tuple[Tensor, Cache, Tensor]:
        """As :meth:`Attention.forward`; and what it had before its last gains, ``float[B, S, D]``."""
        mixed, cache = self.attention(self.norm(x), p, where, age, mask, cache)
        x = self.gain(x + mixed, p)
        before = x + self.feed(self.norm_feed(x))
        return self.gain_feed(before, p), cache, before


def feed_forward(width: int) -> nn.Sequential:
    """Two linear maps with a GELU between them, four times as wide inside."""
    return nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
