"""``tropism ledger`` and ``leaderboard run --sign``: signing, proving and repairing from the command line."""

from __future__ import annotations

import json

import pytest

from tropism.benchmarks.cli import run
from tropism.benchmarks.ledger import Ledger
from tropism.benchmarks.merkle import leaf_hash, verify_consistency, verify_inclusion

pytest.importorskip("cryptography")


@pytest.fixture
def book(tmp_path):
    """Five entries, nothing published."""
    ledger = Ledger.open(tmp_path / "ledger.jsonl", create=True)
    ledger.extend([("note", {"i": i}) for i in range(5)])
    return ledger


def nodes(proof):
    return [bytes.fromhex(node) for node in proof["path"]]


def test_sign_prints_the_key_that_verifies(book, tmp_path, capsys):
    key = str(tmp_path / "key.pem")
    assert run(["ledger", "sign", str(book.path), "--key", key]) == 0
    public = capsys.readouterr().out.strip()
    assert public.startswith("tropism/leaderboard+")
    assert run(["ledger", "verify", str(book.path), "--public-key", public]) == 0
    assert "1 signature(s) checked" in capsys.readouterr().out
    assert run(["ledger", "sign", str(book.path), "--key", str(tmp_path / "other.pem")]) == 2
    assert "not by" in capsys.readouterr().err


def test_the_proof_of_an_entry_verifies_without_the_ledger(book, capsys):
    assert run(["ledger", "prove", str(book.path), "3"]) == 0
    proof = json.loads(capsys.readouterr().out)
    assert json.loads(proof["entry"])["body"] == {"i": 3}
    leaf, root = leaf_hash(proof["entry"].encode()), bytes.fromhex(book.checkpoint().root)
    assert (leaf.hex(), root.hex()) == (proof["leaf"], proof["root"])
    assert verify_inclusion(leaf, proof["seq"], proof["size"], nodes(proof), root)
    assert not verify_inclusion(leaf_hash(b"{}"), 3, 5, nodes(proof), root)


def test_the_proof_of_growth_verifies_without_the_ledger(book, tmp_path, capsys):
    kept = tmp_path / "kept"
    kept.write_text(str(book.checkpoint()), encoding="utf-8")
    book.extend([("note", {"i": i}) for i in range(5, 9)])
    assert run(["ledger", "prove", str(book.path), "--since", str(kept)]) == 0
    proof = json.loads(capsys.readouterr().out)
    old, new = (bytes.fromhex(proof[name]) for name in ("old_root", "root"))
    assert verify_consistency(proof["old_size"], proof["size"], old, new, nodes(proof))
    assert (proof["old_size"], proof["size"]) == (5, 9)


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [(["9"], "holds 5 entries"), ([], "either an entry SEQ"), (["1", "--since", "x"], "either")],
)
def test_a_proof_of_nothing_is_refused(book, capsys, arguments, hint):
    assert run(["ledger", "prove", str(book.path), *arguments]) == 2
    assert hint in capsys.readouterr().err


def test_an_unfinished_line_is_moved_aside_on_request(book, capsys):
    whole = book.path.read_bytes()
    book.path.write_bytes(whole + b'{"bo')
    assert run(["ledger", "verify", str(book.path)]) == 1
    assert "--repair" in capsys.readouterr().err
    assert run(["ledger", "verify", str(book.path), "--repair"]) == 0
    assert book.path.read_bytes() == whole


def test_a_signed_board_stays_signed(small_suite, tmp_path, capsys):
    out, key = tmp_path / "board", str(tmp_path / "key.pem")
    command = ["leaderboard", "run", "small", "--out", str(out), "--workers", "1"]
    assert run([*command, "--sign", key]) == 0
    checkpoint = out / "ledger" / "ledger.jsonl.checkpoint"
    assert "\n— tropism/leaderboard " in checkpoint.read_text(encoding="utf-8")
    capsys.readouterr()
    assert run([*command, "--agents", "last-difference"]) == 2
    assert "is signed, and no key was given" in capsys.readouterr().err
    assert len(list((out / "cells").glob("*.json"))) == 2  # refused before anything was played
    assert run([*command, "--sign", key]) == 0
