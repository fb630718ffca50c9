"""Addresses as they are written in `TROPISM_BRIDGE_ADDR`: docs/bridge-protocol.md, section 1."""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass

from tropism.errors import OptionError

_INTERNET = re.compile(r"(tcp|ws)://(?:\[([0-9A-Fa-f:.%\w]+)\]|([^\[\]/:@?#\s]+)):(\d{1,5})/?")
_FORMS = "tcp://host:port, ws://host:port or unix:///path"


@dataclass(frozen=True)
class Address:
    """Where to listen or dial.

    Attributes:
        scheme: "tcp", "ws" or "unix".
        host: name or number, without brackets; empty for a Unix socket.
        port: 0 to 65535, where 0 lets a listener choose; 0 for a Unix socket.
        path: of the Unix socket; empty lets a listener choose.
    """

    scheme: str
    host: str = ""
    port: int = 0
    path: str = ""

    @classmethod
    def parse(cls, text: str | Address) -> Address:
        """Read an address.

        Raises:
            OptionError: it has none of the known forms, or the port is above 65535.
        """
        if isinstance(text, Address):
            return text
        if text.startswith("unix://"):
            return cls._unix(text)
        match = _INTERNET.fullmatch(text)
        if match is None or int(match[4]) > 65535:
            raise OptionError(f"address {text!r}: expected {_FORMS}, port 0 to 65535")
        return cls(match[1], match[2] or match[3], int(match[4]))

    @classmethod
    def _unix(cls, text: str) -> Address:
        path = text.removeprefix("unix://")
        if (path and not path.startswith("/")) or "\0" in path:
            raise OptionError(f"address {text!r}: the path of a Unix socket must begin with '/'")
        return cls("unix", path=path)

    @property
    def is_unix(self) -> bool:
        """Whether it is a Unix socket."""
        return self.scheme == "unix"

    @property
    def is_loopback(self) -> bool:
        """Whether only processes of this machine can reach it."""
        if self.is_unix or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False  # a name may resolve to anything

    @property
    def family(self) -> socket.AddressFamily:
        """The family of sockets it needs.

        Raises:
            OptionError: this system has no Unix sockets.
        """
        if self.is_unix:
            if not hasattr(socket, "AF_UNIX"):
                raise OptionError(f"address {self}: this system has no Unix sockets; use tcp://")
            return socket.AF_UNIX
        return socket.AF_INET6 if ":" in self.host else socket.AF_INET

    @property
    def target(self) -> str | tuple[str, int]:
        """What `socket.bind` and `socket.connect` take."""
        return self.path if self.is_unix else (self.host, self.port)

    def __str__(self) -> str:
        if self.is_unix:
            return f"unix://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"
