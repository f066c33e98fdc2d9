"""Sets of offsets, not counts: what is missing, extra, doubled, waiting or expired is told apart."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from services.ledger import reconcile
from services.ledger.reconcile import Compared, compare, delivered
from services.ledger.store import Store
from tests.ledger.helpers import append, entries, key, url

PLACE = ("redactor", "agency.gmp.marac", 0)


def test_each_kind_of_difference_is_named() -> None:
    found = compare(PLACE, [2, 3, 5, 5, 8, 9], [4, 5, 8, 10, 12], oldest=4)
    assert found == Compared(PLACE, 9, 3, missing=(4,), extra=(9,), doubled=(5,), waiting=2, expired=2)
    assert not found.whole


def test_holes_of_markers_and_an_empty_topic_are_no_loss() -> None:
    assert compare(PLACE, [0, 2, 5], [0, 2, 5, 7], oldest=0) == Compared(PLACE, 5, 3, waiting=1)
    assert compare(PLACE, [], [], oldest=0).whole
    assert compare(PLACE, [3, 4], [], oldest=5) == Compared(PLACE, 4, 0, expired=2)


@given(st.sets(st.integers(0, 60)), st.sets(st.integers(0, 60)), st.integers(0, 60))
def test_every_offset_falls_in_exactly_one_group(named: set[int], there: set[int], oldest: int) -> None:
    there = {offset for offset in there if offset >= oldest}
    found = compare(PLACE, sorted(named), sorted(there), oldest=oldest)
    assert set(found.missing) == {offset for offset in there - named if offset <= max(named, default=-1)}
    assert set(found.extra) == {offset for offset in named - there if offset >= oldest}
    assert found.expired == len({offset for offset in named if offset < oldest})
    assert found.records + found.waiting == len(there)


def test_a_partner_topic_holds_no_key_that_was_not_let_out() -> None:
    assert delivered("p", [b"a", b"b", b"a"], {"a", "b", "c"}).unknown == 0
    assert delivered("p", [b"a", b"x", None, b"\xff"], {"a"}).unknown == 3


def test_what_the_log_says_is_read_from_it(tmp_path: Path) -> None:
    with Store(url(tmp_path)) as store:
        append(store, [*entries(200), b"{}"])
        with store.connection() as connection:
            said = reconcile.said(connection)
    assert sorted(said.offsets["redactor", "agency.gmp.police-crime", 1]) == list(range(25))
    assert key("idva-service", 7) in said.keys["idva-service"]
    assert set(said.keys) == {"idva-service", "victim-support-gm"}


def test_the_statement_names_whole_partitions_and_is_signed() -> None:
    private = Ed25519PrivateKey.generate()
    whole, broken = compare(PLACE, [0, 1], [0, 1], oldest=0), compare(PLACE, [0, 2], [0, 1, 2], oldest=0)
    text, signature = reconcile.statement([whole, broken], name="auditor", stamp="now", key=private).split("\n\n")
    assert text.splitlines() == ["auditor", "now", "redactor agency.gmp.marac 0 reconciled-to 1"]
    private.public_key().verify(bytes.fromhex(signature.strip()), (text + "\n").encode())
