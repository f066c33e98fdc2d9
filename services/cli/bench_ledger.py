"""`safe-reporting bench ledger`: entries a second from the broker into the log, and what a long log costs."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from rich.console import Console
from rich.progress import track
from rich.table import Table
from sqlalchemy import Connection

from services.kernel import ledger
from services.kernel.errors import ConfigError
from services.kernel.kafka.embedded import EmbeddedKafka
from services.kernel.kafka.reader import Sender, read_all
from services.kernel.kafka.source import Source
from services.kernel.kafka.topology import apply, load_topology
from services.kernel.paths import ROOT
from services.kernel.record import Decision, Inbound, Message, Outcome
from services.kernel.vocabulary import OutcomeKind
from services.ledger import tree
from services.ledger.entries import HOUR_MS, Reader
from services.ledger.note import Checkpoint, sign
from services.ledger.publish import Publisher
from services.ledger.search import Query, search
from services.ledger.store import Hashes, Store, grow
from services.ledger.verify import verify
from services.ledger.writer import Limits, Writer, rare_collection

_START = 1_790_000_000_000
_PARTNERS = tuple(f"partner-{number:02d}" for number in range(16))
_BATCH = 4000


def bench(
    entries: Annotated[int, typer.Option(min=1000, help="Entries through the broker.")] = 200_000,
    log: Annotated[int, typer.Option("--log", min=0, help="Entries that the log holds before; loaded in bulk.")] = 0,
    sealed: Annotated[
        int, typer.Option("--sealed", min=0, help="Bytes of sealed detail in a redactor's entry.")
    ] = 2200,
    verified: Annotated[bool, typer.Option("--verify", help="Verify the whole log as well.")] = False,
    folder: Annotated[Path | None, typer.Option("--folder", help="Where the SQLite database is made.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Measure the ledger on SQLite with full sync: appends from the broker beside reading alone; proofs, searches."""
    console = Console(highlight=False, stderr=True)
    rare_collection()
    with tempfile.TemporaryDirectory(prefix="safe-reporting-bench-", dir=folder) as made:
        with Store(f"sqlite:///{made}/ledger.db") as store:
            figures: dict[str, float] = {}
            if log:
                figures |= _prefill(store, log, sealed, console)
            figures |= _through_the_broker(store, entries, sealed, console)
            figures |= _questions(store)
            console.print(f"so far: {json.dumps(figures)}")
            if verified:
                figures |= _verified(store, console)
            size = store.state().size
        figures["bytes_an_entry"] = (Path(made) / "ledger.db").stat().st_size / size
    if as_json:
        print(json.dumps(figures, indent=2))
        return
    table = Table("figure", "value", title=f"a log of {size:,} entries on SQLite, synchronous=FULL")
    for name, value in figures.items():
        table.add_row(name.replace("_", " "), f"{value:,.1f}")
    Console().print(table)


_KEY = Ed25519PrivateKey.from_private_bytes(b"b" * 32)
_ORIGIN = "bench.example/log"


def _prefill(store: Store, count: int, sealed: int, console: Console) -> dict[str, float]:
    """Load made-up entries through the same store code, without a broker."""
    reader = Reader(ROOT / "schemas")
    state, bodies = store.state(), made_up(count, sealed=sealed)
    started = time.perf_counter()
    for _ in track(range(0, count, _BATCH), description="loading", console=console, disable=not console.is_terminal):
        at = state.size
        # positions end below that of the first message of the broker
        leaves = [reader.read(body, number - count, 0) for number, body in _take(bodies, at, min(_BATCH, count - at))]
        after, kept, _ = grow(state, leaves, 0)
        statement = None
        if after.size == count:
            statement = sign(Checkpoint(_ORIGIN, count, after.frontier.root()), _KEY)
        store.append(state, after, leaves, kept, signed=statement, now=_START)
        state = after
    return {"loaded_in_bulk_a_second": count / (time.perf_counter() - started)}


def _take(bodies: Iterator[bytes], first: int, count: int) -> Iterator[tuple[int, bytes]]:
    for number in range(first, first + count):
        yield number, next(bodies)


