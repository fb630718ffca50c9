"""A game that does what its actions say, also what no game should: run it as a script."""

import os
import signal
import sys
import time

import numpy as np
from gymnasium import spaces

from tropism.bridges.errors import BridgeError
from tropism.bridges.game import Action, AgentSpec, Close, Game, Reset, Spec, Step

PLAY, KILL, LEAVE, FAIL, SEGFAULT, HANG, HANG_UP, GARBAGE, NAN, LATE, REPORT, END, GOODBYE, TELL = (
    range(14)
)
LATE_S = 0.25
SPACE = spaces.Dict(
    {
        "count": spaces.Box(0, 1000, (2,), np.float32),
        "pixels": spaces.Box(0, 255, (4, 5, 3), np.uint8),
    }
)
SPEC = Spec("odd", [AgentSpec("a", SPACE, spaces.Discrete(14))], hold=True)


class Odd:
    """Counts its steps."""

    def __init__(self, game):
        self.game, self.count = game, 0

    def answer(self, request):
        self.count, what = (
            (0, PLAY) if isinstance(request, Reset) else (self.count + 1, request.action)
        )
        if isinstance(request, Reset) and (request.options or {}).get("do") is not None:
            what = request.options["do"]
        self.do(int(what))
        count = np.full(2, np.nan if what == NAN else self.count, np.float32)
        observation = {"count": count, "pixels": np.full((4, 5, 3), self.count % 256, np.uint8)}
        self.game.observe(observation, 1.0, terminated=what == END, info={"pid": os.getpid()})

    def do(self, what):
        if what in (KILL, SEGFAULT):
            os.kill(os.getpid(), signal.SIGKILL if what == KILL else signal.SIGSEGV)
        elif what in (LEAVE, FAIL):
            sys.stderr.write(f"leaving by {what}\n")
            sys.stderr.flush()
            os._exit(0 if what == LEAVE else 3)
        elif what in (HANG, LATE):
            time.sleep(600 if what == HANG else LATE_S)
        elif what in (HANG_UP, GARBAGE):
            self.break_off(what)
        else:
            self.speak(what)

    def break_off(self, what):
        channel = self.game._link.channel
        sock = getattr(channel, "connection", channel)._sock
        if what == GARBAGE:
            sock.send(b"this is no message, whatever else it may be")
        else:
            sock.close()
        time.sleep(600)

    def speak(self, what):
        if what == REPORT:
            self.game.fail(BridgeError("I would rather not"))
        elif what == GOODBYE:
            self.game.close("tired")
        elif what == TELL:
            self.game.event("told", {"count": self.count})


def lockstep(game):
    odd = Odd(game)
    for request in game:
        odd.answer(request)


def live(game, period=0.005):
    """A frame every few milliseconds once an episode runs, whether anybody acts or not."""
    odd, action = Odd(game), None
    while not isinstance(request := game.newest(None if action is None else period), Close):
        if isinstance(request, Reset):
            action = PLAY
            odd.answer(request)
            continue
        action = request.action if isinstance(request, Action) else action
        odd.answer(Step(action))
        action = None if action == END else action


if __name__ == "__main__":
    with Game(
        SPEC, calls={"add": sum, "render": lambda _: np.zeros((4, 5, 3), np.uint8)}, live=True
    ) as game:
        live(game) if "live" in sys.argv else lockstep(game)
