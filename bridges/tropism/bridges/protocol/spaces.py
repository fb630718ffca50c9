"""Gymnasium spaces as JSON: docs/bridge-protocol.md, section 7.

Close to Minari's `serialize_space`, but a uniform bound is one number, an infinite one a string, and any other
base64: the bounds of a camera image would be millions of numbers otherwise.
"""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import numpy as np
from gymnasium import spaces

from tropism.bridges.errors import BridgeError, InvalidValue
from tropism.bridges.protocol.jsons import dtype_code, to_base64

Json = dict[str, Any]
Limits = tuple[int, tuple[int, int]]
SEQUENCE_MAX = 64
GRAPH_MAX = (64, 256)


def space_to_json(
    space: spaces.Space, *, sequence_max: int = SEQUENCE_MAX, graph_max: tuple[int, int] = GRAPH_MAX
) -> Json:
    """Describe a space.

    Args:
        space: any of Gymnasium's spaces.
        sequence_max: most elements of any Sequence in it (Gymnasium has no limit, the wire needs one).
        graph_max: most nodes and most edges of any Graph in it.

    Raises:
        InvalidValue: the protocol cannot say this space; the text names the place.
    """
    return _write(space, (sequence_max, graph_max))


@singledispatch
def _write(space: spaces.Space, _: Limits) -> Json:
    raise InvalidValue(f"a space of type {type(space).__name__} cannot be sent: {space}")


def _at(key: object, space: spaces.Space, limits: Limits) -> Json:
    try:
        return _write(space, limits)
    except BridgeError as error:
        raise InvalidValue(f"in {key!r}: {error}") from None


@_write.register
def _box(space: spaces.Box, _: Limits) -> Json:
    low = _bound(space.low, space.bounded_below, "-inf")
    high = _bound(space.high, space.bounded_above, "inf")
    return {
        "t": "box",
        "d": dtype_code(space.dtype),
        "s": list(space.shape),
        "lo": low,
        "hi": high,
    }


def _bound(bound: np.ndarray, bounded: np.ndarray, infinite: str) -> Any:
    """One number, "inf" or "-inf", or the whole array."""
    if bound.size == 0:
        return 0
    first = bound.flat[0]
    if not np.all(bound == first):
        return {"b64": to_base64(bound.astype(bound.dtype.newbyteorder("<")))}
    if np.isinf(first):
        return "inf" if first > 0 else "-inf"
    if not np.any(bounded) and bound.dtype.kind != "f":  # Gymnasium keeps that it was infinite
        return infinite
    return int(first) if bound.dtype.kind == "b" else first.item()


@_write.register
def _discrete(space: spaces.Discrete, _: Limits) -> Json:
    n, start = int(space.n), int(space.start)
    if start + n > 2**63:
        raise InvalidValue(f"{space} does not fit 64 bits with a sign")
    of_type = {} if space.dtype == np.int64 else {"d": dtype_code(space.dtype)}
    return {"t": "discrete", "n": n, "start": start, **of_type}


@_write.register
def _multi_discrete(space: spaces.MultiDiscrete, _: Limits) -> Json:
    return {
        "t": "multidiscrete",
        "d": dtype_code(space.dtype),
        "s": list(space.shape),
        "nvec": space.nvec.ravel().tolist(),
        "start": space.start.ravel().tolist(),
    }


@_write.register
def _multi_binary(space: spaces.MultiBinary, _: Limits) -> Json:
    return {"t": "multibinary", "s": list(space.shape)}


@_write.register
def _text(space: spaces.Text, _: Limits) -> Json:
    chars = "".join(space.character_list)
    return {"t": "text", "min": space.min_length, "max": space.max_length, "chars": chars}


@_write.register
def _dict(space: spaces.Dict, limits: Limits) -> Json:
    for key in space.spaces:
        if not isinstance(key, str):
            raise InvalidValue(f"the key {key!r} of a Dict space is not a string")
    return {"t": "dict", "of": [[key, _at(key, s, limits)] for key, s in space.spaces.items()]}


@_write.register
def _tuple(space: spaces.Tuple, limits: Limits) -> Json:
    return {"t": "tuple", "of": [_at(i, s, limits) for i, s in enumerate(space.spaces)]}


@_write.register
def _one_of(space: spaces.OneOf, limits: Limits) -> Json:
    return {"t": "oneof", "of": [_at(i, s, limits) for i, s in enumerate(space.spaces)]}


@_write.register
def _sequence(space: spaces.Sequence, limits: Limits) -> Json:
    of = _at("elements", space.feature_space, limits)
    return {"t": "seq", "of": of, "max": limits[0], "stack": space.stack}


@_write.register
def _graph(space: spaces.Graph, limits: Limits) -> Json:
    most_nodes, most_edges = limits[1]
    edges = None if space.edge_space is None else _element(space.edge_space, "edges", limits)
    return {
        "t": "graph",
        "nodes": _element(space.node_space, "nodes", limits),
        "edges": edges,
        "max_nodes": most_nodes,
        "max_edges": most_edges,
    }


def _element(space: spaces.Space, key: str, limits: Limits) -> Json:
    written = _at(key, space, limits)
    if written["t"] not in ARRAYS:
        raise InvalidValue(f"in {key!r}: each must be one array or integer, not {space}")
    return written


ARRAYS = ("box", "discrete", "multidiscrete", "multibinary")
"""Kinds of spaces whose values are one array or integer."""
