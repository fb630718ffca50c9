from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tropism.benchmarks.merkle import (
    MerkleTree,
    leaf_hash,
    node_hash,
    verify_consistency,
    verify_inclusion,
)
from tropism.errors import OptionError, UnknownNameError

# The reference tree of Certificate Transparency (transparency-dev/merkle, package testonly):
# eight inputs and the SHA-256 roots of their prefixes.
CT_INPUTS = [
    bytes.fromhex(text)
    for text in [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ]
]
CT_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
A = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
B = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
C = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
D = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
E = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
F = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
G = "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f"
CT_INCLUSION = [
    (0, 1, []),
    (0, 8, [A, B, C]),
    (5, 8, [D, E, CT_ROOTS[4]]),
    (2, 3, [CT_ROOTS[2]]),
    (1, 5, [CT_ROOTS[1], B, D]),
]
CT_CONSISTENCY = [
    (1, 1, []),
    (1, 8, [A, B, C]),
    (6, 8, [F, E, CT_ROOTS[4]]),
    (2, 5, [B, D]),
    (6, 7, [F, G, CT_ROOTS[4]]),
]


def grow(inputs, algorithm="sha3_256"):
    tree = MerkleTree(algorithm)
    for data in inputs:
        tree.append(data)
    return tree


def slow_root(inputs, algorithm):
    """MTH of RFC 9162, section 2.1.1, copied from its recursive definition."""
    digest = getattr(hashlib, algorithm)
    if not inputs:
        return digest(b"").digest()
    if len(inputs) == 1:
        return digest(b"\x00" + inputs[0]).digest()
    k = 1
    while 2 * k < len(inputs):
        k *= 2
    left, right = slow_root(inputs[:k], algorithm), slow_root(inputs[k:], algorithm)
    return digest(b"\x01" + left + right).digest()


@pytest.fixture(scope="module")
def ct():
    return grow(CT_INPUTS, "sha256")


@pytest.mark.parametrize("size", range(9))
def test_roots_of_the_certificate_transparency_reference_tree(ct, size):
    assert ct.root(size).hex() == CT_ROOTS[size]


@pytest.mark.parametrize(("index", "size", "path"), CT_INCLUSION)
def test_reference_inclusion_proofs(ct, index, size, path):
    proof = ct.inclusion_proof(index, size)
    assert [node.hex() for node in proof] == path
    root = bytes.fromhex(CT_ROOTS[size])
    assert verify_inclusion(
        leaf_hash(CT_INPUTS[index], "sha256"), index, size, proof, root, "sha256"
    )


@pytest.mark.parametrize(("old", "new", "path"), CT_CONSISTENCY)
def test_reference_consistency_proofs(ct, old, new, path):
    proof = ct.consistency_proof(old, new)
    assert [node.hex() for node in proof] == path
    old_root, root = (bytes.fromhex(CT_ROOTS[size]) for size in (old, new))
    assert verify_consistency(old, new, old_root, root, proof, "sha256")


@pytest.mark.parametrize("algorithm", ["sha3_256", "sha256"])
def test_every_earlier_root_equals_the_recursive_definition(algorithm):
    inputs = [str(i).encode() for i in range(70)]
    tree = grow(inputs, algorithm)
    for size in range(71):
        assert tree.root(size) == slow_root(inputs[:size], algorithm)


def test_every_proof_up_to_33_leaves_verifies_and_is_short():
    inputs = [bytes([i]) for i in range(33)]
    tree = grow(inputs)
    for size in range(1, 34):
        for i in range(size):
            proof = tree.inclusion_proof(i, size)
            assert len(proof) <= (size - 1).bit_length()
            assert verify_inclusion(tree.leaf(i), i, size, proof, tree.root(size))
        for old in range(size + 1):
            proof = tree.consistency_proof(old, size)
            assert len(proof) <= (size - 1).bit_length() + 1
            assert verify_consistency(old, size, tree.root(old), tree.root(size), proof)


def test_three_leaves_and_three_with_the_last_repeated_have_different_roots():
    # The duplicate-leaf collision of trees that pad an odd level (CVE-2012-2459) cannot happen.
    assert grow([b"a", b"b", b"c"]).root() != grow([b"a", b"b", b"c", b"c"]).root()


