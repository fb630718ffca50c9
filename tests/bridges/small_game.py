"""A right game in one page, independent of the client library, made of small methods so that each can be broken."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import secrets
import socket
import threading

import numpy as np
from gymnasium import spaces

from tropism.bridges.errors import BridgeError
from tropism.bridges.protocol.bodies import ActionCodec, ObsCodec, Outcome
from tropism.bridges.protocol.header import Flag, Type, is_newer, pack_header, parse_header
from tropism.bridges.protocol.messages import open_body, read_json
from tropism.bridges.protocol.spec import AgentSpec, Spec

OBSERVATION = spaces.Dict({"x": spaces.Box(-1, 1, (3,)), "c": spaces.Box(0, 255, (3,), np.uint8)})
PICTURE = {"d": "u1", "s": [1, 1, 3], "b64": "AAAA"}
LENGTH = 12
TOKEN = "ab" * 32


class Refusal(Exception):
    """The session ends with ERROR of this code."""


class SmallGame:
    """One session. A class attribute or method may be replaced to break it."""

    caps = ("call", "crc", "render", "seed", "zlib")
    patience = 5.0
    token = TOKEN
    spec = Spec("small", [AgentSpec("only", OBSERVATION, spaces.Discrete(2))], render=(1, 1, 3))

    def __init__(self, sock: socket.socket, house: House) -> None:
        self.sock, self.house = sock, house
        self.codec, self.actions = ObsCodec(self.spec), ActionCodec(self.spec)
        self.nonce = self.fresh_nonce()
        self.granted: list[str] = []
        self.last = self.episode = self.step = 0
        self.over = self.began = False
        self.random = np.random.default_rng(0)

    # --- messages --------------------------------------------------------------------------------

    def run(self) -> None:
        self.sock.settimeout(self.patience)
        self.open_session()
        self.sock.settimeout(None)
        while True:
            self.turn()

    def turn(self) -> None:
        self.handle(*self.receive())

    def exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            chunk = self.sock.recv(size - len(data))
            if not chunk:
                raise EOFError
            data += chunk
        return data

    def receive(self):
        header = self.read_header(self.exactly(32))
        return header, self.read_body(header, self.exactly(header.length))

    def read_header(self, data: bytes):
        return parse_header(data)

    def read_body(self, header, raw: bytes) -> bytes:
        granted = {"crc": Flag.CRC, "zlib": Flag.ZLIB}
        allowed = Flag.MUST_UNDERSTAND | sum(granted[c] for c in self.granted if c in granted)
        self.check_flags(header.flags & ~allowed)
        return bytes(open_body(header, raw))

    def check_flags(self, excess: int) -> None:
        if excess:
            raise Refusal("protocol")

    def send(self, what, body=b"", seq=0, episode=0) -> None:
        raw = json.dumps(body).encode() if isinstance(body, dict | list) else bytes(body)
        self.sock.sendall(self.header(what, len(raw), seq, episode) + raw)

    def header(self, what, length, seq, episode) -> bytes:
        return pack_header(what, length, seq, episode)

    def expect(self, what):
        header, body = self.receive()
        if header.type != what:
            raise Refusal(self.out_of_order(what))
        return self.read_json(body, what)

    def out_of_order(self, expected) -> str:
        return "auth" if expected == Type.AUTH else "protocol"

    def read_json(self, body, what):
        return read_json(body, what)

    # --- opening ---------------------------------------------------------------------------------

    def open_session(self) -> None:
        theirs = self.expect(Type.HELLO)
        self.let_in()
        self.check_hello(theirs)
        self.send(Type.HELLO, self.hello())
        if self.token:
            self.check_proof(self.expect(Type.AUTH), theirs["nonce"])
            self.send(Type.AUTH, {"mac": self.proof("game", theirs["nonce"])})
        self.take_welcome()
        self.send(Type.SPEC, self.spec.to_bytes())
        self.await_ready()

    def let_in(self) -> None:
        if not self.house.enter(self):
            raise Refusal("busy")

    def await_ready(self) -> None:
        self.check_ready(self.expect(Type.READY))

    def take_welcome(self) -> None:
        header, body = self.receive()
        if header.type != Type.WELCOME:
            raise Refusal("auth" if header.type == Type.AUTH else "protocol")
        self.welcome = self.read_json(body, Type.WELCOME)
        self.granted = self.welcome["caps"]

    def fresh_nonce(self) -> str:
        return secrets.token_hex(32)

    def hello(self) -> dict:
        return {
            "proto": [1, 0],
            "min_major": 1,
            "role": "game",
            "name": "small",
            "caps": list(self.caps),
            "nonce": self.nonce,
            "session": "",
        }

    def check_hello(self, hello: dict) -> None:
        if not isinstance(hello.get("proto"), list) or not hello.get("nonce"):
            raise Refusal("protocol")
        if hello["min_major"] > 1 or hello["proto"][0] < 1:
            raise Refusal("version")
        if hello["role"] != "agent":
            raise Refusal("protocol")

    def proof(self, role: str, nonce: str) -> str:
        text = f"tropism-bridge-1|{role}|{nonce}|{self.nonce}".encode()
        return hmac.new(bytes.fromhex(self.token), text, hashlib.sha256).hexdigest()

    def check_proof(self, auth: dict, nonce: str) -> None:
        if auth.get("mac") != self.proof("agent", nonce):
            raise Refusal("auth")

    def check_ready(self, ready: dict) -> None:
        if ready.get("spec") != self.spec.hash_hex:
            raise Refusal("spec")

    # --- requests --------------------------------------------------------------------------------

    def handle(self, header, body: bytes) -> None:
        try:
            answer = getattr(self, f"on_{Type(header.type).name.lower()}")
        except ValueError:
            self.on_unknown(header)
        except AttributeError:
            self.on_unexpected(header)
        else:
            answer(header, body)

    def on_unknown(self, header) -> None:
        if header.flags & Flag.MUST_UNDERSTAND:
            raise Refusal("unsupported")

    def on_unexpected(self, header) -> None:
        raise Refusal("protocol")

    def is_stale(self, seq: int) -> bool:
        return not is_newer(seq, self.last)

    def on_reset(self, header, body) -> None:
        if self.is_stale(header.seq):
            return
        asked = self.read_json(body, Type.RESET)
        self.last, self.episode = header.seq, header.episode
        self.begin(self.read_seed(asked))
        self.observe()

    def read_seed(self, asked: dict):
        seed = asked.get("seed")
        if seed is not None and (type(seed) is not int or not 0 <= seed < 2**53):
            raise Refusal("protocol")
        return seed

    def begin(self, seed) -> None:
        self.step, self.over, self.began = 0, False, True
        if seed is not None:
            self.random = np.random.default_rng(seed)

    def on_step(self, header, body) -> None:
        if self.is_stale(header.seq):
            return
        if not self.began:
            raise Refusal("protocol")
        (action,) = self.read_actions(body)
        self.last = header.seq
        self.advance(action)
        self.observe()

    def read_actions(self, body) -> list:
        actions = self.actions.decode(body)
        self.check_action(actions[0])
        return actions

    def check_action(self, action) -> None:
        if action is not None and not 0 <= action < 2:
            raise Refusal("action")

    def advance(self, action) -> None:
        self.step += 1

    # --- answers ---------------------------------------------------------------------------------

    def observe(self) -> None:
        self.send(Type.OBS, self.body(), self.last, self.episode)

    def body(self) -> bytes:
        agents = [self.outcome()]
        self.over = self.step >= LENGTH
        numbers = {"step": self.step, "applied": self.applied(), "status": self.status()}
        return bytes(self.codec.encode(agents, **numbers, info=self.info()))

    def outcome(self) -> Outcome:
        if self.over:
            return Outcome(alive=False)
        ended = self.step == LENGTH
        return Outcome(float(self.step > 0), ended, False, True, self.observation())

    def observation(self) -> dict:
        x = self.random.uniform(-1, 1, 3).astype(np.float32)
        return {"x": x, "c": np.full(3, self.step, np.uint8)}

    def applied(self) -> int:
        return self.last

    def status(self) -> int:
        return 3 if self.over else 2

    def info(self) -> dict:
        return {}

    # --- the rest --------------------------------------------------------------------------------

    def on_ping(self, header, body) -> None:
        if len(body) > 64:
            raise Refusal("protocol")
        self.send(Type.PONG, body)

    def on_pong(self, header, body) -> None:
        pass

    def on_event(self, header, body) -> None:
        self.read_json(body, Type.EVENT)

    def on_call(self, header, body) -> None:
        call = self.read_json(body, Type.CALL)
        if "id" not in call or "name" not in call:
            raise Refusal("protocol")
        self.send(Type.REPLY, {"id": call["id"], **self.answer(call["name"])})

    def answer(self, name: str) -> dict:
        return {"result": PICTURE} if name == "render" else {"error": f"no {name}"}

    def on_close(self, header, body) -> None:
        raise EOFError

    def on_error(self, header, body) -> None:
        raise EOFError

    def refuse(self, code: str) -> None:
        text = "this game speaks 1.0 and you speak 9.0" if code == "version" else code
        self.send(Type.ERROR, {"code": code, "text": text})

    def lost(self) -> None:
        """The agent has gone."""


class House:
    """Listens, and lets one agent in at a time.

    Args:
        kind: of the sessions.
    """

    def __init__(self, kind: type[SmallGame] = SmallGame) -> None:
        self.kind = kind
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"tcp://127.0.0.1:{self.listener.getsockname()[1]}"
        self.guest: SmallGame | None = None
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self._accept, daemon=True)]
        self.threads[0].start()

    def enter(self, game: SmallGame) -> bool:
        with self.lock:
            if self.guest is None:
                self.guest = game
            return self.guest is game

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(sock,), daemon=True)
            self.threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        game = self.kind(sock, self)
        with sock, contextlib.suppress(OSError):
            try:
                game.run()
            except Refusal as refusal:
                game.refuse(str(refusal))
            except BridgeError as error:
                game.refuse(getattr(error, "code", "protocol"))
            except TimeoutError:
                game.refuse("timeout")
            except (EOFError, ConnectionError):
                game.lost()
            except Exception:  # a crash, that of a broken game
                pass
            finally:
                with self.lock:
                    self.guest = None if self.guest is game else self.guest
