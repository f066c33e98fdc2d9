"""The Merkle tree against its definition, against the vectors of RFC 6962's reference code, and against changes."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ledger import tree
from services.ledger.tree import Frontier, ListHashes

#: Leaves and roots of the reference implementation of RFC 6962 (the same tree as RFC 9162).
LEAVES = [
    b"", b"\x00", b"\x10", b"\x20\x21", b"\x30\x31", b"\x40\x41\x42\x43",
    b"\x50\x51\x52\x53\x54\x55\x56\x57", b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
]  # fmt: skip
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def definition(leaves: list[bytes]) -> bytes:
    """MTH of RFC 9162, 2.1.1, word by word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + definition(leaves[:k]) + definition(leaves[k:])).digest()


def hashed(count: int) -> list[bytes]:
    return [tree.leaf_hash(str(number).encode()) for number in range(count)]


def test_the_vectors_of_the_reference_implementation() -> None:
    grown = Frontier()
    for data, root in zip(LEAVES, ROOTS, strict=True):
        grown.append(tree.leaf_hash(data))
        assert grown.root().hex() == root


@pytest.mark.parametrize("count", [0, 1, 2, 3, 255, 256, 257, 700, 1024, 70_000])
def test_a_frontier_grown_or_read_has_the_root_of_the_definition(count: int) -> None:
    leaves = hashed(count)
    held = ListHashes(leaves)
    assert held.frontier.root() == definition(leaves)
    read = tree.frontier(held, count)
    assert (read.root(), read.hashes) == (held.frontier.root(), held.frontier.hashes)


@pytest.mark.parametrize(("held", "asked"), [(0, 1), (0, 255), (3, 4), (255, 256), (256, 257), (300, 511), (300, 600)])
def test_a_store_that_holds_fewer_leaves_gives_no_root(held: int, asked: int) -> None:
    with pytest.raises(ValueError, match="the log has no"):
        tree.frontier(ListHashes(hashed(held)), asked)


@given(st.integers(1, 1300), st.data())
def test_every_leaf_proves_its_inclusion_and_no_other(count: int, data: st.DataObject) -> None:
    leaves = hashed(count)
    held, index = ListHashes(leaves), data.draw(st.integers(0, count - 1))
    root = held.frontier.root()
    proof = tree.inclusion(held, index, count)
    assert tree.verify_inclusion(leaves[index], index, count, proof, root)
    assert not tree.verify_inclusion(tree.leaf_hash(b"x"), index, count, proof, root)
    assert not tree.verify_inclusion(leaves[index], index, count, [*proof, root], root)
    if count > 1:
        other = data.draw(st.integers(0, count - 1).filter(lambda n: n != index))
        assert not tree.verify_inclusion(leaves[index], other, count, proof, root)
        assert not tree.verify_inclusion(leaves[index], index, count, proof[:-1], root)


@given(st.integers(1, 1300), st.data())
def test_a_prefix_is_consistent_and_a_fork_is_not(count: int, data: st.DataObject) -> None:
    leaves = hashed(count)
    first = data.draw(st.integers(1, count))
    old, new = ListHashes(leaves[:first]).frontier.root(), ListHashes(leaves).frontier.root()
    proof = tree.consistency(ListHashes(leaves), first, count)
    assert tree.verify_consistency(first, old, count, new, proof)
    forked = [*leaves[: first - 1], tree.leaf_hash(b"x")]
    assert not tree.verify_consistency(first, ListHashes(forked).frontier.root(), count, new, proof)
    if proof:
        assert not tree.verify_consistency(first, old, count, new, [tree.leaf_hash(b"y"), *proof[1:]])
        assert not tree.verify_consistency(first, old, count, new, proof[:-1])


def test_what_is_not_there_has_no_proof() -> None:
    held = ListHashes(hashed(5))
    for index in (-1, 5):
        with pytest.raises(IndexError):
            tree.inclusion(held, index, 5)
    for first, second in ((0, 5), (6, 5)):
        with pytest.raises(IndexError):
            tree.consistency(held, first, second)
    assert not tree.verify_inclusion(hashed(1)[0], 3, 2, [], hashed(1)[0])
    assert tree.verify_consistency(0, tree.EMPTY, 5, held.frontier.root(), [])
    assert not tree.verify_consistency(0, held.frontier.root(), 5, held.frontier.root(), [])
