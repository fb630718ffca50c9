"""A council on disk: safetensors for numbers, JSON for everything else, never pickle.

::

    council.json             settings, sizes, spaces, SHA3-256 of the weights
    council.safetensors      weights
    training.json            (checkpoints only) steps so far, SHA3-256 of the state below
    training.safetensors     (checkpoints only) state of the optimiser
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from tropism.agents.parts import Parts

if TYPE_CHECKING:
    from tropism_council.policy import CouncilPolicy

PARTS = Parts("tropism-council", 1)
write_part, read_part = PARTS.write, PARTS.read


def save_policy(directory: Path, policy: CouncilPolicy) -> None:
    """Write a policy."""
    facts = {
        "config": asdict(policy.config),
        "sizes": list(policy.sizes),
        **policy.spaces,
    }
    write_part(directory, "council", dict(policy.network.state_dict()), facts)
