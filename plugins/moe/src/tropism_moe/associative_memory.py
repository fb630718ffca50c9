"""An associative memory: pairs of a key and a value bound together, bundled in banks that the key's own bits address.

A bank holds ``sum of (key XOR value)``; XOR with a key leaves its value under the noise of the others, and a clean-up finds the
nearest of the values that the bank knows.  At ``k`` pairs in a bank the similarity of what is left with its value is about
``sqrt(2 / (pi k))`` times that of the key with the stored one, against ``1 / sqrt(D)`` by chance: a bank holds about 200 pairs at
``D = 10,000``.  Banks of different loads are compared by that estimate of the key's similarity, not by what is left of them: a
bank that holds a single pair of a key that is somewhat alike would beat the fuller one that holds the very key.

A bank's address is some bits of the key (bit sampling, Indyk and Motwani 1998, doi:10.1145/276698.276876: no other bit of a
key's address survives noise better), and a query probes all banks whose address differs in few of them.  The seed (``002``)
addressed banks by a hash of the whole key, where one wrong bit leads to another bank, and held 100 pairs a bank at best.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit
from scipy.special import gammaln

from tropism.errors import ArtifactError, OptionError
from tropism_moe.hypervector_bundles import Bundles
from tropism_moe.hypervectors import (
    DIMENSION,
    Integers,
    Words,
    bind,
    checked,
    pack,
    popcount,
    unpack,
)

LUCK = 4.0
"""Standard deviations by which the best of some thousands of values agrees with what is left of a bank by chance."""


class Recall(NamedTuple):
    """What keys bring back.

    Attributes:
        values: places in the codebook, ``int64[n]``; -1 where no probed bank knows anything.
        similarity: of each key with the one that was stored, ``float64[n]`` in [-1, 1], a cautious estimate: what the luckiest
            of thousands has by chance is taken off, so that what was never stored is seldom above 0; -1 where none is found.
    """

    values: Integers
    similarity: npt.NDArray[np.float64]


class AssociativeMemory:
    """Pairs of keys and values.

    Args:
        values: the codebook of all values, ``uint64[N, W]``.
        address_bits: of a key; there are ``2 ** address_bits`` banks.
        radius: how many of those may be wrong in a query.  With 7 and 2, 97 % of keys with a tenth of their bits flipped find
            their bank among 29 that are probed.
        dimension: ``D``.
        seed: of the choice of address bits, and of the bundles' tie-breaker.

    Raises:
        OptionError: an argument out of range.
    """

    def __init__(
        self,
        values: Words,
        address_bits: int = 7,
        radius: int = 2,
        dimension: int = DIMENSION,
        seed: int = 0,
    ) -> None:
        if not 0 <= address_bits <= min(16, dimension):
            raise OptionError(f"address_bits is {address_bits}; 0 to {min(16, dimension)} expected")
        if not 0 <= radius <= address_bits:
            raise OptionError(f"radius is {radius}; 0 to address_bits = {address_bits} expected")
        self.values, self.dimension = checked("values", values, dimension), dimension
        rng = np.random.Generator(np.random.Philox(seed))
        self._positions = rng.choice(dimension, address_bits, replace=False)
        self._probes = near(address_bits, radius)
        self._bundles = Bundles(2**address_bits, dimension, seed)
        self._known = np.zeros((2**address_bits, len(self.values)), np.int32)
        self._read = np.zeros((2**address_bits, self.values.shape[1]), np.uint64)
        self._candidates = pack(self._known)
        self._members = np.ones(2**address_bits)
        self._refresh(np.arange(2**address_bits))

    @property
    def loads(self) -> Integers:
        """Pairs in each bank, ``int64[banks]``; more than about ``D / 50`` in one are too many."""
        return self._bundles.sizes.copy()

    def addresses(self, keys: Words) -> Integers:
        """The bank of each of ``uint64[n, W]``, ``int64[n]``."""
        bits = unpack(keys, self.dimension)[:, self._positions]
        return bits.astype(np.int64) @ (1 << np.arange(len(self._positions)))

    def store(self, keys: Words, values: npt.ArrayLike) -> None:
        """Store pairs.

        Args:
            keys: ``uint64[n, W]``.
            values: places in the codebook, ``int64[n]``.

        Raises:
            OptionError: of another shape, or not in the codebook; nothing was stored.
            BundleFullError: a bank would hold more than 32,767; nothing was stored.
        """
        keys, found, places = self._pairs(keys, values)
        self._bundles.add(places, bind(keys, self.values[found]))
        np.add.at(self._known, (places, found), 1)
        self._refresh(np.unique(places))

    def forget(self, keys: Words, values: npt.ArrayLike) -> None:
        """Take pairs out again: counts are whole numbers, so nothing of them stays behind.

        Raises:
            OptionError: a pair's bank does not know its value; nothing was forgotten.
        """
        keys, found, places = self._pairs(keys, values)
        pairs, times = np.unique(places * len(self.values) + found, return_counts=True)
        short = pairs[self._known.ravel()[pairs] < times]
        if short.size:
            bank, value = divmod(short[0].item(), len(self.values))
            raise OptionError(
                f"bank {bank} does not hold value {value} as often as it is to be forgotten; forget only what was stored"
            )
        self._bundles.remove(places, bind(keys, self.values[found]))
        np.subtract.at(self._known, (places, found), 1)
        self._refresh(np.unique(places))

    def clear(self) -> None:
        """Forget everything."""
        self._bundles.counts[:] = 0
        self._bundles.sizes[:] = 0
        self._known[:] = 0
        self._refresh(np.arange(len(self._known)))

    def recall(self, keys: Words) -> Recall:
        """The likeliest value of each key in ``uint64[n, W]``; of equally likely ones the first."""
        keys = checked("keys", keys, self.dimension)
        found, similarity = np.full(len(keys), -1), np.full(len(keys), -np.inf)
        chance = self.dimension, LUCK / self.dimension**0.5
        banks = self._read, self._candidates, self._members
        _recall(
            keys, self.addresses(keys), self._probes, banks, self.values, chance, found, similarity
        )
        return Recall(found, similarity.clip(-1, 1))

    def state_dict(self) -> dict[str, npt.NDArray[Any]]:
        """What is stored, as plain arrays; the codebook is not."""
        return {
            "counts": self._bundles.counts.copy(),
            "sizes": self._bundles.sizes.copy(),
            "known": self._known.copy(),
        }

    def load_state_dict(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take over what :meth:`state_dict` of a memory with the same arguments gave.

        Raises:
            ArtifactError: an array is missing, or of another shape or dtype.
        """
        for name, mine in self.state_dict().items():
            theirs = state.get(name)
            if theirs is None or theirs.shape != mine.shape or theirs.dtype != mine.dtype:
                found = "nothing" if theirs is None else f"{theirs.dtype}{list(theirs.shape)}"
                raise ArtifactError(
                    f"memory state {name!r} is {found}; {mine.dtype}{list(mine.shape)} expected: "
                    "load it into a memory of the same codebook, address_bits and dimension"
                )
        self._bundles.counts[:], self._bundles.sizes[:] = state["counts"], state["sizes"]
        self._known[:] = state["known"]
        self._refresh(np.arange(len(self._known)))

    def _pairs(self, keys: Words, values: npt.ArrayLike) -> tuple[Words, Integers, Integers]:
        """Both as they should be, and the bank of each."""
        keys, found = checked("keys", keys, self.dimension), np.atleast_1d(np.asarray(values))
        if found.shape != (len(keys),) or found.dtype.kind not in "iu":
            raise OptionError(
                f"values are {found.dtype}{list(found.shape)}; a whole number for each of {len(keys)} keys expected"
            )
        if found.size and (found.min() < 0 or found.max() >= len(self.values)):
            raise OptionError(
                f"values reach from {found.min()} to {found.max()}; places 0 to {len(self.values) - 1} in the codebook expected"
            )
        return keys, found.astype(np.int64), self.addresses(keys)

    def _refresh(self, which: Integers) -> None:
        """Read banks anew that have changed."""
        self._read[which] = self._bundles.read(which)
        self._candidates[which] = pack(self._known[which])
        self._members[which] = member_similarity(self._bundles.sizes[which])


