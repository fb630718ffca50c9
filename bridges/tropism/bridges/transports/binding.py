"""Listening sockets that only their owner can reach, or only the machine."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import struct
import sys
import time
from pathlib import Path

from tropism.bridges.errors import PortInUse
from tropism.bridges.transports.address import Address
from tropism.bridges.transports.holder import who_listens
from tropism.bridges.transports.places import SOCKET, is_served, new_directory
from tropism.errors import OptionError

BACKLOG = 128
NO_ROOM_S = 0.01
LONGEST_PATH = 103 if sys.platform == "darwin" else 107
_PEER_UID = struct.Struct("3i")  # pid, uid, gid


class Bound:
    """A listening socket, not blocking.

    Attributes:
        address: where it listens.
    """

    def __init__(self, sock: socket.socket, address: Address, directory: str | None = None) -> None:
        self.address = address
        self._sock, self._directory = sock, directory
        self._inode = os.stat(address.path).st_ino if address.is_unix else 0

    def fileno(self) -> int:
        """The descriptor."""
        return self._sock.fileno()

    def accept(self) -> socket.socket | None:
        """The next peer, or None; strangers at a Unix socket are turned away."""
        try:
            sock, _ = self._sock.accept()
        except (BlockingIOError, ConnectionError):
            return None
        except OSError:  # no descriptors left, say: the peer stays in the queue until there are
            time.sleep(NO_ROOM_S)
            return None
        if self.address.is_unix and not is_own(sock):
            sock.close()
            return None
        return sock

    def abandon(self) -> None:
        """Close the descriptor only: the listener belongs to another process."""
        self._sock.close()

    def close(self) -> None:
        """Stop listening and remove the file of a Unix socket, if it is still ours."""
        if self._sock.fileno() < 0:
            return
        self._sock.close()
        self._remove()

    def hide(self) -> None:
        """Remove the file of a Unix socket whose place was chosen here; who is connected stays so."""
        if self._directory is not None:
            self._remove()

    def _remove(self) -> None:
        if self.address.is_unix:
            with contextlib.suppress(OSError):
                if os.stat(self.address.path).st_ino == self._inode:
                    os.unlink(self.address.path)
        if self._directory is not None:
            with contextlib.suppress(OSError):
                os.rmdir(self._directory)


def bind(address: Address) -> Bound:
    """Listen at an address.

    Raises:
        PortInUse: somebody else does.
        OptionError: it is not an address of this machine, or no good place for a socket.
    """
    return _bind_unix(address) if address.is_unix else _bind_internet(address)


def is_own(sock: socket.socket) -> bool:
    """Whether the peer of a Unix socket is a process of the same user, as far as the system tells."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return True  # the modes of file and directory have to do
    credentials = sock.getsockopt(socket.SOL_SOCKET, option, _PEER_UID.size)
    return _PEER_UID.unpack(credentials)[1] == os.geteuid()


def _bind_internet(address: Address) -> Bound:
    sock = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        # there, SO_REUSEADDR would let another process take the port over
        exclusive = getattr(socket, "SO_EXCLUSIVEADDRUSE", None)
        sock.setsockopt(socket.SOL_SOCKET, exclusive or socket.SO_REUSEADDR, 1)
        _try_to_bind(sock, address)
        _listen(sock)
    except BaseException:
        sock.close()
        raise
    port = sock.getsockname()[1]
    return Bound(sock, Address(address.scheme, address.host, port))


def _bind_unix(address: Address) -> Bound:
    family, directory = address.family, None
    if not address.path:
        directory = new_directory()
        address = Address("unix", path=os.path.join(directory, SOCKET))
    _prepare(address)
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        _try_to_bind(sock, address)
        os.chmod(address.path, 0o600)  # nobody can connect before `listen`
        _listen(sock)
    except BaseException:
        sock.close()
        raise
    return Bound(sock, address, directory)


def _prepare(address: Address) -> None:
    """Make the directory, and remove what a dead listener has left."""
    if len(os.fsencode(address.path)) > LONGEST_PATH:
        raise OptionError(f"address {address}: its path is longer than {LONGEST_PATH} bytes")
    Path(address.path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.stat(address.path).st_mode):
            raise OptionError(f"address {address}: a file that is no socket stands there")
        if not is_served(address.path):
            os.unlink(address.path)


def _try_to_bind(sock: socket.socket, address: Address) -> None:
    try:
        sock.bind(address.target)
    except (OSError, OverflowError) as error:
        number = getattr(error, "errno", None)
        if number in (errno.EADDRINUSE, errno.EACCES):
            raise _in_use(address, error) from error
        raise OptionError(f"address {address}: {error}") from error


def _in_use(address: Address, error: Exception) -> PortInUse:
    text = f"cannot listen at {address}: {error}"
    holder = who_listens(address)
    if holder is None:
        return PortInUse(text)
    text += f"; {holder} listens there: end it, or listen elsewhere"
    return PortInUse(text, holder.pid, holder.name)


def _listen(sock: socket.socket) -> None:
    sock.listen(BACKLOG)
    sock.setblocking(False)
