from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap

import pytest

from tropism.agents.runs import Run, read_metrics

KILLED = -getattr(signal, "SIGKILL", -1)
"""Exit status of a process after ``kill()``; where there are no signals it is 1."""
TRAINER = """
    import sys, time
    from tropism.agents.runs import Run, write_atomic
    with Run(sys.argv[1], {"seed": 1}) as run:
        latest = run.latest_checkpoint()
        step = int(latest.name) if latest else 0
        assert latest is None or (latest / "w").read_text() == str(step) * 1000
        print("open", step, flush=True)
        while True:
            step += 1
            run.log(step, value=step)
            with run.checkpoint_dir(step) as work:
                (work / "w").write_text(str(step) * 1000)
                if len(sys.argv) > 2 and step % 3 == 0:
                    print("inside", step, flush=True)
                    time.sleep(60)
"""


def python(code, *arguments):
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.run(command, env=environment(), capture_output=True, text=True)


def environment():
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def trainer(directory, *arguments):
    command = [sys.executable, "-c", textwrap.dedent(TRAINER), str(directory), *arguments]
    return subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


def test_killed_inside_a_checkpoint_resumes_from_the_one_before(tmp_path):
    with trainer(tmp_path / "run", "stop") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open 0\n"
        assert process.stdout.readline() == "inside 3\n"
        process.kill()
    assert process.returncode == KILLED
    assert list((tmp_path / "run" / "checkpoints").glob(".tmp-*"))
    with Run(tmp_path / "run", {"seed": 1}) as run:
        assert run.checkpoint_steps() == [1, 2]
        assert [row["step"] for row in run.metrics()] == [1, 2, 3]
    with trainer(tmp_path / "run", "stop") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open 2\n"
        process.kill()


def test_killed_anywhere_resumes(tmp_path):
    steps = 0
    for delay in (0.0, 0.05, 0.13):
        with trainer(tmp_path / "run") as process:
            assert process.stdout is not None
            word, step = process.stdout.readline().split()
            assert word == "open"
            assert int(step) >= steps
            try:
                process.wait(delay)
            except subprocess.TimeoutExpired:
                process.kill()
        assert process.returncode == KILLED
        with Run(tmp_path / "run", {"seed": 1}) as run:
            latest = run.latest_checkpoint()
            steps = int(latest.name) if latest else 0
            logged = [row["step"] for row in run.metrics()]
            assert logged == list(range(1, len(logged) + 1))
            assert steps <= len(logged) <= steps + 1
            assert not list((tmp_path / "run" / "checkpoints").glob(".tmp-*"))


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT cannot be sent to one process")
def test_interrupt_exits_non_zero_with_artifacts_intact(tmp_path):
    with trainer(tmp_path / "run", "stop") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open 0\n"
        assert process.stdout.readline() == "inside 3\n"
        process.send_signal(signal.SIGINT)
    assert process.returncode != 0
    assert not list((tmp_path / "run" / "checkpoints").glob(".tmp-*"))
    with Run(tmp_path / "run", {"seed": 1}) as run:
        latest = run.latest_checkpoint()
        assert latest is not None
        assert latest.name == f"{2:012d}"


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are a POSIX matter")
def test_run_on_a_disk_that_fills_up_keeps_what_it_had(tmp_path):
    code = """
        import resource, signal, sys
        from tropism.agents.runs import Run, write_atomic
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        with Run(sys.argv[1], {"seed": 1}) as run:
            for step in range(1, 1000):
                run.log(step, value=step)
                if step == 5:
                    with run.checkpoint_dir(5) as work:
                        write_atomic(work / "w", b"x" * 10)
                    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    """
    done = python(code, tmp_path / "run")
    assert done.returncode != 0
    assert "File too large" in done.stderr
    rows = read_metrics(tmp_path / "run")
    assert [row["step"] for row in rows] == list(range(1, len(rows) + 1))
    assert len(rows) > 5
    with Run(tmp_path / "run", {"seed": 1}) as run:
        latest = run.latest_checkpoint()
        assert latest is not None
        assert int(latest.name) == 5
        run.log(6, value=6)
