"""Peers that connect and then say little or nothing."""

import socket
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

from tests.bridges.traces import eventually


@contextmanager
def strangers(address, count, words=b""):
    """Peers of a listener that say this and nothing else."""
    where = urlsplit(str(address))
    with ExitStack() as stack:
        made = []
        for _ in range(count):
            unix = where.scheme == "unix"
            sock = stack.enter_context(socket.socket(socket.AF_UNIX if unix else socket.AF_INET))
            sock.settimeout(5)
            eventually(lambda sock=sock: connects(sock, where))  # a Unix socket has no patience
            sock.sendall(words)
            made.append(sock)
        yield made


def connects(sock, where):
    """Whether it does."""
    try:
        sock.connect(where.path if sock.family == socket.AF_UNIX else (where.hostname, where.port))
    except (BlockingIOError, ConnectionRefusedError, FileNotFoundError):
        return False
    return True
