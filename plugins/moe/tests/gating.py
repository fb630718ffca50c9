"""When experts are chosen: at each layer, at the entry of a block, or there for the step after."""

from __future__ import annotations

GATED = {
    "layer": {"pre_gated": False},
    "block": {"pre_gated": True},
    "ahead": {"pre_gated": True, "gated_ahead": True},
}
