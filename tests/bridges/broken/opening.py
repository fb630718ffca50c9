"""Games that open a session wrongly, or prove wrongly who they are."""

from __future__ import annotations

from tests.bridges.broken.breaking import RIGHT, breaks, nothing, refuse_if
from tests.bridges.small_game import Refusal

from tropism.bridges.protocol.header import Type

# --- opening --------------------------------------------------------------------------------------


def _speak_first(self):
    self.send(Type.HELLO, self.hello())
    RIGHT.run(self)


def _lenient_json(self, body, what):
    try:
        return RIGHT.read_json(self, body, what)
    except Exception:
        return {}


def _skip_to(self, what):
    while True:
        header, body = self.receive()
        if header.type == what:
            return self.read_json(body, what)


def _changed_hello(**changes):
    return lambda self: {**RIGHT.hello(self), **changes}


def _chatty(self, ready):
    RIGHT.check_ready(self, ready)
    self.began = True
    self.observe()


KEYS = {"proto", "min_major", "role", "name", "version", "pid", "caps", "nonce", "session"}
breaks("hello-order", run=_speak_first)
breaks("hello-keys", hello=_changed_hello(min_major="1"))
breaks("hello-keys", hello=_changed_hello(role="agent"))
breaks("hello-keys", hello=_changed_hello(caps="seed"))
breaks("hello-nonce", fresh_nonce=lambda self: "0" * 64)
breaks("hello-unknown-keys", check_hello=refuse_if(lambda hello: set(hello) - KEYS))
breaks("hello-unknown-caps", check_hello=refuse_if(lambda hello: "telepathy" in hello["caps"]))
breaks("hello-no-caps", check_hello=refuse_if(lambda hello: not hello["caps"]))
breaks("version-newer-minor", check_hello=refuse_if(lambda hello: hello["proto"][1], "version"))
breaks(
    "version-newer-major-that-speaks-ours",
    check_hello=refuse_if(lambda hello: hello["proto"][0] != 1, "version"),
)
breaks("version-too-new", "role-the-same", check_hello=nothing)
breaks(
    "version-too-new", refuse=lambda self, code: self.send(Type.ERROR, {"code": code, "text": "no"})
)
breaks("hello-without-version", check_hello=nothing, proof=lambda self, role, nonce: "")
breaks("hello-not-json", read_json=_lenient_json, check_hello=nothing)
breaks("order-step-instead-of-hello", expect=_skip_to)
breaks("order-reset-before-ready", check_ready=nothing, expect=_skip_to)
breaks("order-second-hello", on_hello=nothing)
breaks("ready-wrong-hash", check_ready=nothing)
breaks("silent-after-ready", check_ready=_chatty)
breaks("busy", let_in=nothing)


# --- proof ----------------------------------------------------------------------------------------


def _only_strings(self, auth, nonce):
    if isinstance(auth.get("mac"), str) and auth["mac"]:
        RIGHT.check_proof(self, auth, nonce)


def _either_role(self, auth, nonce):
    if auth.get("mac") not in (self.proof("agent", nonce), self.proof("game", nonce)):
        raise Refusal("auth")


def _tell(self, code):
    self.send(Type.ERROR, {"code": code, "text": "wrong", "detail": "expected " + self.token})


def _reveal(self):
    self.send(Type.SPEC, self.spec.to_bytes())
    RIGHT.open_session(self)


breaks("auth-right", proof=lambda self, role, nonce: "00" * 32)
breaks("auth-wrong", "auth-of-another-nonce", "auth-malformed", check_proof=nothing)
breaks("auth-of-another-role", check_proof=_either_role)
breaks("auth-malformed", check_proof=_only_strings)
breaks("auth-wrong", refuse=_tell)
breaks("auth-wrong", refuse=lambda self, code: None)
breaks("auth-missing", expect=_skip_to)
breaks("auth-missing", open_session=_reveal)
breaks("auth-not-asked-for", take_welcome=lambda self: (self.receive(), self.receive()))
breaks("auth-no-token-at-all", check_ready=lambda self, ready: self.exactly(0 if self.token else 1))
