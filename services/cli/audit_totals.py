"""`audit totals`: how many records had a mask of which class, as one day by feed that tells of nobody."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from sqlalchemy import Connection

from services.cli.audit import opened_store
from services.cli.quarantine import Why
from services.cli.shown import show
from services.cli.unlock import detail_of, read_identity, send_first
from services.kernel import ledger
from services.kernel.detail import Detail
from services.kernel.errors import ConfigError
from services.kernel.settings import load_settings
from services.ledger import totals as made
from services.ledger.search import Query, search


def totals(
    day: Annotated[str, typer.Argument(help="A day that is over, UTC: 2026-11-24.")],
    identity: Annotated[Path, typer.Option("--identity", help="File with the age identity of that day's period.")],
    by: Annotated[str, typer.Option("--by", help="Your staff id. It goes into the ledger.")],
    why: Annotated[Why, typer.Option("--why", help="On what ground. It goes into the ledger.")] = Why.AUDIT,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Count records by feed and class of mask. Nothing under ten is said, the rest is rounded to five.

    Hidden cells do not follow from the totals: further cells are hidden where they would. First who asks and why is
    an entry of the ledger; single records are not shown.
    """
    since = _start(day)
    settings = load_settings()
    secret = read_identity(identity)
    entry = ledger.tallied(day, by=by, why=why.value, now=int(time.time() * 1000))
    send_first(settings.kafka_config(), [entry])
    feeds: set[str] = set()
    with opened_store(settings) as store, store.connection() as connection:
        counts = made.counted(_details(connection, since, secret, feeds))
    _show(day, made.publishable(counts, feeds), as_json)


def _start(day: str) -> int:
    """First millisecond of a day that is over."""
    try:
        start = datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC)
    except ValueError as error:
        raise ConfigError("audit totals", [f"`{day}` is no day: write 2026-11-24"]) from error
    if datetime.now(UTC) - timedelta(days=1) < start:
        raise ConfigError("audit totals", [f"{day} is not over (UTC): numbers of a part of a day could be compared"])
    return int(start.timestamp() * 1000)


def _details(connection: Connection, since: int, secret: str, feeds: set[str]) -> Iterator[tuple[str, Detail]]:
    """Feed and opened detail of each record that the redactor handled that day; feeds that were seen go to `feeds`."""
    query = Query(since=since, until=since + 86_400_000, service="redactor")
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("records", total=None)
        for found in search(connection, query):
            progress.advance(task)
            if found.entry is None or found.entry.get("canary"):
                continue
            if found.entry["feed"] and found.entry["sealed"]:
                feeds.add(found.entry["feed"])
                yield found.entry["feed"], detail_of(found.entry["sealed"], secret)


def _show(day: str, shown: made.Totals, as_json: bool) -> None:
    feeds, classes = sorted(shown.feeds), sorted(shown.classes)
    if as_json:
        rows = [{"feed": feed, "class": name, "records": shown.cells[feed, name]} for feed in feeds for name in classes]
        print(json.dumps({"day": day, "cells": rows, "feeds": shown.feeds, "classes": shown.classes}))
        return
    table = Table("class", *feeds, "all feeds", title=f"records with a mask, {day} UTC", show_footer=False)
    for name in classes:
        table.add_row(name, *(_said(shown.cells[feed, name]) for feed in feeds), _said(shown.classes[name]))
    table.add_section()
    table.add_row("all classes", *(_said(shown.feeds[feed]) for feed in feeds), "")
    show(table)
    print(f"·: under {made.LEAST}, or hidden so that it does not follow. Others are rounded to {made.ROUNDED_TO}.")
    print("A record with masks of two classes counts in both. Erased and quarantined records are not in it.")


def _said(number: int | None) -> str:
    return "·" if number is None else str(number)