def near(bits: int, radius: int) -> Integers:
    """All ``bits``-bit numbers with at most ``radius`` bits set, fewest first, ``int64[probes]``."""
    masks = sorted((m.bit_count(), m) for m in range(2**bits) if m.bit_count() <= radius)
    return np.array([mask for _, mask in masks], np.int64)


def member_similarity(size: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Expected similarity of a bundle with each of its ``size`` members, whose other members are random.

    ``C(2j, j) / 4 ** j`` at ``j = size // 2``, about ``sqrt(2 / (pi size))``: how often the others tie, or all but do.
    """
    half = np.asarray(size) // 2
    return np.exp(gammaln(half + 0.5) - gammaln(half + 1)) / np.pi**0.5


@njit(cache=True, nogil=True)
def _recall(
    keys: Any,
    places: Any,
    probes: Any,
    banks: Any,
    values: Any,
    chance: Any,
    found: Any,
    similarity: Any,
) -> None:
    (read, known, members), (dimension, luck) = banks, chance
    for i in range(keys.shape[0]):
        for p in range(probes.shape[0]):
            bank = places[i] ^ probes[p]
            left = keys[i] ^ read[bank]
            for k in range(known.shape[1]):
                rest = known[bank, k]
                while rest:
                    v = 64 * k + np.int64(popcount(~rest & (rest - np.uint64(1))))
                    rest &= rest - np.uint64(1)  # without its lowest bit, which was v's
                    apart = np.uint64(0)
                    for w in range(left.shape[0]):
                        apart += popcount(left[w] ^ values[v, w])
                    alike = (1 - 2 * np.int64(apart) / dimension - luck) / members[bank]
                    if alike > similarity[i]:
                        found[i], similarity[i] = v, alike
