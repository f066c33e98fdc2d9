"""The Merkle tree of RFC 9162: hashes, roots, and proofs of inclusion and consistency.

Complete subtrees of 256, 256², … leaves are kept by the store; every other hash is computed from at most 255 of them,
so a proof in a log of ten million reads a few hundred hashes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Protocol

#: Hash of the empty tree (RFC 9162, 2.1.1).
EMPTY = hashlib.sha256(b"").digest()
#: Bits of one kept level: hashes of subtrees of 256**k leaves are stored.
WIDTH = 8


class Hashes(Protocol):
    """What the store gives: hashes of complete subtrees."""

    def read(self, height: int, start: int, count: int) -> Sequence[bytes]:
        """Hashes of `count` complete subtrees of 2**height leaves from number `start`; height is a multiple of WIDTH.

        Fewer where the store has fewer.
        """
        ...


def leaf_hash(data: bytes) -> bytes:
    """Hash of one leaf."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of two neighbouring subtrees."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def fold(hashes: Sequence[bytes]) -> bytes:
    """Root over complete subtrees of one height, whose number is a power of two."""
    level = list(hashes)
    while len(level) > 1:
        level = [node_hash(left, right) for left, right in zip(level[::2], level[1::2], strict=True)]
    return level[0]


class Frontier:
    """The complete subtrees that make up a log of `size` leaves, largest first; grows leaf by leaf.

    Args:
        hashes: one for each bit that is set in `size`, the highest bit first.
    """

    def __init__(self, size: int = 0, hashes: Iterable[bytes] = ()) -> None:
        self.size = size
        self.hashes = list(hashes)

    def append(self, leaf: bytes) -> list[tuple[int, int, bytes]]:
        """Add one leaf hash; return the subtrees to keep that it completed, as (height, number, hash)."""
        kept: list[tuple[int, int, bytes]] = []
        node, height, bits = leaf, 0, self.size
        while bits & 1:
            node = node_hash(self.hashes.pop(), node)
            height, bits = height + 1, bits >> 1
            if height % WIDTH == 0:
                kept.append((height, self.size >> height, node))
        self.hashes.append(node)
        self.size += 1
        return kept

    def root(self) -> bytes:
        """The tree hash of all leaves so far."""
        if not self.hashes:
            return EMPTY
        root = self.hashes[-1]
        for left in reversed(self.hashes[:-1]):
            root = node_hash(left, root)
        return root


def frontier(hashes: Hashes, size: int) -> Frontier:
    """The frontier of the first `size` leaves, read from the store."""
    return Frontier(size, [_complete(hashes, start, height) for start, height in _parts(0, size)])


def inclusion(hashes: Hashes, index: int, size: int) -> list[bytes]:
    """Proof that leaf `index` is in the log of `size` leaves (RFC 9162, 2.1.3.1), lowest first.

    Raises:
        IndexError: there is no such leaf.
    """
    if not 0 <= index < size:
        raise IndexError(f"leaf {index} is not in a log of {size}")
    proof: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            proof.append(_range(hashes, middle, end))
            end = middle
        else:
            proof.append(_range(hashes, start, middle))
            start = middle
    return proof[::-1]


def consistency(hashes: Hashes, first: int, second: int) -> list[bytes]:
    """Proof that the log of `first` leaves is a prefix of that of `second` (RFC 9162, 2.1.4.1).

    Raises:
        IndexError: not 0 < first <= second.
    """
    if not 0 < first <= second:
        raise IndexError(f"no log of {first} leaves before one of {second}")
    proof: list[bytes] = []
    start, end, whole = 0, second, True
    while first != end:
        middle = start + _split(end - start)
        if first <= middle:
            proof.append(_range(hashes, middle, end))
            end = middle
        else:
            proof.append(_range(hashes, start, middle))
            start, whole = middle, False
    if not whole:
        proof.append(_range(hashes, start, end))
    return proof[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether `proof` shows that `leaf` is number `index` of the log with this root (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    node, last, at = leaf, size - 1, index
    for other in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            node = node_hash(other, node)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            node = node_hash(node, other)
        at, last = at >> 1, last >> 1
    return last == 0 and node == root


def verify_consistency(first: int, first_root: bytes, second: int, second_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether `proof` shows that the first log is a prefix of the second (RFC 9162, 2.1.4.2)."""
    if first == second:
        return first_root == second_root and not proof
    if not 0 < first < second or not proof:
        return first == 0 and first_root == EMPTY and not proof
    path = [first_root, *proof] if first & (first - 1) == 0 else list(proof)
    at, last = first - 1, second - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    old = new = path[0]
    for other in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            old, new = node_hash(other, old), node_hash(other, new)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            new = node_hash(new, other)
        at, last = at >> 1, last >> 1
    return last == 0 and old == first_root and new == second_root


def _split(count: int) -> int:
    """The largest power of two smaller than `count`."""
    return 1 << (count - 1).bit_length() - 1


def _parts(start: int, end: int) -> list[tuple[int, int]]:
    """Complete subtrees (first leaf, height) that make up the leaves from `start`, which no larger one straddles."""
    parts = []
    while start < end:
        height = (end - start).bit_length() - 1
        parts.append((start, height))
        start += 1 << height
    return parts


def _range(hashes: Hashes, start: int, end: int) -> bytes:
    """Tree hash of the leaves from `start` to `end`, where `start` is a multiple of the size of the first part."""
    return Frontier(end - start, [_complete(hashes, at, height) for at, height in _parts(start, end)]).root()


def _complete(hashes: Hashes, start: int, height: int) -> bytes:
    """Hash of one complete subtree, from the next kept height below.

    Raises:
        ValueError: the store holds fewer leaves.
    """
    kept = height - height % WIDTH
    wanted = 1 << (height - kept)
    found = hashes.read(kept, start >> kept, wanted)
    if len(found) != wanted:
        raise ValueError(f"the log has no {1 << height} leaves from leaf {start}")
    return fold(found)


class ListHashes:
    """Hashes in memory, for an export and for tests."""

    def __init__(self, leaves: Iterable[bytes]) -> None:
        self._levels: dict[int, list[bytes]] = {0: []}
        grown = Frontier()
        for leaf in leaves:
            self._levels[0].append(leaf)
            for height, _, node in grown.append(leaf):
                self._levels.setdefault(height, []).append(node)
        self.frontier = grown

    def read(self, height: int, start: int, count: int) -> Sequence[bytes]:
        """See `Hashes`."""
        return self._levels.get(height, [])[start : start + count]
