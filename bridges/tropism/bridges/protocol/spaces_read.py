"""Gymnasium spaces from the JSON of a peer, which is not to be trusted.

Nothing larger than the budget is ever built: bounds of a Box take memory, so their bytes are counted first.
"""

from __future__ import annotations

import math
from typing import Any, TypeGuard

import numpy as np
from gymnasium import spaces

from tropism.bridges.errors import ProtocolError, SpecMismatch
from tropism.bridges.protocol.header import MAX_MESSAGE
from tropism.bridges.protocol.jsons import DTYPES, from_base64, is_count
from tropism.bridges.protocol.spaces import ARRAYS

Json = dict[str, Any]
MAX_DEPTH = 32
MAX_DIMENSIONS = 32


def space_from_json(
    value: object, *, path: str = "space", max_size: int = MAX_MESSAGE
) -> spaces.Space:
    """Build the space that a peer describes.

    Args:
        value: parsed JSON, anything at all.
        path: where it stands, for the errors.
        max_size: most bytes of all its leaves together; every element of a list of spaces counts.

    Raises:
        SpecMismatch: it is no space of the protocol, nested deeper than 32, or too large.
    """
    return _Reader(max_size).read(value, path)


class _Reader:
    def __init__(self, budget: int) -> None:
        self.budget, self.depth = budget, 0

    def read(self, value: object, path: str) -> spaces.Space:
        if self.depth > MAX_DEPTH:
            raise SpecMismatch(path, f"at most {MAX_DEPTH} spaces inside each other", "more")
        if not isinstance(value, dict):
            raise SpecMismatch(path, "a space (a JSON object)", short(value))
        reader = _READERS.get(str(value.get("t")))
        if reader is None:
            raise SpecMismatch(f"{path}.t", f"one of {sorted(_READERS)}", short(value.get("t")))
        self.depth += 1
        try:
            return reader(self, value, path)
        except (ValueError, TypeError, OverflowError, AssertionError, ProtocolError) as error:
            raise SpecMismatch(path, "a space", f"{short(value)} ({error})") from None
        finally:
            self.depth -= 1

    def box(self, value: Json, path: str) -> spaces.Space:
        dtype = _dtype(value, path, "biuf")
        shape = self.shape(value, path, dtype.itemsize)
        low = _bound(value.get("lo"), dtype, shape, f"{path}.lo", "-inf")
        high = _bound(value.get("hi"), dtype, shape, f"{path}.hi", "inf")
        return spaces.Box(low, high, shape, dtype)  # type: ignore[arg-type]

    def discrete(self, value: Json, path: str) -> spaces.Space:
        dtype = _dtype({"d": "i8", **value}, path, "iu")
        n, start = value.get("n"), value.get("start", 0)
        if not (_integer(n) and _integer(start) and 0 < n <= 2**63 - start <= 2**64):
            raise SpecMismatch(path, "integers n > 0 and start, within i64", short(value))
        self.spend(8, path)
        return spaces.Discrete(n, start=start, dtype=dtype.type)

    def multi_discrete(self, value: Json, path: str) -> spaces.Space:
        dtype = _dtype(value, path, "iu")
        shape = self.shape(value, path, dtype.itemsize)
        nvec = _integers(value.get("nvec"), dtype, shape, f"{path}.nvec")
        start = _integers(value.get("start"), dtype, shape, f"{path}.start")
        return spaces.MultiDiscrete(nvec, dtype=dtype, start=start)

    def multi_binary(self, value: Json, path: str) -> spaces.Space:
        shape = self.shape(value, path, 1)
        return spaces.MultiBinary(shape[0] if len(shape) == 1 else shape)

    def text(self, value: Json, path: str) -> spaces.Space:
        least, most = _count(value, "min", path), _count(value, "max", path)
        chars = value.get("chars")
        if not isinstance(chars, str):
            raise SpecMismatch(f"{path}.chars", "a string", short(chars))
        self.spend(4 + 4 * most, path)
        return spaces.Text(most, min_length=least, charset=chars)

    def dict(self, value: Json, path: str) -> spaces.Space:
        inner: dict[str, spaces.Space] = {}
        for pair in _list(value, path):
            if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[0], str):
                raise SpecMismatch(path, "pairs of a name and a space", short(pair))
            if pair[0] in inner:
                raise SpecMismatch(path, "names that differ", f"{pair[0]!r} twice")
            inner[pair[0]] = self.read(pair[1], f"{path}.{pair[0]}")
        return spaces.Dict(list(inner.items()))

    def tuple(self, value: Json, path: str) -> spaces.Space:
        return spaces.Tuple(self.each(value, path))

    def one_of(self, value: Json, path: str) -> spaces.Space:
        self.spend(4, path)
        return spaces.OneOf(self.each(value, path))

    def sequence(self, value: Json, path: str) -> spaces.Space:
        most, stack = _count(value, "max", path), value.get("stack", False)
        if not isinstance(stack, bool):
            raise SpecMismatch(f"{path}.stack", "true or false", short(stack))
        before = self.budget
        of = self.read(value.get("of"), f"{path}[]")
        used = before - self.budget
        self.spend(4 + (most - 1) * used if most else 4, path)
        return spaces.Sequence(of, stack=stack)

    def graph(self, value: Json, path: str) -> spaces.Space:
        nodes = self.elements(value, "nodes", "max_nodes", path)
        edges = None
        if value.get("edges") is not None:
            edges = self.elements(value, "edges", "max_edges", path)
            self.spend(8 * _count(value, "max_edges", path), path)
        _count(value, "max_edges", path)
        return spaces.Graph(nodes, edges)

    def elements(self, value: Json, key: str, most: str, path: str) -> spaces.Space:
        of = value.get(key)
        if not isinstance(of, dict) or of.get("t") not in ARRAYS:
            raise SpecMismatch(f"{path}.{key}", f"a space of {ARRAYS}", short(of))
        before = self.budget
        space = self.read(of, f"{path}.{key}")
        used = before - self.budget
        self.spend(max(_count(value, most, path) - 1, 0) * used, path)
        return space

    def each(self, value: Json, path: str) -> list[spaces.Space]:
        parts = enumerate(_list(value, path))
        return [self.read(part, f"{path}[{i}]") for i, part in parts]

    def shape(self, value: Json, path: str, itemsize: int) -> tuple[int, ...]:
        shape = value.get("s")
        if not isinstance(shape, list) or len(shape) > MAX_DIMENSIONS:
            raise SpecMismatch(f"{path}.s", "a list of sizes", short(shape))
        if not all(is_count(size) and size < 2**31 for size in shape):
            raise SpecMismatch(f"{path}.s", "integers in [0, 2^31)", short(shape))
        self.spend(math.prod(max(size, 1) for size in shape) * itemsize, path)
        return tuple(shape)

    def spend(self, size: int, path: str) -> None:
        self.budget -= size
        if self.budget < 0:
            raise SpecMismatch(path, "spaces that fit a message", "more bytes than that")


