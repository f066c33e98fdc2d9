"""`audit expire`, `hold`, `lift`, `holds`, `subject`: how long the ledger remembers, what it says to a person."""

from __future__ import annotations

import json
import sys
import time
from datetime import timedelta
from typing import Annotated

import typer
from rich.table import Table

from services.cli.audit import NAME, opened_store, statement_rows
from services.cli.leak import records_of
from services.cli.shown import ask, show
from services.kernel import keys, ledger
from services.kernel.errors import ConfigError, RefusedError
from services.kernel.kafka.reader import send
from services.kernel.ledger import rfc3339
from services.kernel.settings import load_settings
from services.ledger import retention
from services.ledger.retention import SHORTEST_DAYS, Span
from services.ledger.search import Query, search

_PATIENCE = 30.0
By = Annotated[str, typer.Option("--by", help="Your staff id. It goes into the ledger.")]


def expire(
    days: Annotated[
        int, typer.Option("--older-than", min=SHORTEST_DAYS, max=36_500, help="Days after which content goes.")
    ],
    by: By,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
) -> None:
    """Erase the content of old entries; leaves, hashes and proofs stay, and holds keep what they cover.

    First an entry says which leaves; only once it is in the log their content goes.
    """
    settings = load_settings()
    now = int(time.time() * 1000)
    before = now - int(timedelta(days=days).total_seconds() * 1000)
    with opened_store(settings) as store:
        with store.connection() as connection:
            spans = retention.expiring(connection, before)
        count = sum(span.last - span.first + 1 for span in spans)
        if dry_run or not spans:
            print(f"{count} entries from before {rfc3339(before)} {'would be' if dry_run else 'are to be'} erased")
            return
        entries = [ledger.erased(span.reference, by=by, now=now) for span in spans]
        send(settings.kafka_config(), [(entry, 0) for entry in entries])
        ends = time.monotonic() + _PATIENCE
        while True:
            with store.connection() as connection:
                if retention.said(connection, spans):
                    break
            if time.monotonic() > ends:
                raise RefusedError("nothing erased: the entries of the erasure are not in the log; is the service up?")
            time.sleep(0.2)
        print(f"{retention.erase(store, spans)} entries erased, in {len(spans)} spans; their leaves and proofs stay")


def hold(
    name: Annotated[str, typer.Argument(help="Name of the hold.")],
    by: By,
    reason: Annotated[str, typer.Option("--reason", help="Why, for who lifts it later.")],
    record: Annotated[str | None, typer.Option("--record", help="Pseudonym of a record: all its entries.")] = None,
    leaves: Annotated[str | None, typer.Option("--leaves", help="FIRST-LAST: these leaves.")] = None,
) -> None:
    """Keep entries from expiring: those of a record, or a span of leaves; with its entry."""
    settings = load_settings()
    if (record is None) == (leaves is None):
        raise ConfigError("audit hold", ["give either `--record` or `--leaves`"])
    now = int(time.time() * 1000)
    try:
        about = bytes.fromhex(record) if record is not None else None
        span = Span(*(int(number) for number in leaves.split("-"))) if leaves is not None else None
    except (ValueError, TypeError) as error:
        raise ConfigError("audit hold", ["`--record` is hex digits, `--leaves` FIRST-LAST"]) from error
    with opened_store(settings) as store:
        with store.connection() as connection:
            if name in {held for held, *_ in retention.holds(connection)}:
                raise ConfigError("audit hold", [f"there is a hold `{name}` already"])
            if not retention.covers(connection, record=about, span=span):
                raise ConfigError("audit hold", ["the log has no such record (its whole pseudonym) or no such leaves"])
        send(settings.kafka_config(), [(ledger.held(name, by=by, placed=True, now=now), 0)])
        retention.hold(store, name, record=about, span=span, reason=reason, by=by, now=now)
    print(f"hold `{name}` placed")


def lift(name: Annotated[str, typer.Argument(help="Name of the hold.")], by: By) -> None:
    """Lift a hold; first its entry is sent."""
    settings = load_settings()
    with opened_store(settings) as store:
        with store.connection() as connection:
            if name not in {held for held, *_ in retention.holds(connection)}:
                raise ConfigError("audit lift", [f"there is no hold `{name}`: `audit holds`"])
        send(settings.kafka_config(), [(ledger.held(name, by=by, placed=False, now=int(time.time() * 1000)), 0)])
        retention.lift(store, name)
    print(f"hold `{name}` lifted")


def holds() -> None:
    """List the holds."""
    table = Table("hold", "since", "by", "reason")
    with opened_store() as store, store.connection() as connection:
        for name, reason, by, at in retention.holds(connection):
            table.add_row(name, rfc3339(at), by, reason)
    show(table)


def subject(
    agency: Annotated[str, typer.Option("--agency", help="Agency that knows the person.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line instead of a table.")] = False,
) -> None:
    """What the ledger says about a person: records of the last 14 days, older ones by `audit statement`; consents.

    What was done, when, to whom, on what basis. The id is asked for. Records are found by the redactor's signed claims,
    as long as `redacted` keeps them; consents by the person.
    """
    settings = load_settings()
    person = ask("the person's id at that agency", hidden=True)
    secret = keys.secret(keys.load(settings.keys_dir, ["pseudonym"])["pseudonym"])
    pseudonym = keys.pseudonym(secret, agency, person.strip())
    records = records_of(settings, {pseudonym}, name=NAME).get(pseudonym, set())
    print(f"{len(records)} records of the last 14 days; older ones: `audit statement RECORD`", file=sys.stderr)
    rows = []
    with opened_store(settings) as store, store.connection() as connection:
        for record in sorted(records):
            for found in search(connection, Query(record=record)):
                rows += [{"record": record, **row} for row in statement_rows(found)]
        for found in search(connection, Query(service="consent")):
            if found.entry is not None and found.entry.get("subject") == pseudonym:
                rows += [{"record": "", **row, "to": found.entry.get("recipient", "")} for row in statement_rows(found)]
    if as_json:
        for row in rows:
            print(json.dumps(row))
        return
    table = Table("record", "operation", "time", "by", "to", "basis", title=f"subject {pseudonym}")
    for row in rows:
        table.add_row(*(str(row[name]) for name in ("record", "operation", "time", "by", "to", "basis")))
    show(table)
    print(f"{len(rows)} operations")
