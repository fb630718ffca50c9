"""How the editor learns: stretches of episodes are learned online as at play, and every proposal is paid by what came after it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from tropism_council.editor import Editor
from tropism_council.lookahead import Params, Sample, after_choice
from tropism_council.online import OnlineLearner
from tropism_council.telemetry import Telemetry, encode


class Rehearsal(NamedTuple):
    """What came of a stretch.

    Attributes:
        loss: mean over the edits, nats; its gradient reaches every parameter of the editor and the reader of the telemetry.
            0 without gradient if the stretch was too short to pay for an edit: three answers, if ``every`` is 1.
        values: telemetry of the steps, ``float[B, T, 4]``.
        state: of the telemetry after them, ``float[B, D]``.
    """

    loss: Tensor
    values: Tensor
    state: Tensor


def rehearse(
    editor: Editor,
    telemetry: Telemetry,
    online: OnlineLearner,
    samples: Sample,
    measure: Callable[[Params, Sample], Tensor],
    state: Tensor,
    temperature: float = 0.1,
) -> Rehearsal:
    """Learn online along a stretch.

    Args:
        editor: proposes.
        telemetry: is read by it.
        online: of ``B`` lanes, reset or as an earlier stretch has left it.
        samples: tensors ``[B, T, ...]``, all of them revealed; no gradient flows into them.
        measure: surprise and entropy, ``float[B, 1, 2]`` in the units of the telemetry, of weights in use and samples ``[B, 1, ...]``.
        state: of the telemetry before the stretch, ``float[B, D]``.
        temperature: of :func:`tropism_council.lookahead.after_choice`.
    """
    samples = tuple(x.detach() for x in samples)
    told = torch.ones_like(online.since, dtype=torch.bool)
    paid, values, verdict = [], [], None
    for t in range(samples[0].shape[1]):
        one = tuple(x[:, t : t + 1] for x in samples)
        sample = tuple(x[:, 0] for x in one)
        if verdict:
            later = online.losses(verdict.rows, sample)
            paid.append(after_choice(verdict.losses, later, verdict.live, temperature))
        with torch.no_grad():
            known = measure(online.params, one)
        verdict = online.judge(sample, told)
        values.append(torch.cat([known[:, 0], online.measured], -1))
        latent, state = telemetry(encode(values[-1])[:, None], state)
        online.propose(editor(latent[:, 0]))
    online.detach()
    loss = torch.stack(paid).mean() if paid else torch.zeros(())
    return Rehearsal(loss, torch.stack(values, 1), state.detach())
