"""Rows 29, 31, 32 and 40 of the fault matrix: what an agent's own process goes through."""

import json
import multiprocessing
import signal
import subprocess
import time

import pytest
from gymnasium.error import ResetNeeded
from tests.bridges.faults import interpreters
from tests.bridges.faults.agents import HEAD, agent
from tests.bridges.faults.bare_game import act
from tests.bridges.faults.games import BARE, make
from tests.bridges.traces import AT_ONCE, PATIENT, descriptors, eventually, is_running

from tropism.bridges.errors import BridgeClosed
from tropism.bridges.parallel import BridgeParallelEnv
from tropism.bridges.recording import Recording
from tropism.bridges.vector import BridgeVectorEnv

MANY_PROCESSES = """
import json, multiprocessing, sys
from tropism.bridges.env import BridgeEnv

def play(left_open):
    env = BridgeEnv(json.loads(sys.argv[1]), transport="shm")
    env.reset(seed=1)
    env.step(0)
    if not left_open:
        env.close()

if __name__ == "__main__":
    for method in ("spawn", "fork"):
        for left_open in (False, True):
            child = multiprocessing.get_context(method).Process(target=play, args=(left_open,))
            child.start()
            child.join()
            assert child.exitcode == 0, (method, child.exitcode)
    play(True)
"""


@pytest.mark.parametrize("minor", interpreters.MINORS)
def test_row_29_no_interpreter_warns_of_resources(minor, tmp_path):
    interpreter = interpreters.find(minor)
    if interpreter is None:
        pytest.skip(f"no Python 3.{minor} with NumPy and Gymnasium here")
    script = tmp_path / "agents.py"
    script.write_text(MANY_PROCESSES)
    environment = {**interpreters.environment(), "TROPISM_BRIDGE_SHM_DIR": str(tmp_path)}
    command = [interpreter, "-X", "dev", str(script), json.dumps(BARE)]
    run = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("tropism")] == []


INTERRUPTED = f"""{HEAD}
import time
try:
    env.step({act("hang")})
except KeyboardInterrupt:
    start = time.monotonic()
    env.close()
    print(time.monotonic() - start, os.path.exists(f"/proc/{{env.session.game_pid}}"), flush=True)
"""


def test_row_31_interrupt_in_a_step_reaps_the_game(transport):
    with agent(INTERRUPTED, transport=transport) as interrupted:
        time.sleep(0.05)  # into the step; before it the interrupt would do as well
        interrupted.signal(signal.SIGINT)
        said, errors = interrupted.process.communicate(timeout=20)
        assert (interrupted.process.returncode, errors) == (0, "")
        seconds, still_there = said.split()
        assert float(seconds) < 2.0
        assert still_there == "False"


def test_row_32_close_again_is_harmless_and_use_is_refused(play, transport):
    env = play(transport=transport)
    before = descriptors()
    env.close()
    assert descriptors() < before
    env.close()
    for use in (
        env.reset,
        lambda: env.step(0),
        lambda: env.call("x"),
        lambda: env.session.send_event("x"),
    ):
        with pytest.raises((BridgeClosed, ResetNeeded)):
            use()


def test_row_32_every_face_can_be_closed_again():
    for face in (
        make(),
        BridgeVectorEnv(2, command=BARE, deadlines=PATIENT),
        BridgeParallelEnv(BARE),
    ):
        face.reset(seed=1)
        face.close()
        face.close()
        with pytest.raises(BridgeClosed):
            face.reset(seed=1)


def test_row_32_closing_in_the_middle_of_a_step_is_quick(play, transport):
    env = play(transport=transport)
    pid = env.session.game_pid
    env.send_step(act("hang"))
    start = time.monotonic()
    env.close()
    assert time.monotonic() - start < 1.0 + AT_ONCE
    assert not is_running(pid)
    with pytest.raises(BridgeClosed):
        env.receive_step()


FORKED = f"""{HEAD}
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads
env.send_step(0)
child = os.fork()
if child == 0:
    for use in (env.receive_step, lambda: env.step(0), env.reset):
        try:
            use()
        except Exception as error:
            print(type(error).__name__, flush=True)
    env.close()
    sys.exit(0)  # with all that an interpreter does at its end
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
env.receive_step()
for _ in range(99):
    step = env.step(0)
print(step[4]["bridge"]["step"], flush=True)
env.close()
"""


def test_row_40_a_forked_child_is_refused_and_takes_nothing_along(transport):
    with agent(FORKED, transport=transport, flags=("-X", "dev")) as parent:
        said, errors = parent.process.communicate(timeout=60)
        assert (parent.process.returncode, errors) == (0, "")
        assert said.split() == ["ForkedBridge"] * 3 + ["0", "100"]
        assert not is_running(parent.game_pid)


LEFT_BEHIND = f"""{HEAD}
import signal
if os.fork() == 0:
    signal.pause()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_row_40_a_child_that_outlives_its_parent_does_not_keep_the_game(transport):
    with agent(LEFT_BEHIND, transport=transport) as parent:
        assert parent.process.wait(20) == -signal.SIGKILL
        assert eventually(lambda: not is_running(parent.game_pid), 1.0 + AT_ONCE)
        parent.signal(signal.SIGKILL)


@pytest.mark.filterwarnings(
    "ignore:os.fork:RuntimeWarning"
)  # of JAX, if another test has loaded it
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_row_40_a_child_does_not_end_a_recording(play, tmp_path):
    path = tmp_path / "session.gbr"
    env = play(record=str(path))
    child = multiprocessing.get_context("fork").Process(target=env.close)
    child.start()
    child.join()
    assert child.exitcode == 0
    env.step(0)
    assert not Recording(path).summary().complete
    env.close()
    assert Recording(path).summary()[:4] == (5, 1, 1, True)
