"""Where each value of a space stands in memory: docs/bridge-protocol.md, section 7."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from gymnasium import spaces

from tropism.bridges.errors import InvalidValue, ProtocolError, SpecMismatch
from tropism.bridges.protocol import containers
from tropism.bridges.protocol.header import MAX_MESSAGE
from tropism.bridges.protocol.jsons import DTYPES
from tropism.bridges.protocol.leaves import Array, Booleans, Buffer, Integer, Leaf, Node, Text
from tropism.bridges.protocol.spaces import space_to_json
from tropism.bridges.protocol.spaces_read import space_from_json

Json = dict[str, Any]


class Layout:
    """Writes values of a space into buffers and reads them again.

    Both peers compute it from the same JSON, so nothing but the values is ever sent.

    Args:
        space: a space, or its JSON.
        path: its name in errors.
        max_size: most bytes it may have.

    Raises:
        SpecMismatch: the JSON describes no space of the protocol, or one too large.
        InvalidValue: the protocol cannot say this space.

    Attributes:
        json: the description.
        space: the Gymnasium space.
        size: bytes of a value, a multiple of 8.
    """

    def __init__(
        self, space: spaces.Space | Json, path: str = "space", max_size: int = MAX_MESSAGE
    ) -> None:
        if isinstance(space, spaces.Space):
            self.json, self.space = space_to_json(space), space
        else:
            self.json, self.space = space, space_from_json(space, path=path, max_size=max_size)
        self.node = _compile(self.json, self.space, path)
        self.size = self.node.size
        if self.size > max_size:
            raise SpecMismatch(path, f"at most {max_size} bytes", self.size)

    @cached_property
    def leaves(self) -> tuple[Leaf, ...]:
        """Every leaf with its offset; of sequences every element there is room for."""
        return tuple(self.node.leaves(0))

    def encode_into(self, buffer: Buffer, offset: int, value: Any) -> None:
        """Write a value.

        Args:
            buffer: has `size` bytes at `offset`, which are zero or were written by this layout.
            offset: where to begin.
            value: of the space. Shapes and types are checked, bounds are not.

        Raises:
            InvalidValue: it has no place here; the text names the key.
        """
        if len(buffer) < offset + self.size:
            raise InvalidValue(f"{len(buffer) - offset} bytes of room for {self.size}")
        self.node.encode(buffer, offset, value)

    def decode(self, buffer: bytes | Buffer, offset: int = 0, copy: bool = True) -> Any:
        """Read a value.

        Args:
            buffer: the bytes.
            offset: where to begin.
            copy: whether arrays own their memory; else they are views of the buffer (of graphs and stacks, too).

        Raises:
            ProtocolError: the bytes are no value: too few, a count too high, bad UTF-8.
        """
        if len(buffer) < offset + self.size:
            raise ProtocolError(f"{max(len(buffer) - offset, 0)} bytes, not {self.size}")
        return self.node.decode(buffer, offset, copy)


def _compile(json: Json, space: Any, path: str) -> Node:
    """The layout of a description that has become a space, and so is known to be right."""
    match json["t"]:
        case "discrete":
            return Integer(path, space.dtype)
        case "text":
            return Text(path, json["max"])
        case "dict":
            of = [(key, _compile(j, space[key], f"{path}.{key}")) for key, j in json["of"]]
            return containers.Dict(path, of)
        case "tuple":
            return containers.Tuple(path, _parts(json, space, path))
        case "oneof":
            return containers.OneOf(path, _parts(json, space, path))
        case "seq":
            element = _filled(_compile(json["of"], space.feature_space, f"{path}[]"))
            return containers.Sequence(path, space, element, json["max"])
        case "graph":
            return _graph(json, path)
        case _:
            return _array(json, path)


def _parts(json: Json, space: Any, path: str) -> list[Node]:
    parts = zip(json["of"], space.spaces, strict=True)
    return [_compile(j, s, f"{path}[{i}]") for i, (j, s) in enumerate(parts)]


def _array(json: Json, path: str, before: tuple[int, ...] = ()) -> Array:
    code = "i1" if json["t"] == "multibinary" else json["d"]
    kind = Booleans if code == "b1" else Array
    return kind(path, code, DTYPES[code], (*before, *json["s"]))


def _graph(json: Json, path: str) -> Node:
    nodes = _elements(json["nodes"], json["max_nodes"], f"{path}.nodes")
    edges = None
    if json.get("edges") is not None:
        edges = _elements(json["edges"], json["max_edges"], f"{path}.edges")
    return containers.Graph(path, nodes, edges)


def _elements(json: Json, most: int, path: str) -> Array:
    if json["t"] == "discrete":
        integers = Array(path, "i8", np.dtype("<i8"), (most,))
        integers.shown = DTYPES[json.get("d", "i8")]
        return integers
    _filled(_array(json, path))
    return _array(json, path, (most,))


def _filled(node: Node) -> Node:
    if node.size == 0:  # a short message could hold millions of them
        raise SpecMismatch(node.path, "elements of some size", "elements of no bytes")
    return node
