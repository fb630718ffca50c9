"""Which keys mean which answers."""

from __future__ import annotations

from tropism.envs.patternworld.params import Params


def keys_to_action(params: Params) -> dict[tuple[int, ...], int]:
    """Keys of ``gymnasium.utils.play`` (use ``wait_on_player=True``), as character codes.

    Up to ten tokens: the digits.  More: a chord of a letter for the tens (``a`` = 0 ... ``j`` = 9) and a digit
    for the units, held together, so ``e`` + ``2`` answers 42; ``tropism.envs.patternworld.play`` takes typed
    numbers instead and is far more comfortable.  In ``probe`` mode the space bar looks at the answer.
    """
    tokens = range(params.vocabulary)
    if params.vocabulary <= 10:
        keys: dict[tuple[int, ...], int] = {(ord(str(token)),): token for token in tokens}
    else:
        keys = {(ord(str(token % 10)), ord("a") + token // 10): token for token in tokens}
    if params.feedback == "probe":
        keys[(ord(" "),)] = params.vocabulary
    return keys
