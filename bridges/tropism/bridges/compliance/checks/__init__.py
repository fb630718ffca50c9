"""The checks, one file a topic; importing this registers them all, in the order in which they are run."""

from tropism.bridges.compliance.checks import (  # isort: skip
    opening,
    auth,
    spec,
    lockstep,
    episodes,
    requests,
    messages,
    control,
    shm,
    latest,
    ending,
)

__all__ = [
    "auth",
    "control",
    "ending",
    "episodes",
    "latest",
    "lockstep",
    "messages",
    "opening",
    "requests",
    "shm",
    "spec",
]
