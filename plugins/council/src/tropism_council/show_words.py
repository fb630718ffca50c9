"""What the page says in words: only what the numbers beside it show."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tropism_council.show_figures import (
    BEFORE,
    Band,
    alignment,
    around_switches,
    band,
    mean_of,
    stable,
    thinking,
    waking,
)
from tropism_council.show_play import Life


def verdict(lives: Sequence[Life], threshold: float | None) -> list[str]:
    """The sentences under the title."""
    said = []
    if threshold is not None and not np.isfinite(threshold):
        said.append(
            '<p class="warning">The gate has no threshold: the budget of training was too small to calibrate it, so that '
            "System 2 is never asked. Give at least a few thousand steps.</p>"
        )
    if not any(len(life.switches) for life in lives):
        return [*said, '<p class="note">No regime switched in these episodes.</p>']
    said.append(f'<p class="lead">{_loss(lives)} {_waking(lives)}</p>')
    return said


def _loss(lives: Sequence[Life]) -> str:
    rows = around_switches(lives, lambda life: life.loss)
    if not len(rows):
        return ""
    found = band(rows)
    before, at = found.mean[BEFORE - 1], found.mean[BEFORE]
    numbers = f"{before:.2f} nats on the step before a switch, {at:.2f} on the switch"
    if _apart(found, BEFORE - 1, BEFORE):
        return f"The loss spikes at switches: {numbers}."
    return f"The loss does not spike at switches: {numbers}."


def _waking(lives: Sequence[Life]) -> str:
    calm, awake = mean_of(thinking, stable)(lives), mean_of(thinking, waking)(lives)
    if np.isnan(calm) or np.isnan(awake):
        return ""
    numbers = (
        f"it answers {awake:.0%} of the steps 1 to 3 after one and {calm:.0%} of the stable steps"
    )
    found = band(around_switches(lives, thinking))
    if any(_apart(found, BEFORE - 1, BEFORE + n) for n in (1, 2, 3)) and awake > calm:
        return f"System 2 wakes there: {numbers} (AUROC of compute {alignment(lives):.2f})."
    return f"System 2 does not wake there: {numbers}."


def _apart(found: Band, low: int, high: int) -> bool:
    """Whether one mean is above another by more than their intervals."""
    return bool(found.low[high] > found.high[low])
