"""The same log on PostgreSQL: rows go there by COPY, whose text form has escapes of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from services.kernel.errors import UnreachableError
from services.ledger import tables
from services.ledger.store import Store, grow
from services.ledger.verify import Tampering, verify
from tests.ledger import postgres
from tests.ledger.helpers import KEY, Meanwhile, append, entries, leaves, url


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres.server() as found:
        yield found


def rows(store: Store, table: sa.Table) -> list[tuple[object, ...]]:
    with store.connection() as connection:
        return sorted(
            tuple(bytes(v) if isinstance(v, memoryview) else v for v in row)
            for row in connection.execute(sa.select(table))
        )


def test_both_databases_hold_the_same(server: str, tmp_path: Path) -> None:
    odd = {"agency": "a\tb\\c", "feed": "\\N", "outcome": "line\nline\r", "reason": None, "fault": "\\x00 é"}
    made = leaves(list(entries(700)))
    made[3] = dataclasses.replace(made[3], **odd, body=bytes(range(256)), record=b"\\\n\t\x00")  # type: ignore[arg-type]
    with Store(url(tmp_path)) as lite, Store(server) as full:
        for store in (lite, full):
            before = store.state()
            after, kept, _ = grow(before, made, 700)
            store.append(before, after, made, kept, signed=None, now=0)
            assert store.state().frontier.root() == after.frontier.root()
        for table in (tables.leaf, tables.subtree, tables.seen, tables.delivery, tables.hour, tables.chain):
            assert rows(lite, table) == rows(full, table), table.name


def test_what_the_database_refuses_is_said_in_one_line_and_nothing_is_appended(server: str) -> None:
    with Store(server) as store:
        append(store, list(entries(10)))
        before = store.state()
        made = leaves(list(entries(10, 10)), before.next_offset)
        after, kept, _ = grow(before, made, before.next_offset + 10)
        doubled = [dataclasses.replace(one, partners=("p", "p")) for one in made]
        with pytest.raises(UnreachableError, match=r"^the ledger's database: duplicate key value [^\n{]*$"):
            store.append(before, after, doubled, kept, signed=None, now=0)
        assert (store.state().next_offset, store.state().size) == (before.next_offset, before.size)
        assert store.state().frontier.root() == before.frontier.root()


def test_a_log_is_verified_as_it_stood_when_the_service_goes_on_appending(server: str) -> None:
    with Store(server) as store:
        start = store.state().next_offset
        append(store, list(entries(600, start)))
        size = store.state().size
        beside: Any = Meanwhile(server, list(entries(600, start + 600)))
        report = verify(store, KEY.public_key(), beside)
        assert report.leaves == size
        assert Tampering.TREE not in {finding.what for finding in report.findings}
        assert report.waiting == 0
        assert store.state().size == size + 600