def _through_the_broker(store: Store, count: int, sealed: int, console: Console) -> dict[str, float]:
    with EmbeddedKafka(on_progress=console.print) as broker:
        config = broker.client_config("admin")
        apply(config, load_topology(), profile="embedded")
        console.print(f"{count} entries go to the broker")
        first = store.state().size
        with Sender(config, deadline=120.0) as sender:
            for body in made_up(count, first=first, sealed=sealed):
                sender.send(Message(ledger.TOPIC, None, body), 0)
        started = time.perf_counter()
        size = sum(len(record.value or b"") for record in read_all(config, ledger.TOPIC, name="admin", deadline=300.0))
        alone = time.perf_counter() - started
        console.print("the ledger appends them")
        source = Source(config, ledger.TOPIC, name="admin", start=0)
        with Sender(config) as sender:
            writer = Writer(
                store, source, Publisher(store, sender, None), reader=Reader(ROOT / "schemas"), key=_KEY,
                origin=_ORIGIN, state=store.state(), limits=Limits(),
            )  # fmt: skip
            started = time.perf_counter()
            done = 0
            while done < count:
                done += writer.cycle()
            taken = time.perf_counter() - started
            writer.cycle()
        source.close()
    return {
        "appended_a_second": count / taken,
        "read_only_a_second_beside_it": count / alone,
        "bytes_of_a_message": size / count,
    }


def _questions(store: Store) -> dict[str, float]:
    """Milliseconds of a proof and of searches, the median of places spread over the log."""
    size = store.state().size
    spread = [size * part // 41 for part in range(1, 41)]
    with store.connection() as connection:
        hashes = Hashes(connection)
        ways: dict[str, Callable[[int], object]] = {
            "proof_ms": lambda at: tree.inclusion(hashes, at, size),
            "consistency_ms": lambda at: tree.consistency(hashes, at, size),
            "search_by_record_ms": lambda at: list(search(connection, Query(record=_record(at // 2)))),
            "search_by_partner_and_hour_ms": lambda at: _by_hour(connection, at),
        }
        asked = {name: [_ms(way, at) for at in spread] for name, way in ways.items()}
    figures = {name: statistics.median(values) for name, values in asked.items()}
    return figures | {f"{name}_worst": max(values) for name, values in asked.items()}


def _by_hour(connection: Connection, at: int) -> object:
    """A page of what one partner got in one hour: what a person looks at."""
    since = (_START + at * 100) // HOUR_MS * HOUR_MS
    query = Query(partner=_PARTNERS[at % 16], since=since, until=since + HOUR_MS)
    found = search(connection, query)
    return [one for one, _ in zip(found, range(100), strict=False)]


def _verified(store: Store, console: Console) -> dict[str, float]:
    console.print("verifying the whole log")
    started = time.perf_counter()
    report = verify(store, _KEY.public_key(), Reader(ROOT / "schemas"))
    if report.findings:
        raise ConfigError("bench", [f"the log is not whole: {finding.what}" for finding in report.findings[:3]])
    taken = time.perf_counter() - started
    return {"verified_a_second": report.leaves / taken, "verified_in_seconds": taken}


def _ms(way: Callable[[int], object], at: int) -> float:
    started = time.perf_counter()
    way(at)
    return (time.perf_counter() - started) * 1000


def _record(number: int) -> str:
    return hashlib.blake2b(number.to_bytes(8, "big"), digest_size=16).hexdigest()


def _each_100_ms(number: int) -> int:
    return _START + number * 100


def made_up(count: int, *, first: int = 0, sealed: int, at: Callable[[int], int] = _each_100_ms) -> Iterator[bytes]:
    """Bodies as redactor and router write them in turn; each record goes to three of 16 partners.

    Args:
        at: time of entry number so many, in milliseconds.
    """
    detail = [base64.b64encode(os.urandom(sealed * 3 // 4)) for _ in range(64)]
    for number in range(first, first + count):
        about, moment = number // 2, at(number)
        topic = "redacted" if number % 2 else "agency.bench.marac"
        source = Inbound(topic, about % 4, about // 4, moment, None, None)
        if number % 2:
            decisions = tuple(
                Decision(partner, "view", "allow", ("one-policy",), "DPA 2018 s.35", _record(about + place))
                if (place + about) % 5 == 0
                else Decision(partner, "view", "deny", ("another-policy",), "DPA 2018 s.35")
                for place, partner in enumerate(_PARTNERS)
            )
            outcome = Outcome(OutcomeKind.FORWARDED, record=_record(about), agency="bench", decisions=decisions)
        else:
            outcome = Outcome(
                OutcomeKind.REDACTED, record=_record(about), agency="bench", feed="marac",
                detail=base64.b64decode(detail[about % 64]),
            )  # fmt: skip
        service = "router" if number % 2 else "redactor"
        made = ledger.entry(source, outcome, service=service, slot=0, previous=about // 4 - 1, now=moment)
        yield made.value or b""
