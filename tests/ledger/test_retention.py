"""Content expires and the tree stays provable; a hold keeps it; and nobody finds the content of an erased entry."""

from __future__ import annotations

import hashlib
import itertools
import secrets
from pathlib import Path
from typing import Any

import orjson
import pytest
import sqlalchemy as sa

from services.kernel import ledger
from services.ledger import export, retention, tables
from services.ledger.retention import Span
from services.ledger.search import Query, search
from services.ledger.store import Hashes, Store
from services.ledger.verify import Tampering, verify
from tests.ledger.helpers import KEY, NOW, READER, append, entries, record, url

PUBLIC = KEY.public_key()
COUNT = 400
BEFORE = NOW + 200_000  # entries are a second apart: the first 200 are older


def expire(store: Store, spans: list[Span]) -> int:
    append(store, [ledger.erased(span.reference, by="A1", now=NOW).value or b"" for span in spans])
    with store.connection() as connection:
        assert retention.said(connection, spans)
    return retention.erase(store, spans)


def spans(store: Store) -> list[Span]:
    with store.connection() as connection:
        return retention.expiring(connection, BEFORE)


def test_what_is_old_goes_with_its_entry_and_the_log_still_verifies(tmp_path: Path) -> None:
    with Store(url(tmp_path)) as store:
        append(store, list(entries(COUNT)))
        wanted = spans(store)
        assert wanted == [Span(0, 199)]
        with store.connection() as connection:
            assert not retention.said(connection, wanted)
        assert expire(store, wanted) == 200
        report = verify(store, PUBLIC, READER)
        assert (report.findings, report.erased) == ([], 200)
        assert spans(store) == []
        signed = append(store, list(entries(2, COUNT)))
        assert signed is not None
        out = tmp_path / "export"
        with store.connection() as connection:
            assert list(search(connection, Query(record=record(3)))) == []
            export.write(out, search(connection, Query()), hashes=Hashes(connection), signed=signed, key=PUBLIC)
        shown = export.verify(out, PUBLIC, READER)
        assert (shown.findings, shown.erased) == ([], 200)


def test_an_erasure_without_its_entry_is_found(tmp_path: Path) -> None:
    with Store(url(tmp_path)) as store:
        append(store, list(entries(COUNT)))
        retention.erase(store, [Span(5, 9)])
        finding = next(f for f in verify(store, PUBLIC, READER).findings if f.what is Tampering.ERASED)
        assert (finding.leaf, finding.detail) == (5, "leaves 5 to 9")


