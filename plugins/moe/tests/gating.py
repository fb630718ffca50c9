"""When experts are chosen: at each layer, at the entry of a block, or there for a later step."""

from __future__ import annotations

GATED = {
    "layer": {"pre_gated": False},
    "block": {"pre_gated": True},
    "a step ahead": {"gated_ahead": 1},
    "three steps ahead": {"gated_ahead": 3},
}
