from __future__ import annotations

import errno
import os

import pytest

from tropism.agents.artifacts import sealed_directory, verify_sealed, write_atomic
from tropism.errors import ArtifactError


def snapshot(directory):
    return {p: p.read_bytes() for p in sorted(directory.rglob("*")) if p.is_file()}


def test_write_atomic_text_and_bytes(tmp_path):
    write_atomic(tmp_path / "a", "é")
    assert (tmp_path / "a").read_bytes() == b"\xc3\xa9"
    write_atomic(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a"]


def test_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    write_atomic(tmp_path / "a", "old")

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomic(tmp_path / "a", "new")
    with pytest.raises(OSError, match="No space left"), sealed_directory(tmp_path / "d") as work:
        (work / "f").write_text("x")
    assert os.listdir(tmp_path) == ["a"]
    assert (tmp_path / "a").read_text() == "old"


def sealed(tmp_path):
    with sealed_directory(tmp_path / "d") as work:
        (work / "a").write_bytes(b"aaaa")
        (work / "sub").mkdir()
        (work / "sub" / "b").write_bytes(b"bbbb")
        assert not (tmp_path / "d").exists()
    return tmp_path / "d"


def test_sealed_directory_is_verified(tmp_path):
    assert verify_sealed(sealed(tmp_path)) == tmp_path / "d"
    assert os.listdir(tmp_path) == ["d"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: (d / "a").write_bytes(b"aaab"), "'a' is edited or truncated"),
        (lambda d: (d / "sub" / "b").write_bytes(b"bb"), "'sub/b' is edited or truncated"),
        (lambda d: (d / "a").unlink(), "'a' is missing"),
        (lambda d: (d / "c").write_text("c"), "'c' is not part of it"),
        (lambda d: (d / "MANIFEST.json").unlink(), r"MANIFEST\.json is missing"),
        (lambda d: (d / "MANIFEST.json").write_text('{"sha'), r"MANIFEST\.json is damaged"),
        (lambda d: (d / "MANIFEST.json").write_text("[]"), "must hold a JSON object"),
        (lambda d: (d / "MANIFEST.json").write_text("{}"), "lists no checksums"),
    ],
)
def test_damaged_directory_is_refused(tmp_path, damage, message):
    directory = sealed(tmp_path)
    damage(directory)
    with pytest.raises(ArtifactError, match=message):
        verify_sealed(directory)


def test_sealed_directory_is_never_overwritten(tmp_path):
    directory = sealed(tmp_path)
    before = snapshot(directory)
    with (
        pytest.raises(ArtifactError, match="never overwritten"),
        sealed_directory(directory) as work,
    ):
        (work / "a").write_text("other")
    assert snapshot(directory) == before


def test_failure_while_filling_publishes_nothing(tmp_path):
    def interrupted():
        with sealed_directory(tmp_path / "d") as work:
            (work / "a").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert os.listdir(tmp_path) == []
