"""A connection: messages over a connected stream socket, with deadlines and typed errors."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections import deque
from collections.abc import Collection
from typing import NoReturn

from tropism.bridges.errors import (
    BridgeClosed,
    BridgeError,
    BridgeTimeout,
    ConnectionLost,
    ProtocolError,
    UnexpectedMessage,
    timeout_of,
)
from tropism.bridges.protocol.header import HEADER, HEADER_SIZE, MAGIC, Flag, Type
from tropism.bridges.protocol.messages import Message, encode, write_json
from tropism.bridges.transports.blocking import BLOCK_S, BLOCKS, DONT_WAIT, prepare
from tropism.bridges.transports.outbox import Outbox
from tropism.bridges.transports.patience import Patience
from tropism.bridges.transports.polling import READ, milliseconds, new_poller
from tropism.bridges.transports.refusal import peer_error, refusal
from tropism.bridges.transports.stream import Bytes, RawStream, Stream, check_end

SEND_TIMEOUT = 10.0
FAREWELL = 0.2  # seconds for an ERROR or CLOSE that the peer may not read any more
COMPRESSED_FROM = 1024
LONGEST_PING = 64
READS_AT_ONCE = 64  # so that nobody can keep us reading
_pack = HEADER.pack
_HANDLED = frozenset((int(Type.PING), int(Type.BELL), int(Type.ERROR)))


class Connection:
    """Sends and receives messages; never blocks for longer than it is told.

    While receiving, PING is answered, BELL is dropped and ERROR is raised. What the peer does wrong is answered by an
    ERROR, and the connection is closed. What had come of a message when a time ran out is kept for the next call.

    Attributes:
        trusted: whether the peer has proved who it is, as far as that is demanded; until then it may not PING, which would
            make us send.
        session: the name of the session as the peer said it in HELLO; empty before that.
        send_timeout: seconds within which a message must be taken from us by the system.
        patience: how long to look for bytes again and again before sleeping; None: not at all.
        crc: whether messages are sent with a checksum.
        zlib: whether bodies of 1,024 bytes and more are sent compressed.
    """

    def __init__(self, sock: socket.socket, stream: Stream | None = None) -> None:
        prepare(sock)
        if sock.family != getattr(socket, "AF_UNIX", None):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.trusted, self.session = True, ""
        self.send_timeout, self.crc, self.zlib = SEND_TIMEOUT, False, False
        self.patience: Patience | None = None
        self._sock, self._fd = sock, sock.fileno()
        self._stream = RawStream() if stream is None else stream
        self._outbox = Outbox(sock)
        self._inbox: deque[Message] = deque()
        self._poller = new_poller()
        self._poller.register(self._fd, READ)
        self._watched: int | None = None
        self._deaf = False  # the peer reads no more
        self._pid = os.getpid()

    @property
    def max_message(self) -> int:
        """The longest body accepted, in bytes."""
        return self._stream.max_message

    @max_message.setter
    def max_message(self, length: int) -> None:
        self._stream.max_message = length

    @property
    def skipped(self) -> int:
        """How many messages of unknown types were skipped."""
        return self._stream.skipped

    @property
    def closed(self) -> bool:
        """Whether it was closed on this side."""
        return self._fd < 0

    @property
    def unsent(self) -> bool:
        """Whether something is left that the system had no room for."""
        return bool(self._outbox.unsent)

    @property
    def progress(self) -> str:
        """What has come of a message that is not whole yet, for people; else empty."""
        return self._stream.progress()

    def fileno(self) -> int:
        """The descriptor of the socket, -1 once closed."""
        return self._fd

    def grant(self, caps: Collection[str]) -> None:
        """Use `crc` and `zlib` from now on, in both directions, if they are among these capabilities."""
        self.crc, self.zlib = "crc" in caps, "zlib" in caps
        granted = Flag.CRC * self.crc | Flag.ZLIB * self.zlib
        self._stream.allowed = int(Flag.MUST_UNDERSTAND) | granted

    def watch(self, fd: int | None) -> None:
        """Let waiting end by `ConnectionLost` once this descriptor is readable, such as a pidfd of the peer."""
        if self._watched is not None:
            self._poller.unregister(self._watched)
        if fd is not None:
            self._poller.register(fd, READ)
        self._watched = fd

    # --- sending ---------------------------------------------------------------------------------

    def send(self, type: int, body: Bytes = b"", seq: int = 0, episode: int = 0) -> None:  # noqa: A002
        """Send a message.

        Raises:
            BridgeTimeout: the peer does not read (phase "send"); what is left is sent before the next message.
            ConnectionLost: the peer is gone; what it sent before that can still be received.
            BridgeClosed: the connection was closed here.
        """
        if self.crc or self.zlib:
            compress = self.zlib and len(body) >= COMPRESSED_FROM
            whole = memoryview(encode(type, body, seq, episode, crc=self.crc, compress=compress))
            header, body = bytes(whole[:HEADER_SIZE]), whole[HEADER_SIZE:]
        else:
            now = time.monotonic_ns()
            header = _pack(MAGIC, type, 0, 0, len(body), seq, now, episode, 0)
        first, rest = self._stream.frame(header, body)
        self._write(first, rest, self.send_timeout)

    def can_send(self) -> bool:
        """Whether the system has taken everything that was sent and would take more."""
        self._check_open()
        with contextlib.suppress(BridgeTimeout):
            self._write(b"", b"", 0.0)
            return self._outbox.wait(0.0)
        return False

    def _write(self, first: Bytes, rest: Bytes, timeout: float) -> None:
        if self._fd < 0:
            self._check_open()
        try:
            self._outbox.write(first, rest, timeout)
        except OSError as error:
            self._outbox.clear()
            self._deaf = True
            self._read_the_rest()  # which may say why
            raise ConnectionLost(f"the peer is gone: {error.strerror or error}") from error

    def _read_the_rest(self) -> None:
        with contextlib.suppress(ConnectionLost):
            while (message := self._pull()) is not None:
                self._inbox.append(message)

    # --- receiving -------------------------------------------------------------------------------

    def receive(self, timeout: float, phase: str = "receive", seq: int | None = None) -> Message:
        """Wait for the next message.

        Args:
            timeout: seconds; with 0 only what is there already.
            phase: named in the error, and chooses its class: "step" raises `StepTimeout`.
            seq: number of the request whose answer is awaited, for the error.

        Raises:
            BridgeTimeout: no whole message came in time.
            ConnectionLost: the peer is gone, or the watched process has ended.
            ProtocolError: the peer broke the protocol; the connection is closed.
            PeerError: the peer said ERROR (`VersionMismatch`, `AuthError` or `PeerBusy` for these codes).
            BridgeClosed: the connection was closed here.
        """
        start, waited, message = time.monotonic(), 0.0, None
        if self._inbox:
            message = self._inbox.popleft()
        elif not self._stream.empty:
            message = self._next()
        while message is None:
            if self._await(timeout - waited):
                message = self._next() or self._pull()  # of a long one all that is there
                if message is not None:
                    break
            waited = time.monotonic() - start
            if waited >= timeout:  # even if bytes come all the time
                raise timeout_of(phase, waited, seq, self._stream.progress())
        return message

    def take(self) -> Message | None:
        """The next message if it is there already, else None; raises as `receive` does."""
        return self._inbox.popleft() if self._inbox else self._pull()

    def rest(self, timeout: float) -> Message | None:
        """Wait for bytes; a message if they make one whole, None if not, as a bell does not; raises as `receive` does."""
        return self._next() if self._await(timeout) else None

    def unread(self, message: Message) -> None:
        """Put a message back, to be received next."""
        self._inbox.appendleft(message)

    def wait(self, timeout: float) -> bool:
        """Whether bytes, or the end of them, come within `timeout` seconds; says nothing of what came already.

        Raises:
            ConnectionLost: the watched process has ended and has left nothing to read.
        """
        self._check_open()
        ready = self._poller.poll(milliseconds(timeout))
        if ready and self._watched is not None and all(fd != self._fd for fd, _ in ready):
            ready = self._poller.poll(0)  # what it sent last may just have come
            if all(fd != self._fd for fd, _ in ready):
                raise ConnectionLost("the process of the peer has ended")
        return bool(ready)

    def _await(self, timeout: float) -> bool:
        """Wait for bytes and receive them; False if none come in time."""
        patience = self.patience
        if patience and (seconds := patience.seconds()) and self._looked(min(seconds, timeout)):
            return True
        if timeout >= BLOCK_S and BLOCKS and self._read(0):
            return True  # a process that blocks in `recv` wakes up sooner than one that polls
        return self.wait(0.0 if timeout >= BLOCK_S else timeout) and self._read()

    def _looked(self, seconds: float) -> bool:
        """Ask again and again for a while, without sleeping; whether bytes came."""
        assert self.patience is not None
        end = time.perf_counter() + seconds
        while not self._read():
            if time.perf_counter() > end:
                self.patience.miss()
                return False
        self.patience.misses = 0
        return True

    def _pull(self) -> Message | None:
        message = self._next()
        for _ in range(READS_AT_ONCE):
            if message is not None or not self._read():
                break
            message = self._next()
        return message

    def _read(self, flags: int = DONT_WAIT) -> bool:
        """Receive some bytes; False if there are none yet, or none within `BLOCK_S` without flags."""
        stream = self._stream
        if self._fd < 0:
            self._check_open()
        try:
            count = self._sock.recv_into(stream.room(), 0, flags)
        except BlockingIOError:
            return False
        except OSError as error:
            self._deaf = True
            raise ConnectionLost(f"the peer is gone: {error.strerror or error}") from error
        if count == 0:
            self._end()
        stream.received(count)
        return True

    def _next(self) -> Message | None:
        """The next message for the caller among the bytes received."""
        if self._fd < 0:
            self._check_open()
        stream = self._stream
        try:
            message = stream.next()
            while message is not None and message[0] in _HANDLED:
                self._handle(message)
                message = stream.next()
        except ProtocolError as error:
            self.refuse(error)
            raise
        if stream.replies:
            self._reply()
        if message is None and stream.closed:
            self._end()
        return message

    def _handle(self, message: Message) -> None:
        if message.type == Type.ERROR:
            self._deaf = True
            raise peer_error(message)
        if message.type == Type.PING and not self._deaf:
            if not self.trusted:
                raise UnexpectedMessage("PING before the session is agreed upon")
            if len(message.body) > LONGEST_PING:
                raise ProtocolError(
                    f"PING of {len(message.body)} bytes, the most is {LONGEST_PING}"
                )
            self.send(Type.PONG, message.body)

    def _reply(self) -> None:
        replies = bytes(self._stream.replies)
        self._stream.replies.clear()
        self._write(replies, b"", self.send_timeout)

    def _end(self) -> NoReturn:
        self._deaf = True
        check_end(self._stream)
        raise ConnectionLost("the peer is gone: end of the connection")

    # --- closing ---------------------------------------------------------------------------------

    def refuse(self, error: BridgeError) -> None:
        """Tell the peer by ERROR what is wrong, if it still listens, and close."""
        self._farewell(Type.ERROR, refusal(error))

    def close(self, reason: str | None = None) -> None:
        """Close, with a CLOSE if a reason is given; does nothing the second time."""
        if reason is None:
            self._farewell(None)
        else:
            self._farewell(Type.CLOSE, write_json({"reason": reason}))

    def _farewell(self, type: Type | None, body: bytes = b"") -> None:  # noqa: A002
        if self.closed:
            return None
        if os.getpid() != self._pid:  # a forked child must not end what its parent goes on using
            self._fd = -1
            return self._sock.close()
        if type is not None and not self._deaf:
            self.send_timeout = FAREWELL
            with contextlib.suppress(BridgeError):
                self.send(type, body)
        self._fd = -1
        if self.patience is not None:
            self.patience.end()
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)
            for _ in range(READS_AT_ONCE):  # bytes left unread would reset the connection, and what
                if not self._sock.recv(65536, DONT_WAIT):  # we said last would be lost
                    break
        return self._sock.close()

    def _check_open(self) -> None:
        if self._fd < 0:
            raise BridgeClosed("the connection is closed")