def test_an_inner_node_cannot_pass_as_a_leaf():
    tree = grow([b"a", b"b"])
    assert grow([tree.leaf(0) + tree.leaf(1)]).root() != tree.root()
    assert node_hash(tree.leaf(0), tree.leaf(1)) == tree.root()


def mutated(proof, draw):
    """One of: a flipped bit, a dropped node, a repeated node, an added node, two swapped nodes."""
    proof = list(proof)
    kind = draw(st.sampled_from(["flip", "drop", "repeat", "add", "swap"] if proof else ["add"]))
    at = draw(st.integers(0, max(len(proof) - 1, 0)))
    if kind == "flip":
        bit = draw(st.integers(0, 255))
        proof[at] = (int.from_bytes(proof[at]) ^ (1 << bit)).to_bytes(32)
    elif kind == "drop":
        del proof[at]
    elif kind == "repeat":
        proof.insert(at, proof[at])
    elif kind == "add":
        proof.insert(at, draw(st.binary(min_size=32, max_size=32)))
    else:
        proof[0], proof[at] = proof[at], proof[0]
    return proof


TREE = grow([i.to_bytes(2) for i in range(200)])


@given(st.data())
def test_a_mutated_inclusion_proof_is_refused(data):
    size = data.draw(st.integers(1, 200))
    index = data.draw(st.integers(0, size - 1))
    proof = TREE.inclusion_proof(index, size)
    other = mutated(proof, data.draw)
    accepted = verify_inclusion(TREE.leaf(index), index, size, other, TREE.root(size))
    assert accepted == (other == proof)


@given(st.data())
def test_a_mutated_consistency_proof_is_refused(data):
    size = data.draw(st.integers(1, 200))
    old = data.draw(st.integers(0, size))
    proof = TREE.consistency_proof(old, size)
    other = mutated(proof, data.draw)
    accepted = verify_consistency(old, size, TREE.root(old), TREE.root(size), other)
    assert accepted == (other == proof)


@given(st.data())
def test_a_proof_for_another_place_or_another_root_is_refused(data):
    size = data.draw(st.integers(2, 200))
    index, other = data.draw(
        st.lists(st.integers(0, size - 1), min_size=2, max_size=2, unique=True)
    )
    proof, root = TREE.inclusion_proof(index, size), TREE.root(size)
    assert not verify_inclusion(TREE.leaf(index), other, size, proof, root)
    assert not verify_inclusion(TREE.leaf(other), index, size, proof, root)
    assert not verify_inclusion(TREE.leaf(index), index, size, proof, TREE.root(size - 1))
    consistency = TREE.consistency_proof(index, size)
    assert not verify_consistency(index, size, TREE.root(other), root, consistency)


def test_impossible_positions_are_refused():
    root = TREE.root(4)
    assert not verify_inclusion(TREE.leaf(0), 4, 4, [], root)
    assert not verify_inclusion(TREE.leaf(3), -1, 4, TREE.inclusion_proof(3, 4), root)
    assert not verify_consistency(5, 4, TREE.root(5), root, [])
    assert not verify_consistency(3, 4, TREE.root(3), root, [])


def test_a_proof_of_another_length_than_the_size_asks_for_is_refused():
    # Each hashes up to the root given; only the number of steps gives it away.
    one, two = TREE.root(1), TREE.root(2)
    assert not verify_inclusion(TREE.leaf(0), 0, 1000, [], one)
    assert not verify_inclusion(TREE.leaf(1), 0, 1, [TREE.leaf(0)], two)
    assert not verify_consistency(1, 1000, one, one, [])
    seven, eight = TREE.root(7), TREE.root(8)
    assert verify_consistency(7, 8, seven, eight, TREE.consistency_proof(7, 8))
    assert not verify_consistency(3, 4, seven, eight, TREE.consistency_proof(7, 8))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: t.root(4), "size=4"),
        (lambda t: t.inclusion_proof(3), "index=3"),
        (lambda t: t.inclusion_proof(-1), "index=-1"),
        (lambda t: t.consistency_proof(3, 2), "old_size=3"),
        (lambda t: t.leaf(9), "index=9"),
    ],
)
def test_out_of_range_requests_name_the_field_and_the_range(call, message):
    with pytest.raises(OptionError, match=message):
        call(grow([b"a", b"b", b"c"]))


def test_unknown_algorithm_suggests_the_known_ones():
    with pytest.raises(UnknownNameError, match="sha3_256"):
        MerkleTree("sha3-256")
