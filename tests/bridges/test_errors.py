"""Errors travel between processes with all they know, and name what a person needs."""

import pickle
import re

import pytest

from tropism.bridges import errors
from tropism.bridges.progress import Progress, also
from tropism.errors import TropismError

EXAMPLES = [
    errors.BadMagic("no message"),
    errors.SpecMismatch("agents[0].obs", "f4", "f8"),
    errors.InvalidValue("action.move: shape (2,), not (3,)"),
    errors.StepTimeout("step", 10.0, 7, "the game is alive"),
    errors.ConnectTimeout("tcp://127.0.0.1:1", 3, 30.0),
    errors.GameCrashed(42, -11, 7, "last words"),
    errors.GameExited(0),
    errors.PeerError("action", "no such action", {"n": 3}),
    errors.BridgeClosed("closed"),
    errors.StepTimeout("step", 10.0, 7, Progress.of("body of OBS", "payload", 10, 32)),
    errors.PortInUse("taken", 42, "game"),
]


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda e: type(e).__name__)
def test_an_error_survives_pickling_with_its_attributes_and_notes(error):
    error.add_note("while stepping lane 3")
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is type(error)
    assert str(back) == str(error)
    assert back.__dict__ == error.__dict__


def test_every_error_is_of_the_bridge_and_of_the_suite():
    kinds = [k for k in vars(errors).values() if isinstance(k, type) and k is not TropismError]
    assert len(kinds) > 25
    assert all(issubclass(k, errors.BridgeError) for k in kinds if issubclass(k, Exception))
    assert issubclass(errors.BridgeError, TropismError)
    assert issubclass(errors.BridgeError, RuntimeError)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (errors.GameCrashed(42, -11, 7, "boom"), r"pid 42.*SIGSEGV.*request 7.*\n.*boom"),
        (errors.GameCrashed(42, 3), "exit code 3"),
        (errors.GameCrashed(42, -250), "signal 250"),
        (errors.timeout_of("reset", 2.5, 9), r"reset: nothing came within 2\.50 s \(request 9\)"),
        (errors.ConnectTimeout("tcp://h:1", 1, 0.5), "1 attempt at tcp://h:1"),
        (errors.SpecMismatch("", "a", "b"), "spec: expected a, got b"),
        (errors.GameExited(0), "exit code 0"),
    ],
)
def test_the_text_names_what_happened(error, says):
    assert re.search(says, str(error), re.DOTALL)


@pytest.mark.parametrize(
    ("phase", "kind"),
    [
        ("handshake", errors.HandshakeTimeout),
        ("reset", errors.ResetTimeout),
        ("step", errors.StepTimeout),
        ("close", errors.CloseTimeout),
        ("call", errors.BridgeTimeout),
    ],
)
def test_each_phase_has_its_timeout(phase, kind):
    error = errors.timeout_of(phase, 1.0, 4)
    assert type(error) is kind
    assert (error.phase, error.waited, error.seq) == (phase, 1.0, 4)


def test_a_part_of_a_message_is_told_in_numbers_whatever_else_is_said():
    text = also(Progress.of("header", "header", 10, 32), "the game hangs")
    error = errors.timeout_of("step", 1.0, 4, text)
    assert type(error) is errors.StepTimeout
    assert (error.phase, error.got, error.want) == ("header", 10, 32)
    assert "step: only a part of a message came" in str(error)
    assert str(error).endswith("header, 10/32 bytes; the game hangs")
    assert type(also("", "the game hangs")) is str
