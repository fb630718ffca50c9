"""The ledger among processes: killed writers, concurrent writers, a full disk."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from tropism.benchmarks.journal import Journal
from tropism.benchmarks.ledger import Ledger, LedgerError
from tropism.errors import ArtifactError

WRITE_FOREVER = """
import sys
from tropism.benchmarks.ledger import Ledger
ledger = Ledger.open(sys.argv[1], create=True)
while True:
    batch = ledger.extend([("note", {"pad": "x" * 200_000}), ("note", {"pad": "y" * 200_000})])
    print(batch[-1], flush=True)
"""

WRITE_MANY = """
import sys
from tropism.benchmarks.ledger import Ledger
ledger = Ledger.open(sys.argv[1], create=True)
for i in range(25):
    ledger.append("note", {"who": sys.argv[2], "i": i})
"""

WRITE_UNDER_A_LIMIT = """
import resource, sys
from tropism.benchmarks.ledger import Ledger, LedgerError
ledger = Ledger.open(sys.argv[1])
limit = ledger.path.stat().st_size + 1_111
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    ledger.extend([("note", {"pad": "x" * 100}) for _ in range(50)])
except LedgerError as error:
    print(error)
    ledger.append("note", {"after": "the failure"})
"""

# SIGXFSZ, left at its default, ends the process in the middle of a write.
DIE_IN_THE_MIDDLE = """
import resource, signal, sys
from tropism.benchmarks.ledger import Ledger
ledger = Ledger.open(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
limit = ledger.path.stat().st_size + 1_111
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
ledger.extend([("note", {"pad": "x" * 100}) for _ in range(50)])
"""


def start(code, *arguments):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )


def test_what_was_acknowledged_survives_kill_minus_nine(tmp_path):
    path = tmp_path / "ledger.jsonl"
    for attempt in range(6):
        with start(WRITE_FOREVER, path) as writer:
            assert writer.stdout is not None
            acknowledged = int(writer.stdout.readline())
            time.sleep(0.003 * attempt)
            writer.kill()
            for line in writer.stdout:
                acknowledged = int(line)
        assert len(Ledger.open(path, repair=True)) > acknowledged
    ledger = Ledger.open(path)
    assert len(ledger) >= 12
    assert [entry["body"]["pad"][0] for entry in ledger][:2] == ["x", "y"]


@pytest.mark.skipif(os.name != "posix", reason="file size limits are a POSIX feature")
def test_a_writer_killed_in_the_middle_of_a_line_leaves_what_was_acknowledged(tmp_path):
    path = tmp_path / "ledger.jsonl"
    acknowledged = Ledger.open(path, create=True).extend([("note", {"i": i}) for i in range(5)])
    before = path.read_bytes()
    with start(DIE_IN_THE_MIDDLE, path) as writer:
        assert writer.wait(60) < 0
    torn = path.read_bytes()
    assert len(torn) == len(before) + 1_111
    with pytest.raises(LedgerError, match="unfinished"):
        Ledger.open(path)
    assert path.read_bytes() == torn
    ledger = Ledger.open(path, repair=True)
    assert [ledger[seq]["body"]["i"] for seq in acknowledged] == list(range(5))
    aside = next(tmp_path.glob("*.torn-*"))
    assert path.read_bytes() + aside.read_bytes() == torn
    assert ledger.append("note", {}) == len(Ledger.open(path)) - 1


def test_two_processes_append_to_one_ledger(tmp_path):
    path = tmp_path / "ledger.jsonl"
    writers = [start(WRITE_MANY, path, who) for who in "ab"]
    for writer in writers:
        with writer:
            assert writer.wait(60) == 0
    bodies = [entry["body"] for entry in Ledger.open(path)]
    assert len(bodies) == 50
    for who in "ab":
        assert [b["i"] for b in bodies if b["who"] == who] == list(range(25))


@pytest.mark.skipif(os.name != "posix", reason="file size limits are a POSIX feature")
def test_a_full_disk_leaves_the_entries_before_intact(tmp_path):
    path = tmp_path / "ledger.jsonl"
    ledger = Ledger.open(path, create=True)
    ledger.extend([("note", {"i": i}) for i in range(5)])
    before = path.read_bytes()
    with start(WRITE_UNDER_A_LIMIT, path) as writer:
        output, _ = writer.communicate(timeout=60)
    assert "entry 5: not written" in output
    assert writer.returncode == 0
    assert path.read_bytes().startswith(before)
    assert [entry["body"] for entry in Ledger.open(path)][5:] == [{"after": "the failure"}]


def test_a_lock_that_is_never_released_is_reported(tmp_path):
    path = tmp_path / "ledger.jsonl"
    with (
        Journal(path).lock(),
        pytest.raises(ArtifactError, match="locked by another process"),
        Journal(path, timeout=0.05).lock(),
    ):
        pass


def test_a_reader_waits_for_the_writer_before_it_calls_a_line_torn(tmp_path, monkeypatch):
    path = tmp_path / "ledger.jsonl"
    ledger = Ledger.open(path, create=True)
    ledger.append("note", {})
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])  # the state halfway through a write ...
    acquire = Journal.lock

    def finishing(journal):
        path.write_bytes(whole)  # ... which ends while the reader waits for the lock
        return acquire(journal)

    monkeypatch.setattr(Journal, "lock", finishing)
    assert len(Ledger.open(path)) == 1


def test_a_crash_between_two_batches_is_no_damage(tmp_path):
    path = tmp_path / "ledger.jsonl"
    ledger = Ledger.open(path, create=True)
    ledger.extend([("note", {"i": i}) for i in range(4)])
    ledger.publish()
    ledger.append("note", {"i": 4})  # never published
    assert Ledger.open(path).verify().size == 5
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:3]))
    with pytest.raises(LedgerError, match="truncated"):
        Ledger.open(path)
