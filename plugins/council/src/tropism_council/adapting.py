"""The editor in the agent: at play it adapts System 1 within an episode, and in training it rehearses that on stretches.

Only System 1's answers change.  The gate and System 2 go by the network as it was trained, so that what the gate was calibrated
on stays true.

Shapes: ``B`` lanes, ``T`` steps, ``V`` answers.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tropism_council.editor import Editor
from tropism_council.network import Network, Read
from tropism_council.online import OnlineLearner, Rates
from tropism_council.rehearsal import rehearse

REHEARSED = 16
"""Lanes whose stretches are learned online in training; a rehearsal is a loop over steps, and not cheap."""
WINDOW = 16
"""Steps of a stretch that are."""
EVERY = 2
"""Answers between edits in rehearsal; fewer than at play, so that a short window holds several."""

Asked = tuple[Tensor, Tensor]
"""Steps at which System 2 was asked, ``int64[B, Q]``, and what it said, ``float[B, Q, V]``."""


class Adapting:
    """What lanes have learned in their episodes, and what they are about to learn.

    Args:
        network: whose System 1 adapts; it is not changed.
        editor: of it.
        lanes: ``B``.
        rate: of an edit of scale 1.
    """

    def __init__(self, network: Network, editor: Editor, lanes: int, rate: float) -> None:
        self._editor, self._readout = editor, network.readout
        rates = Rates(learning_rate=rate)
        self.online = OnlineLearner(self._readout.aims, self._readout.base, lanes, rates)
        self.verdict = torch.full((lanes,), -1)
        self._last: tuple[Tensor, ...] | None = None

    def reset(self, mask: Tensor) -> None:
        """Begin an episode in the lanes of ``bool[B]``."""
        self.online.reset(mask)

    def judge(self, answer: Tensor, told: Tensor) -> Tensor:
        """The answer to the last step is known: decide on what was proposed.

        Args:
            answer: ``int64[B]``.
            told: lanes where it is, ``bool[B]``.

        Returns:
            For the telemetry, ``float[B, 2]``: gradient norm and log10 of the scale of the last edit.
        """
        self.verdict = torch.full_like(answer, -1)
        if self._last is not None:
            before, plasticity, *thought = self._last
            answer = torch.where(told, answer, 0)
            verdict = self.online.judge((before, plasticity, answer, *thought), told)
            if verdict:
                self.verdict = torch.where(verdict.live, verdict.chosen, -1)
        return self.online.measured

    def propose(self, itself: Tensor) -> None:
        """Make proposals, where one is due, by the self-latents ``float[B, D]``."""
        if self.online.due.any():
            self.online.propose(self._editor(itself))

    def say(self, seen: Read, reflex: Tensor) -> Tensor:
        """System 1's answers ``float[B, V]`` to a single step; of lanes that were not edited, ``reflex`` itself."""
        edited = self.online.moments.steps > 0
        if not edited.any():
            return reflex
        said = self._readout.log_probs(self.online.params, seen.before, seen.plasticity)[:, 0]
        return torch.where(edited[:, None], said, reflex)

    def remember(self, seen: Read, answer: Tensor, thinks: Tensor) -> None:
        """Keep a single step until its answer is known: what System 2 said (``float[B, V]``) where it was asked."""
        self._last = (seen.before[:, 0], seen.plasticity[:, 0], answer, thinks)


def rehearsed(
    network: Network, seen: Read, itself: Tensor, answers: Tensor, thought: Asked, rate: float
) -> Tensor:
    """What the editor lowers, a scalar: a few steps of some lanes of a stretch, learned online from the trained weights on.

    Every rehearsal begins with unedited weights, wherever in an episode it stands; of the episode it has the state of the
    telemetry.  No edit outlives it, so a checkpoint has none to keep.  A stretch some of whose answers were not told, or that
    is too short to pay for an edit, gives 0.

    Args:
        network: with an editor.
        seen: the steps of the stretch.
        itself: self-latents before each of them, ``float[B, T, D]``.
        answers: ``int64[B, T]``, below 0 where they were not told.
        thought: of System 2.
        rate: of an edit of scale 1.
    """
    assert network.editor is not None
    first = int(torch.randint(max(1, answers.shape[1] - WINDOW + 1), ()))
    part = slice(REHEARSED), slice(first, first + WINDOW)
    if (answers[part] < 0).any():
        return torch.zeros(())
    readout, (said, asked) = network.readout, _everywhere(thought, answers.shape[1])
    samples = tuple(x[part] for x in (seen.before, seen.plasticity, answers, said, asked))
    rates = Rates(learning_rate=rate, every=EVERY)
    online = OnlineLearner(readout.aims, readout.base, len(samples[0]), rates)
    state = itself[part[0], first].detach()
    return rehearse(network.editor, network.telemetry, online, samples, readout.measure, state).loss


def _everywhere(thought: Asked, steps: int) -> tuple[Tensor, Tensor]:
    """What was said at some steps, ``float[B, T, V]``, and which they are, ``bool[B, T]``."""
    chosen, said = thought
    lanes = torch.arange(len(chosen))[:, None]
    every = said.new_zeros(len(said), steps, said.shape[-1])
    every[lanes, chosen] = said.detach()
    asked = torch.zeros(len(said), steps, dtype=torch.bool)
    asked[lanes, chosen] = True
    return every, asked
