"""The ledger's loop: once each, whatever fails between two steps; what it cannot do is said in one line."""

from __future__ import annotations

import ctypes
import gc
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
import sqlalchemy as sa

from services.kernel.errors import ConfigError, RefusedError, UnreachableError
from services.kernel.record import Inbound, Message
from services.kernel.sensitive import SensitiveBytes
from services.ledger import note, tables
from services.ledger.entries import LONGEST, Reader
from services.ledger.publish import Publisher
from services.ledger.store import Store
from services.ledger.verify import verify
from services.ledger.writer import Limits, Writer, give_back
from tests.ledger.helpers import KEY, NOW, ORIGIN, READER, append, entries, leaves, url

BODIES = [*entries(1000), b"{}", *entries(200, 1000)]


class Died(BaseException):
    """As kill -9 at this place: nothing behind it runs."""


class Topic:
    """The `ledger` topic with gaps, as markers of transactions leave them; each reader has its own position."""

    def __init__(self, start: int, bodies: list[bytes]) -> None:
        self.position = start
        self.at_end = False
        self._bodies = bodies

    def read(self, most: int, seconds: float) -> list[Inbound]:
        records = [
            Inbound("ledger", 0, number * 2, NOW, None, SensitiveBytes(body))
            for number, body in enumerate(self._bodies)
        ]
        found = [record for record in records if record.offset >= self.position][:most]
        if found:
            self.position = found[-1].offset + 1
        self.at_end = not found
        return found


