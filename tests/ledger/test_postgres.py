"""The same log on PostgreSQL: rows go there by COPY, whose text form has escapes of its own."""

from __future__ import annotations

import dataclasses
import gc
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress
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


class Line:
    """Stands between a store and its server, and cuts every connection as a server that dies does."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._held: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._port))
                self._held += [near, far]
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    @staticmethod
    def _pass(one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)

    def cut(self) -> None:
        """Reset what is open."""
        for one in self._held:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            with suppress(OSError):
                one.shutdown(socket.SHUT_RD)  # wakes the thread that reads from it
            one.close()
        self._held.clear()

    def close(self) -> None:
        """No new ones either."""
        self._listener.close()
        self.cut()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the driver leaves a cut socket open
def test_a_line_that_is_cut_is_said_and_the_next_question_is_answered(server: str) -> None:
    place = sa.make_url(server)
    line = Line(place.port or 0)
    try:
        with Store(place.set(port=line.port).render_as_string(hide_password=False)) as store:
            before = store.state().size
            for _ in range(2):
                line.cut()
                with pytest.raises(UnreachableError, match=r"^the ledger's database: [^\n]*[a-z]{4}"):
                    store.state()
                assert store.state().size == before
    finally:
        line.close()
        gc.collect()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # nor does it close this one
def test_a_server_that_does_not_answer_is_given_up_and_one_that_vanishes_is_found_out(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store(server) as store, store.connection() as connection:
        made: Any = connection.connection.dbapi_connection
        assert made._usock.gettimeout() is None  # a long answer is waited for
        assert made._usock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 45_000
        assert made._usock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 15
    monkeypatch.setattr("services.ledger.store._CONNECT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(UnreachableError, match="timed out"):
        Store(f"postgresql+pg8000://log@127.0.0.1:{silent.getsockname()[1]}/postgres")
    gc.collect()
