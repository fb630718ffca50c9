"""Games with two agents, in shared memory or with latest frames, that are wrong in what is their own."""

from __future__ import annotations

from tests.bridges.broken.breaking import RIGHT, breaks, nothing, put
from tests.bridges.small_game import LENGTH, Refusal
from tests.bridges.small_games import Live, Pair, Shared

from tropism.bridges.protocol.bodies import Outcome
from tropism.bridges.protocol.header import Type

# --- two agents, shared memory, latest frames -----------------------------------------------------


def _alive_again(self):
    if self.step == LENGTH - 1:
        return Outcome(0.0, False, False, True, self.observation())
    return Pair.first(self)


def _as_memory_says(self):
    self.alarmed = getattr(self, "alarmed", False)
    return self.alarmed


def _alarm(self, header, body):
    self.alarmed = True


def _off_by_one(self):
    seen = RIGHT.observation(self)
    return {**seen, "c": seen["c"] + self.through}


def _only_memory(self, header, body):
    if self.through or self.map is None:
        Shared.on_step(self, header, body)


def _give_up(self, offer):
    raise Refusal("protocol")


def _frames_numbered(number):
    def observe(self):
        self.shown += 1
        self.send(Type.OBS, self.body(), number(self), self.episode)

    return observe


def _frame_at_once(self, ready):
    self.send(Type.OBS, self.body(), 1, 0)


def _old_episode(self):
    self.shown += 1
    self.send(Type.OBS, self.body(), self.shown, 1)


breaks("end-stays", right=Pair, first=_alive_again)
breaks("shm-accepted", right=Shared, accepted=lambda self, nonce: nonce)
breaks("shm-accepted", right=Shared, map_file=_give_up)
breaks("shm-steps", right=Shared, place=lambda self, number: 0)
breaks("shm-steps", right=Shared, finish=nothing)
breaks("shm-same-bytes", right=Shared, observation=_off_by_one)
breaks("shm-requests-on-the-connection", right=Shared, on_step=_only_memory)
breaks("shm-bell", right=Shared, ring=nothing)
breaks("shm-without-bell", right=Shared, looks=_as_memory_says, on_bell=_alarm)
breaks(
    "shm-wrong-nonce",
    "shm-wrong-magic",
    "shm-wrong-layout",
    "shm-wrong-size",
    right=Shared,
    is_right=lambda self, whole, offer: True,
)
breaks("shm-no-file", right=Shared, map_file=_give_up)
breaks("latest-frames", right=Live, observe=_frames_numbered(lambda self: self.last))
breaks("latest-silent-before-reset", right=Live, check_ready=_frame_at_once)
breaks("latest-applied", right=Live, applied=lambda self: 1)
breaks("latest-new-episode", right=Live, observe=_old_episode)
breaks("latest-new-episode", right=Live, observe=_frames_numbered(lambda self: self.step + 1))
breaks("latest-steps", right=Live, body=put(0, 5))