class Outbox:
    """Takes what is published."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def send(self, message: Message, partition: int) -> None:
        self.notes.append((message.value or b"").decode())

    def flush(self) -> None:
        pass


def writer(
    store: Store, outbox: Outbox, *, file: Path | None = None, bodies: list[bytes] = BODIES,
    appended: Callable[[list[Inbound]], None] = lambda _: None, **limits: Any,
) -> Writer:  # fmt: skip
    state = store.state()
    publisher = Publisher(store, outbox, file)  # type: ignore[arg-type]  # all that it asks of a sender
    chosen = Limits(**{"batch": 150, "entries": 300, "seconds": 1e9, **limits})
    return Writer(
        store, Topic(state.next_offset, bodies), publisher, reader=READER, key=KEY, origin=ORIGIN, state=state,
        limits=chosen, appended=appended,
    )  # fmt: skip


def drain(made: Writer) -> None:
    while made.cycle():
        pass


def positions(store: Store) -> list[int]:
    with store.connection() as connection:
        return list(connection.execute(sa.select(tables.leaf.c.position).order_by(tables.leaf.c.idx)).scalars())


def test_every_entry_is_appended_once_and_the_log_is_signed_to_its_end(tmp_path: Path) -> None:
    outbox = Outbox()
    with Store(url(tmp_path)) as store:
        drain(writer(store, outbox))
        assert positions(store) == [number * 2 for number in range(len(BODIES))]
        assert outbox.notes == store.checkpoints()
        assert note.read(outbox.notes[-1]).checkpoint.size == len(BODIES)
        report = verify(store, KEY.public_key(), READER)
        assert (report.findings, report.kept_aside) == ([], 1)


@pytest.mark.parametrize(
    "step",
    ["Topic.read", "Reader.leaf", "Store.append", "Store.append after", "Outbox.send", "Outbox.flush",
     "Store.published", "Store.published after"],
)  # fmt: skip
def test_nothing_is_lost_or_doubled_whatever_dies_between_two_steps(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, after = step.removesuffix(" after"), step.endswith(" after")
    owner, name = place.split(".")
    holder: Any = {"Topic": Topic, "Reader": type(READER), "Store": Store, "Outbox": Outbox}[owner]
    real = getattr(holder, name)
    calls = [0]

    def dies(self: Any, *args: Any, **kwargs: Any) -> Any:
        calls[0] += 1
        if calls[0] in (2, 5, 6):
            if after:
                real(self, *args, **kwargs)
            raise Died
        return real(self, *args, **kwargs)

    monkeypatch.setattr(holder, name, dies)
    outbox, deaths, done = Outbox(), 0, False
    with Store(url(tmp_path)) as store:
        while not done:
            try:
                made = writer(store, outbox)
                made.run(stop=iter([False, False, True]).__next__)
                drain(made)
                done = True
            except Died:
                deaths += 1
        assert deaths >= 2
        assert positions(store) == [number * 2 for number in range(len(BODIES))]
        assert verify(store, KEY.public_key(), READER).findings == []
        assert set(outbox.notes) == set(store.checkpoints())


def test_a_second_writer_stops(tmp_path: Path) -> None:
    with Store(url(tmp_path)) as store, Store(url(tmp_path)) as other:
        first, second = writer(store, Outbox()), writer(other, Outbox())
        first.cycle()
        with pytest.raises(RefusedError, match="another ledger service"):
            second.cycle()
        drain(first)
        assert positions(store) == [number * 2 for number in range(len(BODIES))]


def test_a_full_disk_stops_with_one_line_and_goes_on_afterwards(tmp_path: Path) -> None:
    with Store(url(tmp_path)) as store:
        made = writer(store, Outbox(), batch=1300)

        def pages(most: int) -> Callable[[], None]:
            def limit(connection: Any, *_: object) -> None:
                connection.execute(f"PRAGMA max_page_count={most}")

            return limit

        small = pages(60)
        sa.event.listen(store.engine, "connect", small)
        store.engine.dispose()
        with pytest.raises(UnreachableError, match=r"database: database or disk is full$"):
            made.cycle()
        assert store.state().size == 0
        sa.event.remove(store.engine, "connect", small)
        store.engine.dispose()
        drain(writer(store, Outbox()))
        assert positions(store) == [number * 2 for number in range(len(BODIES))]


def test_a_locked_database_is_said(tmp_path: Path) -> None:
    with Store(url(tmp_path)) as store, Store(url(tmp_path)) as other, other.connection(write=True) as held:
        held.execute(sa.update(tables.log).values(size=0))
        with pytest.raises(UnreachableError, match="locked"):
            writer(store, Outbox()).cycle()


def test_a_url_that_is_none_and_a_database_that_is_away_are_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="SR_LEDGER_DATABASE"):
        Store("not a url")
    with pytest.raises(UnreachableError):
        Store(f"sqlite:///{tmp_path}/no/such/folder/ledger.db")
    with pytest.raises(UnreachableError):
        Store("postgresql+pg8000://log@127.0.0.1:1/postgres")


def altered(number: int, **fields: Any) -> bytes:
    """One of the entries with other fields; `source` changes only what it names."""
    entry = orjson.loads(BODIES[number])
    entry["source"] |= fields.pop("source", {})
    return orjson.dumps(entry | fields)


POISON = [
    altered(0, record="a" * 17),
    *(altered(0, source={name: value}) for name in ("offset", "previous", "until") for value in (1 << 63, 5.0, 1e3)),
    *(altered(0, source={"offset": 7, "until": until}) for until in (6, 7 + LONGEST, (1 << 53) - 1)),
    altered(0, source={"partition": 1 << 31}),
    altered(0, source={"partition": 2.0}),
    altered(0, source={"topic": "a" * 3000}),
]


def test_no_message_of_the_topic_stops_the_service(tmp_path: Path) -> None:
    """Whoever may write to it: what the log cannot hold as an entry is a leaf with a fault, and the next follows."""
    good = list(entries(2))
    twice = altered(3, id="t" * 32)
    doubled = orjson.loads(twice)
    doubled["decisions"] += doubled["decisions"]
    bodies = [*POISON, orjson.dumps(doubled), *good]
    told: list[int] = []
    with Store(url(tmp_path)) as store:
        drain(writer(store, Outbox(), bodies=bodies, appended=lambda records: told.extend(r.offset for r in records)))
        report = verify(store, KEY.public_key(), READER)
        assert (report.findings, report.leaves, report.kept_aside) == ([], len(bodies), len(POISON))
        with store.connection() as connection:
            out = connection.execute(sa.select(tables.delivery.c.partner)).scalars().all()
    assert sorted(out) == ["idva-service", "victim-support-gm"]
    assert told == [number * 2 for number in range(len(POISON), len(bodies))]  # a faulty entry opens nothing


def test_a_folder_of_schemas_that_lets_more_through_stops_nothing_either(tmp_path: Path) -> None:
    (tmp_path / "messages").mkdir()
    (tmp_path / "messages" / "ledger-entry.json").write_text("{}")
    reader = Reader(tmp_path)
    assert reader.read(BODIES[0], 0, NOW).fault is None
    for body in (POISON[0], altered(0, time=None), altered(0, decisions=None), b'{"source": [5]}', b"[]", b"{}"):
        assert reader.read(body, 0, NOW).fault == "schema"


def test_a_broken_chain_is_counted(tmp_path: Path) -> None:
    from services.ledger.store import grow

    with Store(url(tmp_path)) as store:
        append(store, list(entries(100)))
        state = store.state()
        skipped = leaves(list(entries(20, 108)), 100)
        assert grow(state, skipped, 120)[2] > 0
        assert grow(state, leaves(list(entries(20, 100)), 100), 120)[2] == 0
        assert grow(state, leaves(list(entries(20, 80)), 100), 120)[2] > 0


def test_a_rebuilt_log_has_the_same_root(tmp_path: Path) -> None:
    roots = []
    for name, batch in (("a", 100), ("b", 777)):
        (tmp_path / name).mkdir()
        with Store(url(tmp_path / name)) as store:
            drain(writer(store, Outbox(), batch=batch))
            roots.append(store.state().frontier.root())
    assert roots[0] == roots[1]


@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="the C library has no malloc_trim (glibc has)"
)
def test_gaps_between_what_stays_are_given_back() -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    blocks = [bytes(20_000) for _ in range(5_000)]
    stays = blocks[::50]
    del blocks
    before = resident()
    give_back()
    assert resident() < before - 50_000_000
    assert len(stays) == 100


def test_checkpoints_leave_nothing_for_the_collector_of_cycles(tmp_path: Path) -> None:
    outbox = Outbox()
    with Store(url(tmp_path)) as store:
        made = writer(store, outbox, batch=10, entries=10)
        gc.collect()
        gc.disable()
        try:
            drain(made)
            left = gc.collect()
        finally:
            gc.enable()
    assert len(outbox.notes) > 100
    assert left < 100


def test_a_marker_at_the_end_moves_the_position_on_although_nothing_is_appended(tmp_path: Path) -> None:
    with Store(url(tmp_path)) as store:
        made = writer(store, Outbox())
        drain(made)
        before = store.state()
        made._source.position += 2  # an aborted record and its marker, seen with the end of the topic
        assert made.cycle() == 0
        after = store.state()
        assert (after.next_offset, after.size) == (before.next_offset + 2, before.size)
        assert made.cycle() == 0
        assert store.state().next_offset == after.next_offset


def test_what_was_signed_and_not_published_counts_as_unpublished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also after a restart: else nobody would see that no witness gets a checkpoint."""

    def refuse(_: Outbox) -> None:
        raise UnreachableError("the topic takes nothing")

    database = url(tmp_path)
    monkeypatch.setattr(Outbox, "flush", refuse)
    for _ in range(2):
        with Store(database) as store:
            made = writer(store, Outbox())
            with pytest.raises(UnreachableError):
                made.run(iter([False] * 9).__next__)
            assert made.unsigned == made.size > 0
    monkeypatch.undo()
    with Store(database) as store:
        made = writer(store, Outbox())
        made.run(lambda: True)
        assert made.unsigned == 0


def test_a_checkpoint_that_cannot_be_written_to_its_file_stops_no_entry_and_counts_as_unpublished(
    tmp_path: Path,
) -> None:
    file = tmp_path / "not there" / "checkpoint"
    outbox = Outbox()
    with Store(url(tmp_path)) as store:
        made = writer(store, outbox, file=file, batch=100)
        made.run(iter([False] * 3 + [True]).__next__)
        assert (made.size, made.unsigned) == (300, 300)
        assert outbox.notes == store.checkpoints()
        made = writer(store, outbox, file=file, batch=100)
        for _ in range(3):
            made.cycle()
        assert made.unsigned == made.size - 300 == 300  # after a restart only what came since is known to be missing
        file.parent.mkdir()
        drain(made)
        assert (made.size, made.unsigned) == (len(BODIES), 0)
        assert file.read_text() == store.checkpoints()[-1]
        assert set(outbox.notes) == set(store.checkpoints())
