"""Edits that a ledger shows by itself, or against a checkpoint that somebody kept."""

from __future__ import annotations

import json

import pytest
from tests.benchmarks.ledgers import body, eight, lines, refused

from tropism.benchmarks.canonical import encode
from tropism.benchmarks.ledger import Ledger, LedgerError
from tropism.benchmarks.merkle import MerkleTree


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.jsonl"


@pytest.fixture
def ledger(path):
    return eight(path)


def write(path, entries):
    path.write_bytes(b"".join(line + b"\n" for line in entries))


def edited(line, **changes):
    return encode(json.loads(line) | changes)


# --- attacks that the entries alone show


@pytest.mark.parametrize("seq", range(7))
def test_an_edited_entry_is_seen(ledger, path, seq):
    entries = lines(path)
    entries[seq] = edited(entries[seq], body=body(99))
    write(path, entries)
    refused(path, seq, "edited")
    with pytest.raises(LedgerError):
        ledger.verify()


def test_an_edited_first_entry_is_seen(ledger, path):
    entries = lines(path)
    entries[0] = edited(entries[0], kind="genesis")
    write(path, entries)
    refused(path, 0, "its hash is not the one entry 1 names")


def test_a_first_entry_that_names_a_predecessor_is_seen(ledger, path):
    entries = lines(path)
    entries[0] = edited(entries[0], prev="1" * 64)
    write(path, entries)
    refused(path, 0, "64 zeros")


@pytest.mark.parametrize(
    ("place", "seq"), [(5, 4), (5, 6), (5, -1), (5, "5"), (5, None), (1, True), (0, False)]
)
def test_a_sequence_number_out_of_order_is_seen(ledger, path, place, seq):
    entries = lines(path)
    entries[place] = edited(entries[place], seq=seq)
    write(path, entries)
    refused(path, place, "missing, repeated or out of order")


def test_a_missing_sequence_number_is_seen(ledger, path):
    entries = lines(path)
    del entries[5]
    write(path, entries)
    refused(path, 5, "its seq is 6: entries are missing")
    write(path, entries[1:])
    refused(path, 0, "its seq is 1: entries are missing")


def test_a_repeated_entry_is_seen(ledger, path):
    entries = lines(path)
    write(path, [*entries, entries[-1]])
    refused(path, 8, "its seq is 7: entries are missing, repeated")


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b'"0.4"', b"NaN", "NaN is no integer"),
        (b'"0.4"', b"0.4", "0.4 is no integer"),
        (b'"agent":"ppo"', b'"agent":"ppo","agent":"ppo"', "'agent' occurs twice"),
        (b'"v":1', b'"v":1,"v":1', "'v' occurs twice"),
        (b'"v":1', b'"v":2', "format version 2"),
        (b'"v":1', b'"v":true', "format version True"),
        (b'"v":1', b'"w":1', "exactly the keys"),
        (b'"kind":"score"', b'"kind":""', "kind is ''"),
        (b'"kind":"score"', b'"kind": "score"', "white space"),
        (b'"ts":"2', b'"ts":"x', "ts is"),
        (b'"agent":"ppo"', b'"agent":"ppo', "delimiter|control character|Expecting"),
    ],
)
def test_an_entry_that_is_no_canonical_json_is_seen(ledger, path, old, new, reason):
    entries = lines(path)
    assert old in entries[4]
    entries[4] = entries[4].replace(old, new)
    write(path, entries)
    refused(path, 4, reason)


def test_a_body_that_is_no_object_or_an_empty_line_is_seen(ledger, path):
    entries = lines(path)
    write(path, [*entries[:4], edited(entries[4], body=[]), *entries[5:]])
    refused(path, 4, "body is a list")
    write(path, [*entries[:4], b"", *entries[4:]])
    refused(path, 4, "Expecting value")


def test_repeating_the_last_leaf_changes_the_root():
    # The duplicate-leaf collision: with odd levels padded, 3 leaves and 4 would share one root.
    entries = [b"a", b"b", b"c"]
    padded, plain = MerkleTree(), MerkleTree()
    for entry in entries:
        plain.append(entry)
        padded.append(entry)
    padded.append(b"c")
    assert padded.root() != plain.root()


def test_changing_what_was_passed_in_or_handed_out_changes_nothing(path):
    ledger, mine = Ledger.open(path, create=True), body(1)
    ledger.append("score", mine)
    mine["metrics"]["score"] = "1.0"
    ledger[0]["body"]["seeds"].append(7)
    next(iter(ledger))["kind"] = "forged"
    ledger.append("score", mine)
    assert ledger[0]["body"] == body(1)
    assert ledger[0]["kind"] == "score"
    assert ledger.verify().size == 2


# --- attacks that only a retained checkpoint, or what was read before, shows


def test_a_truncated_tail_is_seen_against_a_retained_checkpoint(ledger, path):
    kept = ledger.checkpoint()
    write(path, lines(path)[:5])
    left = Ledger.open(path)  # consistent in itself
    with pytest.raises(LedgerError, match="tail was truncated") as caught:
        left.verify(checkpoints=[kept])
    assert caught.value.seq == 5


def test_a_full_rewrite_with_new_hashes_is_seen_against_a_retained_checkpoint(ledger, path):
    kept = [ledger.checkpoint(2), ledger.checkpoint()]
    honest = [entry["body"] for entry in ledger]
    path.unlink()
    forged = Ledger.open(path, create=True)
    forged.extend([("score", entry) for entry in [*honest[:4], body(99), *honest[5:]]])
    assert forged.verify().size == 8  # consistent in itself
    with pytest.raises(LedgerError, match="history was rewritten"):
        forged.verify(checkpoints=kept)


def test_an_edit_of_the_last_entry_is_seen_against_the_published_checkpoint(ledger, path):
    ledger.publish()
    entries = lines(path)
    write(path, [*entries[:-1], edited(entries[-1], body=body(99))])
    refused(path, 0, "history was rewritten")


def test_the_first_entry_no_checkpoint_vouches_for_is_named(ledger, path):
    kept = [ledger.checkpoint(size) for size in (8, 6, 3)]
    entries = lines(path)
    write(path, [*entries[:-1], edited(entries[-1], body=body(99))])
    with pytest.raises(LedgerError, match="it or one up to 7") as caught:
        Ledger.open(path).verify(checkpoints=kept)
    assert caught.value.seq == 6


def test_a_removed_ledger_is_seen_against_the_published_checkpoint(ledger, path):
    ledger.publish()
    path.unlink()
    refused(path, 0, "covers 8 entries, 0 are left", create=True)


def test_an_open_ledger_sees_changes_made_behind_its_back(ledger, path):
    entries = lines(path)
    write(path, [*entries[:-1], edited(entries[-1], body=body(9))])
    with pytest.raises(LedgerError, match="not what was read or written before") as caught:
        ledger.verify()
    assert caught.value.seq == 7
    write(path, entries[:6])
    with pytest.raises(LedgerError, match="tail truncated") as caught:
        ledger.verify()
    assert caught.value.seq == 6
    with pytest.raises(LedgerError, match="shorter"):
        ledger.append("score", body(1))
    assert lines(path) == entries[:6]


def test_a_checkpoint_is_not_replaced_by_one_that_contradicts_it(ledger, path):
    ledger.publish()
    published = ledger.checkpoint_path.read_text()
    ledger.checkpoint_path.unlink()
    write(path, lines(path)[:5])
    left = Ledger.open(path)
    ledger.checkpoint_path.write_text(published)
    with pytest.raises(LedgerError, match="truncated"):
        left.publish()
    assert ledger.checkpoint_path.read_text() == published
