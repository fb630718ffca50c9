"""A game and its agent in one process."""

from functools import partial

import numpy as np
from gymnasium import spaces

from tropism.bridges.game import AgentSpec, Game, Spec

LOCAL = "tcp://127.0.0.1:0"
SOLO = Spec("solo", [AgentSpec("me", spaces.Box(-1, 1, (2,)), spaces.Discrete(3))])
once = partial(Game, listen=LOCAL, on_agent_lost="exit")


class Player:
    """Plays a game and notes what it is asked for; `answer` observes."""

    def __init__(self, game, answer=None):
        self.game, self.address, self.asked = game, game.address, []
        self.answer = answer or (lambda request: game.observe(np.zeros(2, np.float32)))

    def run(self):
        for request in self.game:
            self.asked.append(request)
            self.answer(request)
        self.last = self.game.next_request()

    def close(self):
        self.game.close()
