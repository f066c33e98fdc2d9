"""Sets of offsets, not counts: what is missing, extra, doubled, waiting or expired is told apart."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from services.kernel import ledger, supersede
from services.kernel.errors import RefusedError
from services.kernel.record import Inbound, Outcome
from services.kernel.vocabulary import OutcomeKind
from services.ledger import reconcile, tables
from services.ledger.reconcile import (
    Compared,
    Hashed,
    Logged,
    Settled,
    compare,
    delivered,
    logged,
    read_statement,
    statement,
)
from services.ledger.store import Store
from services.ledger.tree import leaf_hash
from tests.ledger.helpers import NOW, append, entries, key, record, url

PLACE = ("redactor", "agency.gmp.marac", 0)


def test_each_kind_of_difference_is_named() -> None:
    found = compare(PLACE, [2, 3, 5, 5, 8, 9], [4, 5, 8, 10, 12], oldest=4)
    assert found == Compared(PLACE, 9, 3, missing=(4,), extra=(9,), doubled=(5,), waiting=2, expired=2)
    assert not found.whole


def test_holes_of_markers_and_an_empty_topic_are_no_loss() -> None:
    assert compare(PLACE, [0, 2, 5], [0, 2, 5, 7], oldest=0) == Compared(PLACE, 5, 3, waiting=1)
    assert compare(PLACE, [], [], oldest=0).whole
    assert compare(PLACE, [3, 4], [], oldest=5) == Compared(PLACE, 4, 0, expired=2)


def test_what_expired_since_the_last_pass_was_read_or_is_named(tmp_path: Path) -> None:
    """Settled at 99, the topic begins at 150 now; the worker went on at 150, as it was set there or as it had read."""

    def handled(offset: int, previous: int) -> bytes:
        arrived = Inbound(PLACE[1], PLACE[2], offset, NOW, None, None)
        outcome = Outcome(OutcomeKind.REDACTED, record=record(offset))
        return ledger.entry(arrived, outcome, service=PLACE[0], slot=0, previous=previous, now=NOW).value or b""

    def second(name: str, *bodies: bytes, settled: Settled = Settled(offsets={PLACE: 99})) -> Compared:  # noqa: B008
        with Store(f"sqlite:///{tmp_path / name}") as store:
            append(store, list(bodies))
            with store.connection() as connection:
                said = reconcile.said(connection, settled)
        skipped = said.skipped.get(PLACE, ())
        there = [offset for offset in said.offsets[PLACE] if offset >= 150]
        last = settled.offsets.get(PLACE, -1)
        return compare(PLACE, said.offsets[PLACE], there, oldest=150, settled=last, skipped=skipped)

    assert second("set", handled(150, 149), handled(151, 150)) == Compared(PLACE, 151, 2, unread=50)
    assert second("some", handled(120, 99), handled(151, 149)) == Compared(PLACE, 151, 1, expired=1, unread=29)
    assert not second("set again", handled(150, 149)).whole
    assert second("marks", handled(150, 99), handled(160, 155)) == Compared(PLACE, 160, 2)
    assert second("first pass", handled(150, 149), settled=Settled()).whole


@given(st.sets(st.integers(0, 60)), st.sets(st.integers(0, 60)), st.integers(0, 60))
def test_every_offset_falls_in_exactly_one_group(named: set[int], there: set[int], oldest: int) -> None:
    there = {offset for offset in there if offset >= oldest}
    found = compare(PLACE, sorted(named), sorted(there), oldest=oldest)
    assert set(found.missing) == {offset for offset in there - named if offset <= max(named, default=-1)}
    assert set(found.extra) == {offset for offset in named - there if offset >= oldest}
    assert found.expired == len({offset for offset in named if offset < oldest})
    assert found.records + found.waiting == len(there)


@given(st.lists(st.integers(0, 40), max_size=60), st.sets(st.integers(0, 40)), st.integers(0, 41), st.integers(0, 60))
def test_two_passes_find_what_one_finds(named: list[int], there: set[int], split: int, cut: int) -> None:
    """The first pass sees the entries up to `cut` and, as topics only grow, the records below `split` and theirs."""
    early = named[:cut]
    seen = sorted(offset for offset in there if offset < split or offset <= max(early, default=-1))
    whole = compare(PLACE, named, sorted(there), oldest=0)
    first = compare(PLACE, early, seen, oldest=0)
    rest = sorted(offset for offset in there if offset > first.upto)
    second = compare(PLACE, named[cut:], rest, oldest=0, settled=first.upto)
    if named == sorted(named):  # the chain's order: what is late is a double for the second pass
        assert {*first.missing, *second.missing} == set(whole.missing)
        assert {*first.extra, *second.extra} == set(whole.extra)
        assert {*first.doubled, *second.doubled} == set(whole.doubled)
        assert (second.upto, second.waiting) == (whole.upto, whole.waiting)


def test_a_partner_topic_holds_no_key_that_was_not_let_out(tmp_path: Path) -> None:
    with Store(url(tmp_path)) as store:
        append(store, list(entries(40)))
        with store.connection() as connection:
            known = reconcile.said(connection, Settled()).keys["idva-service"]
    mine = [key("idva-service", number).encode() for number in (1, 2, 3, 2)]
    assert delivered("idva-service", mine, known) == reconcile.Delivered("idva-service", 3, 0)
    other = key("victim-support-gm", 1).encode()
    assert delivered("idva-service", [*mine, other, None, b"\xff"], known).unknown == 3
    assert delivered("idva-service", mine, ()).unknown == 3


def test_what_a_recall_sends_is_let_out_by_its_entry_and_by_no_other(tmp_path: Path) -> None:
    copy = key("idva-service", 1)
    made = ledger.recall(
        record(1), [("idva-service", copy)], source=("redacted", 1, 0), reference="t", by="A1", now=NOW
    )
    sent = [message.key for message in supersede.messages("partner.idva-service", copy, now=NOW)]
    with Store(url(tmp_path)) as store:
        append(store, list(entries(40)))
        with store.connection() as connection:
            before = reconcile.said(connection, Settled()).keys["idva-service"]
        append(store, [made.value or b""])
        with store.connection() as connection:
            after = reconcile.said(connection, Settled()).keys
    assert delivered("idva-service", sent, before).unknown == 1
    assert delivered("idva-service", sent, after["idva-service"]).unknown == 0
    assert delivered("victim-support-gm", sent, after["victim-support-gm"]).unknown == 2


def test_what_the_log_says_is_read_from_it_once(tmp_path: Path) -> None:
    with Store(url(tmp_path)) as store:
        append(store, [*entries(200), b"{}"])
        with store.connection() as connection:
            said = reconcile.said(connection, Settled())
            assert sorted(said.offsets["redactor", "agency.gmp.police-crime", 1]) == list(range(25))
            assert set(said.keys) == {"idva-service", "victim-support-gm"}
        append(store, list(entries(20, 200)))
        with store.connection() as connection:
            again = reconcile.said(connection, Settled(said.leaves, keys_from=190, read={reconcile.LEDGER: 190}))
    assert again.leaves == 221
    assert {o for place, held in again.offsets.items() for o in held if place[0] == "redactor"} == {25, 26, 27}
    assert len(again.keys["idva-service"]) == sum(
        n % 2 and (n // 2) % 10 != 0 for n in (*range(190, 200), *range(200, 220))
    )


def test_the_ledger_topic_is_compared_with_the_leaves(tmp_path: Path) -> None:
    """Entries made by hand are in no chain: only the topic knows that they were there."""
    bodies = [*entries(6), b"{}"]
    messages = Hashed()
    for offset, body in enumerate([*bodies[:3], b"by hand", *bodies[3:]]):
        messages.add(offset, leaf_hash(body))
    with Store(url(tmp_path)) as store:
        append(store, bodies[:3])
        with store.connection(write=True) as connection:  # the service stood still meanwhile
            connection.execute(sa.update(tables.log).values(next_offset=tables.log.c.next_offset + 1))
        append(store, bodies[3:])
        with store.connection() as connection:
            said = reconcile.said(connection, Settled())
    assert logged(messages, said.leaf_hashes, start=0, oldest=0, end=8) == Logged(8, lost=(3,))
    first, rest = Hashed(messages.offsets[:3], messages.hashes[:3]), Hashed(messages.offsets[4:], messages.hashes[4:])
    for part, start, end in ((first, 0, 3), (first, 0, 2), (rest, 4, 8), (rest, 4, 9), (rest, 0, 8), (Hashed(), 8, 9)):
        assert logged(part, said.leaf_hashes, start=start, oldest=start or 4 * (part is rest), end=end).whole
    other = Hashed(rest.offsets, rest.hashes[:])
    other.hashes[1] ^= 1
    assert logged(other, said.leaf_hashes, start=4, oldest=0, end=8).changed == (5,)
    assert logged(rest, said.leaf_hashes, start=2, oldest=0, end=8).invented == (2,)


def test_leaves_beyond_what_was_read_are_for_the_next_pass(tmp_path: Path) -> None:
    bodies, messages = list(entries(10)), Hashed()
    with Store(url(tmp_path)) as store:
        append(store, bodies)
        with store.connection() as connection:
            first = reconcile.said(connection, Settled())
            again = reconcile.said(connection, Settled(leaves=10, keys_from=6, read={reconcile.LEDGER: 7}))
            old = reconcile.said(connection, Settled(leaves=10, keys_from=6))
    assert list(again.leaf_hashes.offsets) == [6, 7, 8, 9]
    assert old.leaf_hashes == first.leaf_hashes
    for offset, body in enumerate(bodies[:7]):
        messages.add(offset, leaf_hash(body))
    assert logged(messages, first.leaf_hashes, start=0, oldest=0, end=7) == Logged(7)


def test_the_statement_is_signed_and_read_again(tmp_path: Path) -> None:
    private = Ed25519PrivateKey.generate()
    settled = Settled(9, b"r" * 32, 4, {PLACE: 1, ("router", "redacted", 3): 7}, {("partner.p", 0): 5})
    text = statement(settled, name="auditor", stamp="now", key=private)
    assert "redactor agency.gmp.marac 0 reconciled-to 1" in text.splitlines()
    assert read_statement(text, private.public_key()) == settled
    for changed in (text.replace("-to 1", "-to 2"), text.replace("auditor", "other"), text[:-3], "", "a\n\nzz"):
        with pytest.raises(RefusedError, match="was changed, or is another key's"):
            read_statement(changed, private.public_key())
    with pytest.raises(RefusedError):
        read_statement(text, Ed25519PrivateKey.generate().public_key())
