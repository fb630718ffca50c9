"""A game that writes where it must not: its actions say what; run it as a script."""

import struct

import numpy as np
from gymnasium import spaces

from tropism.bridges.game import AgentSpec, Game, Reset, Spec

HEAD = {
    "magic": (0x00, "<I"),
    "layout": (0x04, "<I"),
    "size": (0x08, "<Q"),
    "nonce": (0x10, "<Q"),
    "slot": (0x34, "<I"),
}
"""Fields of the head of the region: offset and form."""
SLOT = {
    "begin": (0, "<Q"),
    "end": (8, "<Q"),
    "slot_magic": (16, "<I"),
    "flags": (21, "<B"),
    "length": (24, "<I"),
    "seq": (28, "<H"),  # a request that was never made
}
"""The same of a slot."""
LIES = ("play", *HEAD, *SLOT, "short")
SPACE = spaces.Box(0, 1000, (4,), np.float32)
SPEC = Spec("corrupt", [AgentSpec("a", SPACE, spaces.Discrete(len(LIES)))])


def overwrite(memory, offset, form):
    """Fill a field with ones."""
    memory[offset : offset + struct.calcsize(form)] = b"\xff" * struct.calcsize(form)


TRUE_PUTS = {}
"""Of each lane how it writes when it does not lie."""


def prepare(channel, lie):
    """See that the next observation is shown as the lie wants it."""
    memory, ring = channel._region.memory, channel._ring
    lane = ring._out
    put = TRUE_PUTS.setdefault(id(lane), lane.put)

    def wrong(number, kind, body, seq, episode):
        put(number, kind, body[:-8] if lie == "short" else body, seq, episode)
        if lie in SLOT:
            offset, form = SLOT[lie]
            overwrite(memory, lane.bases[number % len(lane.bases)] + offset, form)

    lane.put = wrong
    if lie in HEAD:
        overwrite(memory, *HEAD[lie])


if __name__ == "__main__":
    with Game(SPEC) as game:
        count = 0
        for request in game:
            count = 0 if isinstance(request, Reset) else count + 1
            if not isinstance(request, Reset) and request.action:
                prepare(game._link.channel, LIES[request.action])
            game.observe(np.full(4, count, np.float32), 1.0)
