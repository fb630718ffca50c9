"""Values made of others in memory: dictionaries, sequences and the like (docs/bridge-protocol.md, section 7)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.spaces import GraphInstance
from gymnasium.vector.utils import concatenate, create_empty_array, iterate

from tropism.bridges.errors import InvalidValue, ProtocolError
from tropism.bridges.protocol.leaves import U32, Array, Buffer, Leaf, Node, fit


class Dict(Node):
    """One part after the other, by name."""

    def __init__(self, path: str, parts: list[tuple[str, Node]]) -> None:
        self.path = path
        self.size, self.parts = 0, []
        for name, node in parts:
            self.parts.append((name, self.size, node))
            self.size += node.size
        plain = all(type(node) is Array for _, node in parts)
        self._arrays = [(n, at, a.shape, a.dtype) for n, at, a in self.parts] if plain else []

    def encode(self, buffer: Buffer, offset: int, value: Any) -> None:
        """Write a mapping that has just these keys."""
        self._check(value)
        for name, at, node in self.parts:
            node.encode(buffer, offset + at, value[name])

    def pieces(self, value: Any) -> list[Any]:
        """Those of the parts."""
        self._check(value)
        return [piece for name, _, node in self.parts for piece in node.pieces(value[name])]

    def decode(self, buffer: Any, offset: int, copy: bool) -> dict[str, Any]:
        """Read a dictionary."""
        if self._arrays and not copy:  # frames and vectors as they are received
            return {
                name: np.ndarray(shape, dtype, buffer, offset + at)
                for name, at, shape, dtype in self._arrays
            }
        return {name: node.decode(buffer, offset + at, copy) for name, at, node in self.parts}

    def leaves(self, offset: int) -> Iterator[Leaf]:
        """Those of the parts."""
        for _, at, node in self.parts:
            yield from node.leaves(offset + at)

    def _check(self, value: Any) -> None:
        """That it is a mapping with just these keys; only asking whether it is a `Mapping` takes long."""
        mapping = type(value) is dict or isinstance(value, Mapping)
        if not mapping or len(value) != len(self.parts):
            names = [name for name, _, _ in self.parts]
            raise InvalidValue(f"{self.path}: not a dictionary of {names}: {_kind(value)}")
        for name, _, node in self.parts:
            if name not in value:
                raise InvalidValue(f"{node.path}: missing")


class Tuple(Node):
    """One part after the other, by place."""

    def __init__(self, path: str, parts: list[Node]) -> None:
        self.path = path
        self.size, self.parts = 0, []
        for node in parts:
            self.parts.append((self.size, node))
            self.size += node.size

    def encode(self, buffer: Buffer, offset: int, value: Any) -> None:
        """Write a tuple or list."""
        if not isinstance(value, tuple | list) or len(value) != len(self.parts):
            raise InvalidValue(f"{self.path}: not a tuple of {len(self.parts)}: {_kind(value)}")
        for (at, node), part in zip(self.parts, value, strict=True):
            node.encode(buffer, offset + at, part)

    def decode(self, buffer: Any, offset: int, copy: bool) -> tuple[Any, ...]:
        """Read a tuple."""
        return tuple([node.decode(buffer, offset + at, copy) for at, node in self.parts])

    def leaves(self, offset: int) -> Iterator[Leaf]:
        """Those of the parts."""
        for at, node in self.parts:
            yield from node.leaves(offset + at)


class OneOf(Node):
    """One of several, in room for the largest."""

    def __init__(self, path: str, parts: list[Node]) -> None:
        self.path, self.parts = path, parts
        self.size = 8 + max(node.size for node in parts)

    def encode(self, buffer: Buffer, offset: int, value: Any) -> None:
        """Write a pair of which and what."""
        try:
            which, part = value
            node = self.parts[range(len(self.parts))[which]]
        except (TypeError, ValueError, IndexError):
            raise InvalidValue(f"{self.path}: not a pair of which and what: {value!r}") from None
        buffer[offset : offset + self.size] = bytes(self.size)
        U32.pack_into(buffer, offset, range(len(self.parts))[which])
        node.encode(buffer, offset + 8, part)

    def decode(self, buffer: Any, offset: int, copy: bool) -> tuple[np.int64, Any]:
        """Read the pair."""
        which = U32.unpack_from(buffer, offset)[0]
        if which >= len(self.parts):
            raise ProtocolError(f"{self.path}: number {which} of {len(self.parts)} spaces")
        return np.int64(which), self.parts[which].decode(buffer, offset + 8, copy)

    def leaves(self, offset: int) -> Iterator[Leaf]:
        """The leaves of all parts; parts share their room."""
        yield Leaf(f"{self.path}.which", "u4", (), offset)
        for node in self.parts:
            yield from node.leaves(offset + 8)


class Sequence(Node):
    """A number of elements, in room for the most."""

    def __init__(self, path: str, space: spaces.Sequence, element: Node, most: int) -> None:
        self.path, self.element, self.most = path, element, most
        self.of = space.feature_space
        self.stacked = space.stacked_feature_space if space.stack else None
        self.size = 8 + most * element.size

    def encode(self, buffer: Buffer, offset: int, value: Any) -> None:
        """Write the elements, zeros after them."""
        items = self._items(value)
        if len(items) > self.most:
            raise InvalidValue(f"{self.path}: {len(items)} elements in room for {self.most}")
        U32.pack_into(buffer, offset, len(items))
        at, step = offset + 8, self.element.size
        for item in items:
            self.element.encode(buffer, at, item)
            at += step
        buffer[at : offset + self.size] = bytes(offset + self.size - at)

    def decode(self, buffer: Any, offset: int, copy: bool) -> Any:
        """Read a tuple, or a stack."""
        count = _count(buffer, offset, self.most, self.path)
        if self.stacked is not None and type(self.element) is Array:
            return self._rows(self.element, count, buffer, offset + 8, copy)
        stop = offset + 8 + count * self.element.size
        places = range(offset + 8, stop, self.element.size)
        items = tuple([self.element.decode(buffer, at, copy) for at in places])
        if self.stacked is None:
            return items
        empty = create_empty_array(self.of, count)
        return concatenate(self.of, items, empty) if items else empty

    def leaves(self, offset: int) -> Iterator[Leaf]:
        """The count and every element there is room for."""
        yield Leaf(f"{self.path}.count", "u4", (), offset)
        for i in range(self.most):
            yield from self.element.leaves(offset + 8 + i * self.element.size)

    def _items(self, value: Any) -> Any:
        """The elements, one by one."""
        if self.stacked is None:
            if not isinstance(value, tuple | list):
                raise InvalidValue(f"{self.path}: not a tuple of elements: {_kind(value)}")
            return value
        try:
            return list(iterate(self.stacked, value))
        except (TypeError, ValueError, KeyError, AttributeError, IndexError) as error:
            raise InvalidValue(f"{self.path}: not elements in one stack: {error}") from None

    @staticmethod
    def _rows(element: Array, count: int, buffer: Any, offset: int, copy: bool) -> np.ndarray:
        """All elements at once: each is one row, with its padding between them."""
        row = np.ndarray(element.shape, element.dtype, buffer, offset).strides if count else ()
        strides = (element.size, *row) if count else None
        shape = (count, *element.shape)
        rows = np.ndarray(shape, element.dtype, buffer, offset, strides)
        return rows.copy() if copy else rows


class Graph(Node):
    """Nodes, and edges with the two nodes that each links."""

    def __init__(self, path: str, nodes: Array, edges: Array | None) -> None:
        self.path, self.nodes, self.edges = path, nodes, edges
        self.most_nodes = nodes.shape[0]
        self.most_edges = edges.shape[0] if edges else 0
        self.at_edges = 16 + nodes.size
        self.at_links = self.at_edges + (edges.size if edges else 0)
        self.links = Array(f"{path}.links", "i4", np.dtype("<i4"), (self.most_edges, 2))
        self.size = self.at_links + (self.links.size if edges else 0)

    def encode(self, buffer: Buffer, offset: int, value: Any) -> None:
        """Write a `GraphInstance`."""
        try:
            nodes, edges, links = value
            n, m = len(nodes), 0 if edges is None else len(edges)
        except (TypeError, ValueError):
            raise InvalidValue(f"{self.path}: not a GraphInstance: {_kind(value)}") from None
        if n > self.most_nodes or m > self.most_edges:
            room = f"room for {self.most_nodes} and {self.most_edges}"
            raise InvalidValue(f"{self.path}: {n} nodes and {m} edges, {room}")
        buffer[offset : offset + self.size] = bytes(self.size)
        U32.pack_into(buffer, offset, n)
        U32.pack_into(buffer, offset + 8, m)
        _write_rows(self.nodes, buffer, offset + 16, nodes)
        if m and self.edges:
            _write_rows(self.edges, buffer, offset + self.at_edges, edges)
            _write_rows(self.links, buffer, offset + self.at_links, links, m)

    def decode(self, buffer: Any, offset: int, copy: bool) -> GraphInstance:
        """Read one; without edges their arrays are None."""
        n = _count(buffer, offset, self.most_nodes, f"{self.path}.nodes")
        m = _count(buffer, offset + 8, self.most_edges, f"{self.path}.edges")
        nodes = _read_rows(self.nodes, n, buffer, offset + 16, copy)
        if not m or not self.edges:  # as Gymnasium samples it
            return GraphInstance(nodes, None, None)
        edges = _read_rows(self.edges, m, buffer, offset + self.at_edges, copy)
        links = _read_rows(self.links, m, buffer, offset + self.at_links, copy)
        return GraphInstance(nodes, edges, links)

    def leaves(self, offset: int) -> Iterator[Leaf]:
        """Two counts and up to three arrays."""
        yield Leaf(f"{self.path}.nodes.count", "u4", (), offset)
        yield Leaf(f"{self.path}.edges.count", "u4", (), offset + 8)
        yield from self.nodes.leaves(offset + 16)
        if self.edges:
            yield from self.edges.leaves(offset + self.at_edges)
            yield from self.links.leaves(offset + self.at_links)


def _write_rows(
    array: Array, buffer: Buffer, offset: int, value: Any, count: int | None = None
) -> None:
    """Write the first rows of an array leaf."""
    shape = (len(value) if count is None else count, *array.shape[1:])
    np.ndarray(shape, array.dtype, buffer, offset)[...] = fit(value, array.dtype, shape, array.path)


def _read_rows(array: Array, count: int, buffer: Any, offset: int, copy: bool) -> np.ndarray:
    rows = np.ndarray((count, *array.shape[1:]), array.dtype, buffer, offset)
    if array.shown == array.dtype:
        return rows.copy() if copy else rows
    shown = rows.astype(array.shown)
    if not np.array_equal(shown, rows):
        raise ProtocolError(f"{array.path}: numbers that {array.shown} cannot hold")
    return shown


def _count(buffer: Any, offset: int, most: int, path: str) -> int:
    count = U32.unpack_from(buffer, offset)[0]
    if count > most:
        raise ProtocolError(f"{path}: {count} elements in room for {most}")
    return count


def _kind(value: Any) -> str:
    known = isinstance(value, dict | tuple | list)
    return f"{type(value).__name__} of {len(value)}" if known else type(value).__name__