def test_the_service_appends_while_much_is_erased(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two transactions; and none of them looks through a whole table while it holds the lock."""
    monkeypatch.setattr(retention, "_LEAVES", 70)
    beside: list[int] = []
    writes: list[tuple[str, Any]] = []

    def pause(_: float) -> None:
        append(service, list(entries(2, COUNT + len(beside), feed="agency.other.marac", routed_from="other")))
        beside.append(2)

    monkeypatch.setattr(retention.time, "sleep", pause)
    with Store(url(tmp_path)) as store, Store(url(tmp_path)) as service:
        append(store, list(entries(COUNT)))

        @sa.event.listens_for(store.engine, "before_cursor_execute")
        def note(_c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
            if statement.startswith(("DELETE", "UPDATE")):
                writes.append((statement, parameters[0] if many else parameters))

        assert retention.erase(store, [Span(0, 4), Span(10, 199), Span(201, 201)]) == 196
        assert len(beside) == 4
        sa.event.remove(store.engine, "before_cursor_execute", note)
        with store.connection() as connection:
            for table in (tables.leaf, tables.seen, tables.delivery):
                assert any(table.name in statement for statement, _ in writes)
            for statement, parameters in writes:
                plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
                assert not [step for *_, step in plan if step.startswith("SCAN")], statement
            left = connection.execute(sa.select(tables.seen.c.idx)).scalars().all()
            out = connection.execute(sa.select(tables.delivery.c.idx)).scalars().all()
        kept = {*range(5, 10), 200, *range(202, COUNT)}
        assert {idx for idx in left if idx < COUNT} == kept
        assert {idx for idx in out if idx < COUNT} == {n for n in kept if n % 2 and (n // 2) % 10}


def test_only_a_later_entry_of_an_expiry_explains_an_erasure(tmp_path: Path) -> None:
    """Another entry names leaves too: whoever takes a receipt down chooses its reference."""
    receipt = ledger.receipt("idva-service", reference="leaves/0-999999", by="A1", now=NOW)
    by_another = orjson.loads(ledger.erased("leaves/0-999", by="A1", now=NOW).value or b"") | {"service": "recall"}
    too_soon = ledger.erased("leaves/0-999", by="A1", now=NOW)
    with Store(url(tmp_path)) as store:
        append(store, list(entries(COUNT)))
        append(store, [receipt.value or b"", orjson.dumps(by_another), too_soon.value or b""])
        retention.erase(store, [Span(5, 9)])
        finding = next(f for f in verify(store, PUBLIC, READER).findings if f.what is Tampering.ERASED)
        assert (finding.leaf, finding.detail) == (5, "leaves 5 to 9")


def test_a_hold_that_goes_without_its_entry_is_found(tmp_path: Path) -> None:
    def said(placed: bool, at: int) -> bytes:
        return ledger.held("case", by="A1", placed=placed, now=at).value or b""

    def gone(store: Store) -> list[str]:
        report = verify(store, PUBLIC, READER, clock=lambda: NOW / 1000 + 100)
        return [f.detail for f in report.findings if f.what is Tampering.HOLD]

    with Store(url(tmp_path)) as store:
        append(store, [*entries(COUNT), said(True, NOW)])
        assert gone(store) == ["`case`"]
        retention.hold(store, "case", record=None, span=Span(0, 9), reason="inquest", by="A1", now=NOW)
        assert gone(store) == []
        append(store, [said(False, NOW + 1)])
        retention.lift(store, "case")
        assert gone(store) == []
        append(store, [said(True, NOW + 90_000)])
        assert gone(store) == []  # its row may come in this moment


def test_a_hold_keeps_a_record_or_a_span_until_it_is_lifted(tmp_path: Path) -> None:
    with Store(url(tmp_path)) as store:
        append(store, list(entries(COUNT)))
        about = bytes.fromhex(record(10))
        retention.hold(store, "case", record=about, span=None, reason="inquest", by="A1", now=NOW)
        retention.hold(store, "week", record=None, span=Span(100, 149), reason="review", by="A1", now=NOW)
        assert spans(store) == [Span(0, 19), Span(22, 99), Span(150, 199)]
        with store.connection() as connection:
            assert [name for name, *_ in retention.holds(connection)] == ["case", "week"]
        assert retention.lift(store, "week")
        assert not retention.lift(store, "week")
        assert spans(store) == [Span(0, 19), Span(22, 199)]


def test_after_erasure_trying_every_content_finds_no_match(tmp_path: Path) -> None:
    """All that could have stood in the entry is tried; without its random salt no hash is that of the leaf."""
    with Store(url(tmp_path)) as store:
        bodies = list(entries(2))
        append(store, bodies)
        (held,) = [orjson.loads(bodies[0])]
        expire(store, [Span(0, 1)])
        with store.connection() as connection:
            left = connection.execute(sa.select(tables.leaf.c.hash).where(tables.leaf.c.idx == 0)).scalar_one()
    tried = 0
    choices = itertools.product(
        (None, "redacted", "withheld", "quarantined"), (None, "format", "content", "policy", "system"), range(50),
        (held["area"], "unknown"), [held["salt"][:28] + secrets.token_hex(2) for _ in range(20)],
    )  # fmt: skip
    for outcome, reason, offset, area, salt in choices:
        guess = held | {"outcome": outcome, "reason": reason, "area": area, "salt": salt}
        guess["source"] = held["source"] | {"offset": offset}
        if guess["salt"] == held["salt"]:
            continue
        tried += 1
        assert hashlib.sha256(b"\x00" + orjson.dumps(guess)).digest() != left
    assert tried > 30_000
    assert hashlib.sha256(b"\x00" + orjson.dumps(held)).digest() == left  # with the salt it would be found at once