_READERS = {
    "box": _Reader.box,
    "discrete": _Reader.discrete,
    "multidiscrete": _Reader.multi_discrete,
    "multibinary": _Reader.multi_binary,
    "text": _Reader.text,
    "dict": _Reader.dict,
    "tuple": _Reader.tuple,
    "oneof": _Reader.one_of,
    "seq": _Reader.sequence,
    "graph": _Reader.graph,
}


def short(value: object, most: int = 80) -> str:
    """What a peer sent, cut for an error message."""
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}..."


def _dtype(value: Json, path: str, kinds: str) -> np.dtype:
    dtype = DTYPES.get(str(value.get("d")))
    if dtype is None or dtype.kind not in kinds:
        known = [code for code, d in DTYPES.items() if d.kind in kinds]
        raise SpecMismatch(f"{path}.d", f"one of {known}", short(value.get("d")))
    return dtype


def _bound(value: object, dtype: np.dtype, shape: tuple[int, ...], path: str, outwards: str) -> Any:
    """A bound; integers may be infinite `outwards` only ("-inf" below)."""
    if isinstance(value, dict):
        return from_base64(value.get("b64"), dtype, shape)
    if value in ("inf", "-inf") and (dtype.kind == "f" or value == outwards):
        return math.inf if value == "inf" else -math.inf
    if isinstance(value, float) or _integer(value):
        least, most = _range(dtype)
        if least <= value <= most and (dtype.kind == "f" or value == int(value)):
            return value if dtype.kind == "f" else int(value)
    raise SpecMismatch(path, f'a number for {dtype}, "inf", "-inf" or {{"b64": ...}}', short(value))


def _range(dtype: Any) -> tuple[float, float]:
    if dtype.kind == "b":
        return 0, 1
    if dtype.kind == "f":
        most = float(np.finfo(dtype).max)
        return -most, most
    return int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)


def _integers(value: object, dtype: np.dtype, shape: tuple[int, ...], path: str) -> np.ndarray:
    if not isinstance(value, list) or not all(map(_integer, value)):
        raise SpecMismatch(path, "a list of integers", short(value))
    return np.array(value, dtype).reshape(shape)


def _integer(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _count(value: Json, key: str, path: str) -> int:
    count = value.get(key)
    if not is_count(count):
        raise SpecMismatch(f"{path}.{key}", "an integer from 0", short(count))
    return count  # type: ignore[return-value]


def _list(value: Json, path: str) -> list[Any]:
    of = value.get("of")
    if not isinstance(of, list):
        raise SpecMismatch(f"{path}.of", "a list", short(of))
    return of
