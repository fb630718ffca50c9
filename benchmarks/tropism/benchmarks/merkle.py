"""A Merkle tree in the shape of RFC 6962, with inclusion and consistency proofs.

Leaves and inner nodes are hashed in separate domains, H(0x00 || data) and H(0x01 || left ||
right), and a tree of n leaves splits at the largest power of two below n, so no leaf is ever
duplicated. With SHA-256 the tree is the one of Certificate Transparency; SHA3-256, the default,
keeps the shape but not the hashes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from tropism.errors import OptionError, UnknownNameError

_HASHES = {"sha3_256": hashlib.sha3_256, "sha256": hashlib.sha256}


def leaf_hash(data: bytes, algorithm: str = "sha3_256") -> bytes:
    """Return H(0x00 || data), the hash of one leaf (RFC 9162, section 2.1.1)."""
    return _hasher(algorithm)(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes, algorithm: str = "sha3_256") -> bytes:
    """Return H(0x01 || left || right), the hash of an inner node (RFC 9162, section 2.1.1)."""
    return _hasher(algorithm)(b"\x01" + left + right).digest()


class MerkleTree:
    """An append-only tree: each append costs one hash on average, each root and proof O(log n).

    The hashes of all complete subtrees are kept, ``levels[h][i]`` covering the leaves from ``i *
    2**h`` up to ``(i + 1) * 2**h``, so the root and the proofs of every earlier size stay
    available.

    Args:
        algorithm: ``"sha3_256"`` or ``"sha256"``.

    Raises:
        UnknownNameError: If the algorithm is neither.
    """

    def __init__(self, algorithm: str = "sha3_256") -> None:
        self.algorithm = algorithm
        self._hash = _hasher(algorithm)
        self._levels: list[list[bytes]] = [[]]

    def __len__(self) -> int:
        return len(self._levels[0])

    def append(self, data: bytes) -> int:
        """Add one leaf and return its index."""
        return self.append_hash(self._hash(b"\x00" + data).digest())

    def append_hash(self, leaf: bytes) -> int:
        """Add one leaf given by its ``leaf_hash`` and return its index."""
        index, height, node = len(self), 0, leaf
        self._levels[0].append(node)
        while (index >> height) & 1:  # the node just added completes the pair above it
            node = self._hash(b"\x01" + self._levels[height][-2] + node).digest()
            height += 1
            if height == len(self._levels):
                self._levels.append([])
            self._levels[height].append(node)
        return index

    def leaf(self, index: int) -> bytes:
        """Return the hash of the leaf at ``index``, 0 <= index < len(self)."""
        _check("index", index, 0, len(self) - 1)
        return self._levels[0][index]

    def root(self, size: int | None = None) -> bytes:
        """Return the root over the first ``size`` leaves, all by default; H of nothing for 0."""
        size = self._size(size)
        return self._range(0, size) if size else self._hash().digest()

    def inclusion_proof(self, index: int, size: int | None = None) -> list[bytes]:
        """Return PATH(index, D[size]) of RFC 9162, section 2.1.3.1: siblings from the leaf up.

        Raises:
            OptionError: If ``size`` exceeds the tree or ``index`` is not below ``size``.
        """
        size = self._size(size)
        _check("index", index, 0, size - 1)
        low, high, path = 0, size, []
        while high - low > 1:
            middle = low + _split(high - low)
            if index < middle:
                path.append(self._range(middle, high))
                high = middle
            else:
                path.append(self._range(low, middle))
                low = middle
        return path[::-1]

    def consistency_proof(self, old_size: int, size: int | None = None) -> list[bytes]:
        """Return PROOF(old_size, D[size]) of RFC 9162, section 2.1.4.1: the old tree is a prefix.

        Raises:
            OptionError: If ``size`` exceeds the tree or ``old_size`` exceeds ``size``.
        """
        size = self._size(size)
        _check("old_size", old_size, 0, size)
        if old_size in (0, size):
            return []
        low, high, path = 0, size, []
        while old_size < high:
            middle = low + _split(high - low)
            if old_size <= middle:
                path.append(self._range(middle, high))
                high = middle
            else:
                path.append(self._range(low, middle))
                low = middle
        if low:  # the old tree itself is no subtree here, so its last part must be given
            path.append(self._range(low, high))
        return path[::-1]

    def _size(self, size: int | None) -> int:
        size = len(self) if size is None else size
        _check("size", size, 0, len(self))
        return size

    def _range(self, low: int, high: int) -> bytes:
        """Root over leaves [low, high), whose ``low`` divides by the power of two >= its length."""
        count = high - low
        if count & (count - 1) == 0:
            height = count.bit_length() - 1
            return self._levels[height][low >> height]
        middle = low + _split(count)
        return self._hash(b"\x01" + self._range(low, middle) + self._range(middle, high)).digest()


def verify_inclusion(
    leaf: bytes,
    index: int,
    size: int,
    proof: Sequence[bytes],
    root: bytes,
    algorithm: str = "sha3_256",
) -> bool:
    """Tell whether ``proof`` shows that the leaf hash ``leaf`` stands at ``index`` below ``root``.

    The algorithm of RFC 9162, section 2.1.3.2; pure, so it needs nothing but its arguments.
    """
    if not 0 <= index < size:
        return False
    node, last, result = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if node & 1 or node == last:
            result = node_hash(sibling, result, algorithm)
            node, last = _climb(node, last)
        else:
            result = node_hash(result, sibling, algorithm)
        node, last = node >> 1, last >> 1
    return last == 0 and result == root


def verify_consistency(
    old_size: int,
    size: int,
    old_root: bytes,
    root: bytes,
    proof: Sequence[bytes],
    algorithm: str = "sha3_256",
) -> bool:
    """Tell whether ``proof`` shows that the tree ``old_root`` is a prefix of the tree ``root``.

    The algorithm of RFC 9162, section 2.1.4.2, completed by its two border cases, whose proofs are
    empty: trees of one size are consistent if equal, and the empty tree is a prefix of every tree.
    """
    if not 0 <= old_size <= size:
        return False
    if old_size in (0, size):
        expected = root if old_size == size else _hasher(algorithm)().digest()
        return not proof and old_root == expected
    path = [old_root, *proof] if old_size & (old_size - 1) == 0 else list(proof)
    return bool(path) and _replay(old_size - 1, size - 1, path, algorithm) == (old_root, root)


def _replay(node: int, last: int, path: list[bytes], algorithm: str) -> tuple[bytes, bytes] | None:
    """Rebuild both roots along the path; ``None`` if its length does not fit the sizes."""
    while node & 1:
        node, last = node >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return None
        if node & 1 or node == last:
            old, new = node_hash(sibling, old, algorithm), node_hash(sibling, new, algorithm)
            node, last = _climb(node, last)
        else:
            new = node_hash(new, sibling, algorithm)
        node, last = node >> 1, last >> 1
    return (old, new) if last == 0 else None


def _climb(node: int, last: int) -> tuple[int, int]:
    """Skip the levels at which the last node has no sibling and moves up unhashed."""
    while node and not node & 1:
        node, last = node >> 1, last >> 1
    return node, last


def _split(count: int) -> int:
    """The largest power of two below ``count`` (>= 2)."""
    return 1 << ((count - 1).bit_length() - 1)


def _hasher(algorithm: str):
    if algorithm not in _HASHES:
        raise UnknownNameError("hash algorithm", algorithm, _HASHES)
    return _HASHES[algorithm]


def _check(field: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise OptionError(f"{field}={value!r} is out of range; the tree allows {low} to {high}")
