"""Shapes of the weight matrices of a layer, ``(rows, columns) = (out, in)``: one source for models and for budgets.

Torch is not needed here, so that a budget of a model larger than the machine costs nothing.  The modules of the same names
build from these, and each key is the name of the attribute that holds the map.
"""

from __future__ import annotations

import math

from tropism.errors import OptionError
from tropism.limits import check_number

Shapes = dict[str, tuple[int, int]]
"""By the name of a map."""


def check_sizes(**sizes: int) -> None:
    """Refuse sizes that no layer has.

    Raises:
        OptionError: if one is not a whole number of at least 1; the message names it.
    """
    for name, size in sizes.items():
        check_number(name, size, 1, math.inf, integer=True)


def recurrence_shapes(width: int, rank: int) -> Shapes:
    """Of a gated linear recurrence, ``3 d^2 + 2 r d`` weights (seed 002).

    Args:
        width: ``d``, of the values and of the stream.
        rank: ``r``, of keys and queries.

    Raises:
        OptionError: if a size is below 1.
    """
    check_sizes(width=width, rank=rank)
    square, thin = (width, width), (rank, width)
    return {"decay": square, "key": thin, "value": square, "query": thin, "out": square}


def attention_shapes(width: int, query_heads: int, kv_heads: int, head_width: int) -> Shapes:
    """Of grouped-query attention.

    Args:
        width: of the stream.
        query_heads: a multiple of ``kv_heads``.
        kv_heads: heads of keys and values.
        head_width: of every head, even: rotary positions turn pairs.

    Raises:
        OptionError: if a size is below 1, or the heads do not fit.
    """
    check_sizes(width=width, query_heads=query_heads, kv_heads=kv_heads, head_width=head_width)
    if query_heads % kv_heads:
        raise OptionError(
            f"query_heads must be a multiple of kv_heads = {kv_heads}, got {query_heads}"
        )
    if head_width % 2:
        raise OptionError(f"head_width must be even for rotary positions, got {head_width}")
    asked, kept = query_heads * head_width, kv_heads * head_width
    return {
        "query": (asked, width),
        "key": (kept, width),
        "value": (kept, width),
        "out": (width, asked),
    }


def feed_forward_shapes(width: int, hidden: int) -> Shapes:
    """Of a SwiGLU feed-forward layer, ``3 d f`` weights; an expert has the same.

    Args:
        width: ``d``, of the stream.
        hidden: ``f``.

    Raises:
        OptionError: if a size is below 1.
    """
    check_sizes(width=width, hidden=hidden)
    return {"gate": (hidden, width), "up": (hidden, width), "down": (width, hidden)}
