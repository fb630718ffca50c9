"""Checkpoints as text, and signatures on them."""

from __future__ import annotations

import base64
import os
import stat
from dataclasses import replace

import pytest

from tropism.benchmarks import signing
from tropism.benchmarks.checkpoint import Checkpoint, parse_checkpoint
from tropism.benchmarks.ledger import Ledger, LedgerError
from tropism.errors import ArtifactError, OptionError

ed25519 = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ed25519")

# The reference example of signed notes: package golang.org/x/mod/sumdb/note, doc comment.
GO_PUBLIC = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_PRIVATE = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
GO_TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
GO_SIGNATURE = (
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdn"
    "gotpRZb6KE6RyyBwJnAM="
)
CHECKPOINT = Checkpoint(3, "ab" * 32, "2026-01-31T12:00:00Z")


@pytest.fixture
def ledger(tmp_path):
    ledger = Ledger.open(tmp_path / "ledger.jsonl", create=True)
    ledger.extend([("note", {"i": i}) for i in range(5)])
    return ledger


@pytest.fixture
def key_path(tmp_path):
    return tmp_path / "keys" / "ledger.pem"


def test_signatures_are_those_of_go_signed_notes():
    key = ed25519.Ed25519PrivateKey.from_private_bytes(base64.b64decode(GO_PRIVATE)[1:])
    assert signing.verifier_key(key, "PeterNeumann") == GO_PUBLIC
    assert signing.sign(GO_TEXT, key, "PeterNeumann") == GO_SIGNATURE
    assert signing.verify(GO_TEXT, [GO_SIGNATURE], GO_PUBLIC)
    assert not signing.verify(GO_TEXT.replace("think", "thinK"), [GO_SIGNATURE], GO_PUBLIC)


@pytest.mark.parametrize("signatures", [(), (GO_SIGNATURE,), (GO_SIGNATURE, "— other AAAA=")])
def test_checkpoint_text_comes_back(signatures):
    checkpoint = replace(CHECKPOINT, signatures=signatures)
    assert parse_checkpoint(str(checkpoint)) == checkpoint


def test_checkpoint_text_is_the_documented_one():
    root = base64.b64encode(b"\xab" * 32).decode()
    assert str(CHECKPOINT) == f"tropism/leaderboard\n3\n{root}\n2026-01-31T12:00:00Z\n"


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[:-1],
        lambda text: text.replace("tropism/", "other/"),
        lambda text: text.replace("\n3\n", "\n03\n"),
        lambda text: text.replace("\n3\n", "\n-3\n"),
        lambda text: text.replace("q6ur", "q6u"),
        lambda text: text.replace("Z", ""),
        lambda text: text + "extra\n",
        lambda text: text + "\n- name AAAA\n",
    ],
)
def test_a_damaged_checkpoint_is_refused(damage):
    with pytest.raises(ArtifactError, match="not a checkpoint"):
        parse_checkpoint(damage(str(CHECKPOINT)))


def test_a_ledger_refuses_a_damaged_published_checkpoint(ledger):
    ledger.publish()
    ledger.checkpoint_path.write_text(ledger.checkpoint_path.read_text()[:-5])
    with pytest.raises(ArtifactError, match="not a checkpoint"):
        Ledger.open(ledger.path)


def test_the_key_is_made_once_and_for_its_owner_only(key_path):
    first, again = signing.load_key(key_path), signing.load_key(key_path)
    assert signing.verifier_key(first) == signing.verifier_key(again)
    if os.name == "posix":
        assert stat.S_IMODE(key_path.stat().st_mode) == 0o600


@pytest.mark.skipif(os.name != "posix", reason="file modes are a POSIX feature")
def test_a_key_that_others_may_read_is_refused(key_path):
    signing.load_key(key_path)
    key_path.chmod(0o644)
    with pytest.raises(ArtifactError, match="chmod 600"):
        signing.load_key(key_path)


