"""The chain of entries of one source partition: each says which offset was handled before it.

A place where it does not join is a missing entry (gap); the same position twice is a double. Only entries are
compared here; that every record has one is shown by reading the topics themselves.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

#: So many findings are kept for alerts; the counts go on.
KEPT = 32


class Verdict(StrEnum):
    """How an entry joins its chain."""

    FIRST = "first"  # the first that was ever seen of its partition
    JOINED = "joined"
    UNLINKED = "unlinked"  # it does not say what came before
    GAP = "gap"  # entries between the last one and this one are missing
    DOUBLE = "double"  # its position had its entry already
    FILLED = "filled"  # an entry that was missing has come


class Finding(msgspec.Struct, frozen=True, array_like=True):
    """One place where the chain is not whole: offsets of the source, and of the ledger where it was seen."""

    verdict: Verdict
    first: int
    last: int
    seen_at: int


class Chain(msgspec.Struct, array_like=True):
    """State of one chain. `applied`: last ledger offset that it took in; `last`: last source offset, -1 for none.

    `missing` are ranges of source offsets that no entry speaks of, first and last included. An offset in one need
    not have existed: Kafka uses up offsets for its own marks.
    """

    applied: int = -1
    last: int = -1
    entries: int = 0
    gaps: int = 0
    doubles: int = 0
    unlinked: int = 0
    missing: list[tuple[int, int]] = []
    findings: list[Finding] = []


def join(chain: Chain, *, at: int, first: int, last: int, previous: int | None) -> Verdict:
    """Take one entry into its chain and say how it joins.

    Args:
        at: ledger offset of the entry; must be above `chain.applied`.
        first: source offset.
        last: the same, or the end of the range for records that expired unread.
        previous: source offset handled before it; None where that is not known.
    """
    known, chain.applied = chain.applied, at
    if first <= chain.last:
        return _again(chain, at, first, last)
    chain.entries += 1
    before, chain.last = chain.last, last
    if previous is None:
        chain.unlinked += 1
        return Verdict.UNLINKED
    if known == -1:
        return Verdict.FIRST
    if previous == before:
        return Verdict.JOINED
    if previous < before:  # it skips back over what has its entry: nothing is missing
        return Verdict.JOINED
    chain.gaps += 1
    chain.missing = [*chain.missing, (before + 1, previous)][-KEPT:]
    _found(chain, Finding(Verdict.GAP, before + 1, previous, at))
    return Verdict.GAP


def _again(chain: Chain, at: int, first: int, last: int) -> Verdict:
    """An entry of a position at or before the last one: it fills a gap, or it is a double."""
    for number, (start, end) in enumerate(chain.missing):
        if start <= first and last <= end:
            rest = [(a, b) for a, b in ((start, first - 1), (last + 1, end)) if a <= b]
            chain.missing = [*chain.missing[:number], *rest, *chain.missing[number + 1 :]][-KEPT:]
            chain.entries += 1
            return Verdict.FILLED
    chain.doubles += 1
    _found(chain, Finding(Verdict.DOUBLE, first, last, at))
    return Verdict.DOUBLE


def _found(chain: Chain, finding: Finding) -> None:
    chain.findings = [*chain.findings, finding][-KEPT:]
