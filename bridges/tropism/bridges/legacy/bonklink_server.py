"""BonkLink v1, the game's side: for each tick it sends what the original plugin sends, byte for byte.

Where the plugin misbehaves this does not: it never blocks the game, takes all actions that have come instead
of one each tick, skips oversize actions whole, and closes a connection that it gives up.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from dataclasses import replace
from typing import Literal

from tropism.bridges.errors import PortInUse, ProtocolError
from tropism.bridges.legacy.bonklink import PORT, Action, Outcome, State, encode_state
from tropism.bridges.legacy.bonklink_stream import ActionDecoder, encode_packet

BACKLOG_MAX = 8 * 2**20
"""Bytes that wait for a slow agent; while more do, whole packets are dropped, and counted."""
CHUNK = 2**16
CHUNKS_A_TICK = 16
"""No more is read in one tick, so that an agent that floods cannot hold the game up."""


class BonkLinkServer:
    """A BonkLink game's end; call `tick` once for each tick of the game. No thread, and it never blocks.

    Args:
        port: to listen on; 0 takes a free one, `port` says which.
        host: loopback, as in the plugin: the format knows no secret.
        second: what becomes of a second agent. "replace": it takes the place of the first, as in the
            plugin, but the first is told so by EOF. "refuse": it is closed at once.
        seeds: whether the game obeys the seeds of resets; told to agents that use the extension.

    Attributes:
        dropped: packets that were not sent because the agent was too slow.
        ignored: what agents sent that was no action.

    Raises:
        PortInUse: somebody listens there.
    """

    def __init__(
        self,
        port: int = PORT,
        host: str = "127.0.0.1",
        *,
        second: Literal["replace", "refuse"] = "replace",
        seeds: bool = True,
    ) -> None:
        self.second, self.seeds = second, seeds
        self.dropped = self.ignored = 0
        self._listener = _listen(host, port)
        self.host, self.port = self._listener.getsockname()
        self._agent: _Agent | None = None

    @property
    def connected(self) -> bool:
        """Whether an agent is there."""
        return self._agent is not None

    def tick(
        self,
        state: State,
        frame: bytes = b"",
        *,
        total: float = 0.0,
        terminated: bool = False,
        truncated: bool = False,
    ) -> list[Action]:
        """Take what the agent sent, then send it a state; the trailer of the extension only if it asked.

        Args:
            state: as it is now, with the actions of earlier ticks applied.
            frame: a frame if there is a new one (`encode_raw`, or a JPEG).
            total: sum of the rewards since the last reset.
            terminated: the episode has come to its end; to be repeated until a reset.
            truncated: the episode was cut off; to be repeated until a reset.

        Returns:
            Actions in the order they came, axes clamped; those with `request.reset` begin an episode.
        """
        self._accept()
        if (agent := self._agent) is None:
            return []
        outcome = agent.outcome(total, terminated, truncated)
        actions = self._receive(agent)
        self._send(agent, encode_packet(encode_state(replace(state, outcome=outcome)), frame))
        return actions

    def close(self) -> None:
        """Stop listening and close the agent's connection; twice does no harm."""
        self._drop()
        self._listener.close()

    def __enter__(self) -> BonkLinkServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        with suppress(BlockingIOError, ConnectionError):
            while True:
                connection, _ = self._listener.accept()
                if self._agent is not None and self.second == "refuse" and not self._agent.gone():
                    connection.close()
                else:
                    self._drop()
                    self._agent = _Agent(connection, self.seeds)

    def _receive(self, agent: _Agent) -> list[Action]:
        actions: list[Action] = []
        there = agent.receive()
        try:
            while (action := agent.decoder.next()) is not None:
                actions.append(action.clamped())
        except ProtocolError:  # garbage
            there = False
        agent.note(actions)
        if not there:
            self._drop()
        return actions

    def _send(self, agent: _Agent, packet: bytes) -> None:
        if len(agent.unsent) > BACKLOG_MAX:
            self.dropped += 1
        else:
            agent.unsent += packet
        try:
            agent.flush()
        except OSError:
            self._drop()

    def _drop(self) -> None:
        if self._agent is not None:
            self.ignored += self._agent.decoder.ignored
            self._agent.connection.close()
            self._agent = None


class _Agent:
    """The one connection: bytes not sent yet, and what the extension has to know."""

    def __init__(self, connection: socket.socket, seeds: bool) -> None:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection, self.seeds = connection, seeds
        self.decoder, self.unsent = ActionDecoder(), bytearray()
        self.extended, self.applied, self.episode, self.seed_ignored = False, 0, 0, False

    def outcome(self, total: float, terminated: bool, truncated: bool) -> Outcome | None:
        """What stands in the trailer: what was asked in earlier ticks is applied by now."""
        if not self.extended:
            return None
        head = (self.applied, self.episode, terminated, truncated, self.seed_ignored)
        return Outcome(*head, total)

    def note(self, actions: list[Action]) -> None:
        """Remember what was asked, for the trailers to come."""
        for request in (action.request for action in actions if action.request is not None):
            self.extended, self.applied = True, request.seq
            if request.reset:
                self.episode = self.episode + 1 & 0xFFFFFFFF
                self.seed_ignored = request.seed is not None and not self.seeds

    def receive(self) -> bool:
        """Feed the decoder with what has come; whether the agent is still there."""
        try:
            for _ in range(CHUNKS_A_TICK):
                data = self.connection.recv(CHUNK)
                self.decoder.feed(data)
                if not data:
                    return False
        except BlockingIOError:
            pass
        except OSError:
            return False
        return True

    def gone(self) -> bool:
        """Whether the agent has closed the connection, as far as is known."""
        try:
            return not self.connection.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def flush(self) -> None:
        """Send what goes without waiting."""
        with suppress(BlockingIOError):
            while self.unsent:
                del self.unsent[: self.connection.send(self.unsent)]


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise PortInUse(f"cannot listen on {host}:{port}: {error}") from error
    listener.listen(4)
    listener.setblocking(False)
    return listener
