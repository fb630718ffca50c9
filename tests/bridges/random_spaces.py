"""Random Gymnasium spaces of every kind, for Hypothesis."""

import numpy as np
from gymnasium import spaces
from hypothesis import strategies as st

from tropism.bridges.protocol.layout import Layout

DTYPES = [np.dtype(d) for d in ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")]
FLOATS = [np.dtype(d) for d in ("f2", "f4", "f8")]
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
shapes = st.lists(st.integers(0, 3), max_size=3).map(tuple)


@st.composite
def boxes(draw):
    dtype, shape = draw(st.sampled_from(DTYPES + FLOATS)), draw(shapes)
    count = int(np.prod(shape))
    ends = _floats if dtype.kind == "f" else _integers(dtype)
    if draw(st.booleans()):
        low, high = sorted([draw(ends), draw(ends)])
        return spaces.Box(*_apart(low, high), shape, dtype)
    pairs = [sorted([draw(ends), draw(ends)]) for _ in range(count)]
    low, high = (np.array([p[i] for p in pairs], dtype).reshape(shape) for i in (0, 1))
    return spaces.Box(low, high, shape, dtype)


_floats = st.sampled_from([-np.inf, -2.5, -1.0, 0.0, 0.1, 3.0, 60000.0, np.inf])


def _integers(dtype):
    if dtype.kind == "b":
        return st.sampled_from([0, 1])
    info = np.iinfo(dtype)  # Gymnasium cannot sample up to the ends of 64 bits
    return st.sampled_from([max(info.min, -(2**62)), 0, 1, 7, min(info.max, 2**62)])


def _apart(low, high):
    """A Box from infinity to the same infinity holds nothing that is finite."""
    return (-np.inf, np.inf) if low == high and np.isinf(low) else (low, high)


@st.composite
def discretes(draw):
    dtype = draw(st.sampled_from([d for d in DTYPES if d.kind != "b"]))
    start = draw(st.integers(0, 50)) if dtype.kind == "u" else draw(st.integers(-50, 50))
    return spaces.Discrete(draw(st.integers(1, 60)), start=start, dtype=dtype.type)


@st.composite
def multi_discretes(draw):
    dtype = draw(st.sampled_from([d for d in DTYPES if d.kind != "b"]))
    shape = draw(st.lists(st.integers(1, 3), min_size=1, max_size=2))
    count = int(np.prod(shape))
    nvec = draw(st.lists(st.integers(1, 60), min_size=count, max_size=count))
    start = draw(st.lists(st.integers(0, 50), min_size=count, max_size=count))
    make = [np.array(x, dtype).reshape(shape) for x in (nvec, start)]
    return spaces.MultiDiscrete(make[0], dtype=dtype, start=make[1])


multi_binaries = st.one_of(
    st.integers(1, 5), st.lists(st.integers(1, 3), min_size=2, max_size=3)
).map(spaces.MultiBinary)


@st.composite
def texts(draw):
    least = draw(st.integers(0, 4))
    charset = draw(st.sampled_from(["a", "abc", "äöü€", "𝄞x"]))
    return spaces.Text(draw(st.integers(max(least, 1), 9)), min_length=least, charset=charset)


arrays = st.one_of(boxes(), discretes(), multi_discretes(), multi_binaries)
filled = arrays.filter(lambda s: 0 not in (s.shape or ()))


@st.composite
def graphs(draw):
    nodes, edges = draw(filled), draw(st.one_of(st.none(), filled))
    return spaces.Graph(nodes, edges)


def _containers(inner):
    tuples = st.lists(inner, max_size=3)
    dicts = st.lists(st.tuples(names, inner), max_size=3, unique_by=lambda pair: pair[0])
    of_one = st.one_of(filled, texts(), inner.filter(has_size))
    return st.one_of(
        tuples.map(spaces.Tuple),
        dicts.map(spaces.Dict),
        st.lists(inner, min_size=1, max_size=3).map(spaces.OneOf),
        of_one.map(spaces.Sequence),
        filled.map(lambda s: spaces.Sequence(s, stack=True)),
        st.lists(filled, min_size=1, max_size=2).map(
            lambda parts: spaces.Sequence(spaces.Tuple(parts), stack=True)
        ),
    )


def has_size(space):
    """Whether its values take any bytes."""
    if isinstance(space, spaces.Dict):
        return any(map(has_size, space.spaces.values()))
    if isinstance(space, spaces.Tuple):
        return any(map(has_size, space.spaces))
    return not isinstance(space, spaces.Box) or 0 not in space.shape


def fits(space):
    """Sequences inside sequences of graphs soon fit no message."""
    return Layout(space, max_size=2**50).size <= 2**20


leaves = st.one_of(arrays, texts(), graphs())
any_space = st.recursive(leaves, _containers, max_leaves=5).filter(fits)
