"""An episodic memory at play: what proved right when the network was last in a state like this one."""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

from tropism.agents.contract import BoolArray
from tropism_moe.associative_memory import AssociativeMemory
from tropism_moe.hypervectors import Encoder, Words, draw
from tropism_moe.proofs import Proof

DIMENSION = 2048
"""Bits of a hypervector: on PatternWorld 10,000 recalled no better and took twice as long."""
SPAN = 128
"""Pairs that a lane remembers; older ones are taken out again.  Of 512 more are out of date where rules switch."""
Pair = tuple[Words, int]


class EpisodicMemory:
    """Of ``B`` lanes, each its own and empty when an episode begins.

    A key is the hypervector of the latents that the heads read, a value the option that proved right.  What is recalled gets
    ``weight`` nats, times how much the key is like the stored one beyond chance.

    Args:
        width: of the latents.
        options: of the only choice.
        lanes: ``B``.
        weight: nats, more than 0.
    """

    def __init__(self, width: int, options: int, lanes: int, weight: float) -> None:
        self.weight, self._encoder = weight, Encoder(width, DIMENSION)
        values = draw(options, 1, DIMENSION)
        self._banks = [AssociativeMemory(values, dimension=DIMENSION) for _ in range(lanes)]
        self._pairs: list[deque[Pair]] = [deque() for _ in range(lanes)]
        self._keys = self._encoder.encode(np.zeros((lanes, width)))

    def reset(self, mask: BoolArray) -> None:
        """Episodes begin in the lanes of ``mask``."""
        for lane in np.flatnonzero(mask):
            self._banks[lane].clear()
            self._pairs[lane].clear()

    def advise(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Nats to be added to the logits of latents ``float32[B, D]``, ``float32[B, options]``; they are the next keys."""
        self._keys = self._encoder.encode(features)
        nats = np.zeros((len(features), len(self._banks[0].values)), np.float32)
        for lane, (bank, key) in enumerate(zip(self._banks, self._keys, strict=True)):
            found = bank.recall(key)
            if found.values[0] >= 0:
                nats[lane, found.values[0]] = self.weight * max(0.0, found.similarity[0])
        return nats

    def learn(self, proof: Proof) -> None:
        """Remember what proved right for the last keys."""
        for lane in np.flatnonzero(proof.right >= 0):
            pairs, bank = self._pairs[lane], self._banks[lane]
            pair = self._keys[lane], int(proof.right[lane])
            pairs.append(pair)
            bank.store(*pair)
            if len(pairs) > SPAN:
                bank.forget(*pairs.popleft())