def test_a_file_that_is_no_key_is_refused(key_path):
    key_path.parent.mkdir()
    key_path.write_text("not a key")
    key_path.chmod(0o600)
    with pytest.raises(ArtifactError, match="no unencrypted PEM private key"):
        signing.load_key(key_path)


def test_a_published_signature_verifies(ledger, key_path):
    published = ledger.publish(key_path)
    assert parse_checkpoint(ledger.checkpoint_path.read_text(encoding="utf-8")) == published
    report = ledger.verify(public_key=signing.verifier_key(signing.load_key(key_path)))
    assert (report.checkpoints, report.signatures) == (1, 1)


def test_a_checkpoint_edited_after_signing_is_seen(ledger, key_path):
    ledger.publish(key_path)
    public = signing.verifier_key(signing.load_key(key_path))
    text = ledger.checkpoint_path.read_text(encoding="utf-8")
    year = text.index("\n20") + 1
    edited = text[:year] + "1999" + text[year + 4 :]
    ledger.checkpoint_path.write_text(edited, encoding="utf-8")
    with pytest.raises(LedgerError, match="no valid signature"):
        ledger.verify(public_key=public)


def test_a_rewritten_ledger_with_a_new_unsigned_or_foreign_checkpoint_is_seen(
    ledger, key_path, tmp_path
):
    public = signing.verifier_key(signing.load_key(key_path))
    ledger.publish()
    with pytest.raises(LedgerError, match="no valid signature"):
        ledger.verify(public_key=public)
    ledger.publish(tmp_path / "foreign.pem")
    with pytest.raises(LedgerError, match="no valid signature"):
        ledger.verify(public_key=public)


@pytest.mark.parametrize("other", [None, "foreign.pem"])
def test_a_signed_checkpoint_is_replaced_only_by_its_signer(ledger, key_path, tmp_path, other):
    ledger.publish(key_path)
    before = ledger.checkpoint_path.read_text(encoding="utf-8")
    ledger.append("note", {"i": 5})
    with pytest.raises(OptionError, match=r"is signed, and .* --sign KEYFILE"):
        ledger.publish(other and tmp_path / other)
    assert ledger.checkpoint_path.read_text(encoding="utf-8") == before
    ledger.publish(key_path)
    public = signing.verifier_key(signing.load_key(key_path))
    assert ledger.verify(public_key=public).size == 6


def test_without_any_checkpoint_a_public_key_vouches_for_nothing(ledger, key_path):
    public = signing.verifier_key(signing.load_key(key_path))
    with pytest.raises(LedgerError, match="no checkpoint is published"):
        ledger.verify(public_key=public)


@pytest.mark.parametrize(
    "line", ["", "name", GO_PUBLIC[:-4], GO_PUBLIC.replace("c74f", "c74e"), GO_PUBLIC + "é"]
)
def test_a_malformed_public_key_is_refused(line):
    with pytest.raises(OptionError, match="no Ed25519 verifier key"):
        signing.verify(GO_TEXT, [GO_SIGNATURE], line)


def test_foreign_and_malformed_signature_lines_are_passed_over():
    lines = ["", "— PeterNeumann !!!", "— PeterNeumann AAAA", GO_SIGNATURE.replace("Peter", "Paul")]
    assert not signing.verify(GO_TEXT, lines, GO_PUBLIC)
    assert signing.verify(GO_TEXT, [*lines, GO_SIGNATURE], GO_PUBLIC)


def test_a_signature_under_another_key_id_is_passed_over():
    blob = bytearray(base64.b64decode(GO_SIGNATURE.split()[-1]))
    blob[0] ^= 1
    line = f"— PeterNeumann {base64.b64encode(blob).decode()}"
    assert not signing.verify(GO_TEXT, [line], GO_PUBLIC)


def test_a_missing_cryptography_package_names_the_extra(monkeypatch, key_path):
    monkeypatch.setattr(signing, "find_spec", lambda name: None)
    with pytest.raises(OptionError, match=r"tropism\[sign\]"):
        signing.load_key(key_path)
