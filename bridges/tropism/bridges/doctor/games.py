"""One game: what happens when it is dialled, listened for, or launched."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from tropism.bridges.doctor.finding import Finding, session_of
from tropism.bridges.errors import BridgeError, PortInUse
from tropism.bridges.launcher import Launcher
from tropism.bridges.protocol.header import HEADER_SIZE, Type, name_of, pack_header, parse_header
from tropism.bridges.transports.address import Address
from tropism.bridges.transports.binding import Bound, bind
from tropism.bridges.transports.hello import VERSION, read_hello
from tropism.bridges.transports.holder import who_listens
from tropism.errors import OptionError, TropismError

OPENING = 5.0
"""Seconds in which the first message must have come."""
VARIABLES = tuple(f"TROPISM_BRIDGE_{name}" for name in ("ADDR", "TOKEN", "SESSION"))


def try_listening(text: str) -> list[Finding]:
    """Whether an agent can listen at an address."""
    try:
        with closing(bind(address := Address.parse(text))) as bound:
            found = [Finding("listen", "ok", f"{bound.address} is free")]
    except PortInUse as error:
        remedy = "end the process that has it, or use port 0, which takes any free one"
        return [Finding("listen", "bad", str(error), remedy)]
    except TropismError as error:
        remedy = "an address is tcp://host:port, ws://host:port or unix:///path, of this machine"
        return [Finding("listen", "bad", str(error), remedy)]
    if not address.is_loopback and not os.environ.get("TROPISM_BRIDGE_TOKEN"):
        text = f"others can reach {address}, and there is no token"
        found.append(Finding("token", "bad", text, "set TROPISM_BRIDGE_TOKEN on both sides"))
    return found


def dial_game(text: str) -> list[Finding]:
    """Whether a game listens at an address and speaks the protocol."""
    try:
        address = Address.parse(text)
    except OptionError as error:
        return [Finding("address", "bad", str(error), "write it as in tcp://127.0.0.1:5005")]
    sock = socket.socket(address.family, socket.SOCK_STREAM)
    with sock:
        sock.settimeout(OPENING)
        try:
            sock.connect(address.target)
        except (OSError, OverflowError) as error:
            return [_not_connected(address, error)]
        found = [Finding("connect", "ok", f"something listens at {address}{_holder(address)}")]
        if address.scheme != "ws":
            _send_hello(sock)
            found.append(_first_message(sock, f"the listener at {address}"))
        return found


def _not_connected(address: Address, error: Exception) -> Finding:
    if isinstance(error, TimeoutError):
        text = f"nothing at all came from {address} within {OPENING:.0f} s"
        remedy = "a firewall drops it, or the machine is not there: try from that machine itself"
    elif isinstance(error, socket.gaierror):
        text, remedy = f"the name {address.host!r} is not known: {error}", "use a number"
    elif isinstance(error, ConnectionRefusedError | FileNotFoundError):
        text = f"nobody listens at {address}"
        remedy = "start the game first, with the same address; does it print one?"
    else:
        text, remedy = f"{address}: {error}", "check the address and its rights"
    return Finding("connect", "bad", text, remedy)


def _holder(address: Address) -> str:
    holder = who_listens(address) if address.is_loopback else None
    return "" if holder is None else f", {holder}"


def launch_game(command: Sequence[str], timeout: float = 30.0) -> Iterator[Finding]:
    """Launch a game as an agent does, and watch what it does; findings as they come."""
    program = shutil.which(command[0])
    if program is None:
        text = f"{command[0]!r} is no program here"
        yield Finding("command", "bad", text, "give its path, and make it executable (chmod +x)")
        return
    yield Finding("command", "ok", program)
    launcher = Launcher(list(command))
    with closing(bind(Address.parse("tcp://127.0.0.1:0"))) as bound:
        try:
            launcher.start(str(bound.address), secrets.token_hex(32), "doctor")
        except BridgeError as error:
            yield Finding("start", "bad", str(error), "can this user run it? what does it need?")
            return
        try:
            yield from _watch(launcher, bound, timeout)
        finally:
            launcher.kill()


def _watch(launcher: Launcher, bound: Bound, timeout: float) -> Iterator[Finding]:
    """From the start of a game to its HELLO."""
    began = time.monotonic()
    sock = _accept(launcher, bound, began + timeout)
    if sock is None:
        yield _variables(launcher)
        yield _did_not_dial(launcher, bound, timeout)
        return
    took = time.monotonic() - began
    yield Finding("dial", "ok", f"it dialled {bound.address} after {took:.1f} s")
    with sock:
        sock.settimeout(OPENING)
        yield _first_message(sock, "the game")


def _variables(launcher: Launcher) -> Finding:
    """Whether the processes of the command have what we put into the environment of the first."""
    for pid in session_of(launcher.pid or 0):
        missing = set(VARIABLES) - _environment(pid)
        if missing:
            text = f"process {pid} of the game does not have {', '.join(sorted(missing))}"
            remedy = "something clears the environment (env -i, sudo, flatpak): let these pass"
            return Finding("variables", "bad", text, remedy)
    return Finding("variables", "ok", f"the game has {', '.join(VARIABLES)}")


def _environment(pid: int) -> set[str]:
    """The names of the variables a process was started with; all of ours if that cannot be seen."""
    try:
        entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return set(VARIABLES)
    return {entry.partition(b"=")[0].decode(errors="replace") for entry in entries}


def _accept(launcher: Launcher, bound: Bound, deadline: float) -> socket.socket | None:
    while time.monotonic() < deadline:
        sock = bound.accept()
        if sock is not None:
            return sock
        if launcher.wait(0.02) is not None:
            return bound.accept()
    return None


def _did_not_dial(launcher: Launcher, bound: Bound, timeout: float) -> Finding:
    tail = launcher.stderr_tail
    said = f"; its last words:\n{tail}" if tail else "; it wrote nothing to standard error"
    if launcher.returncode is not None:
        text = f"the game ended with {launcher.returncode} before it dialled{said}"
        return Finding("dial", "bad", text, "run the command by itself and see why it ends")
    text = f"the game runs, and has not dialled {bound.address} within {timeout:.0f} s{said}"
    remedy = "is the plugin installed, and does it read TROPISM_BRIDGE_ADDR? or does the game load longer?"
    return Finding("dial", "bad", text, remedy)


# --- the first message ----------------------------------------------------------------------------


def _send_hello(sock: socket.socket) -> None:
    hello = {
        "proto": [1, 0],
        "min_major": 1,
        "role": "agent",
        "name": "tropism-doctor",
        "version": "1",
        "pid": os.getpid(),
        "caps": [],
        "nonce": secrets.token_hex(32),
        "session": "",
    }
    body = json.dumps(hello).encode()
    sock.sendall(pack_header(Type.HELLO, len(body)) + body)


def _first_message(sock: socket.socket, who: str) -> Finding:
    """What comes first on a connection."""
    try:
        start = _exactly(sock, HEADER_SIZE)
        if start.startswith(b"GET "):
            return Finding("HELLO", "ok", f"{who} asks for a WebSocket")
        header = parse_header(start)
        body = _exactly(sock, header.length)
    except TimeoutError:
        remedy = "it is no game, or hangs: tropism bridge check tells more"
        return Finding("HELLO", "bad", f"{who} says nothing within {OPENING:.0f} s", remedy)
    except (BridgeError, OSError, EOFError) as error:
        remedy = (
            "another program listens or dials there, or a game that does not speak this protocol"
        )
        return Finding("HELLO", "bad", f"{who} sends no message: {error}", remedy)
    try:
        return _judge(header.type, body, who)
    except BridgeError as error:
        remedy = "see docs/bridge-protocol.md, section 4, or use a client library"
        return Finding("HELLO", "bad", f"{who} says a wrong HELLO: {error}", remedy)


def _exactly(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = sock.recv(size - len(data))
        if not chunk:
            raise EOFError(f"the connection ends after {len(data)} bytes: {data[:40]!r}")
        data += chunk
        if data.startswith(b"GET "):
            break
    return data


def _judge(type: int, body: bytes, who: str) -> Finding:  # noqa: A002
    """What a first message tells."""
    text = body[:300].decode(errors="replace")
    if type == Type.ERROR:
        remedy = "end the agent that it plays with" if "busy" in text else "see what it says"
        return Finding("HELLO", "bad", f"{who} answers ERROR {text}", remedy)
    if type != Type.HELLO:
        remedy = "the dialler sends HELLO first; see docs/bridge-protocol.md, section 4"
        return Finding("HELLO", "bad", f"{who} begins with {name_of(type)}", remedy)
    theirs = read_hello(body)
    hello, proto = theirs.facts, theirs.proto
    facts = f"{hello.get('name')} {hello.get('version', '')}, protocol {proto}, {hello.get('caps')}"
    if theirs.role != "game":
        return Finding("HELLO", "bad", f"{facts}: no game but {theirs.role}", "dial a game")
    if theirs.min_major > VERSION[0]:
        return Finding("HELLO", "bad", f"{facts}: too new", "update tropism")
    return Finding("HELLO", "ok", facts)
