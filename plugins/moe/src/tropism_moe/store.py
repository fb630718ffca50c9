"""Tensors of a run on disk, part by part."""

from __future__ import annotations

from tropism.agents.parts import Parts

PARTS = Parts("tropism-moe", 1)
write_part, read_part = PARTS.write, PARTS.read
