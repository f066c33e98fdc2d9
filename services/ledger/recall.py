"""What left and must come back: deliveries by the log, what was recalled of them, and what is due by itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from services.kernel.consent import RECORD_SCOPE
from services.ledger import tables
from services.ledger.entries import HOUR_MS
from services.ledger.search import Found, Query, search

#: `service` of the entries that a recall leaves.
SERVICE = "recall"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message that was let out: to whom, under which key, when, and on what; `source` is the redacted record."""

    record: str
    partner: str
    view: str
    key: str
    source: tuple[str, int, int]
    time: str
    leaf: int
    policies: tuple[str, ...]
    versions: tuple[tuple[str, str], ...]

    @property
    def place(self) -> tuple[str, str]:
        """What a recall names: the partner and the message key."""
        return self.partner, self.key


def deliveries(connection: Connection, record: str) -> list[Delivery]:
    """Everything that was let out of a record, oldest first."""
    return [one for found in search(connection, Query(record=record)) for one in _of_entry(found)]


def behind(connection: Connection, partner: str, key: str, at: int) -> Delivery | None:
    """The delivery behind a message of a partner's topic.

    Args:
        at: the broker's time of the message, milliseconds since the epoch: its entry lies within an hour of it.
    """
    query = Query(partner=partner, since=at - HOUR_MS, until=at + HOUR_MS)
    found = (one for entry in search(connection, query) for one in _of_entry(entry) if one.place == (partner, key))
    return next(found, None)


def outstanding(connection: Connection, record: str) -> list[Delivery]:
    """What was let out of a record and not recalled since, the newest of each partner and key."""
    back = recalled(connection, record)
    return [one for one in {one.place: one for one in deliveries(connection, record)}.values() if one.place not in back]


def recalled(connection: Connection, record: str) -> dict[tuple[str, str], str]:
    """When each copy of a record was recalled, by partner and key; not where it was let out again since."""
    out = {one.place: one.leaf for one in deliveries(connection, record)}
    back: dict[tuple[str, str], str] = {}
    for found in search(connection, Query(record=record, service=SERVICE)):
        for decision in found.entry["decisions"] if found.entry is not None else ():
            place = decision["partner"], decision.get("key", "")
            if found.entry is not None and out.get(place, found.leaf) < found.leaf:
                back[place] = found.entry["time"]
    return back


def overtaken(connection: Connection) -> list[Delivery]:
    """Deliveries that the newest decision about their record would not let out: a role, an area, a consent changed.

    1. Walk the entries of router and recalls in the order of the log.
    2. What is let out is open; what a later decision refuses to the same partner is due, what it allows is not.
    3. What was recalled is done.
    """
    held = tables.leaf.c
    wanted = sa.or_(held.service == "router", held.service == SERVICE)
    standing: dict[tuple[str, str], Delivery] = {}
    due: dict[tuple[str, str], Delivery] = {}
    for found in search(connection, Query(), where=wanted):  # 1
        entry = found.entry
        if entry is None or entry["record"] is None or entry["source"] is None:
            continue
        for decision in entry["decisions"]:
            about = entry["record"], decision["partner"]
            if entry["service"] == SERVICE:  # 3
                standing.pop(about, None)
                due.pop(about, None)
            elif decision["effect"] == "allow" and "key" in decision:  # 2
                standing[about] = _delivery(found, entry, decision)
                due.pop(about, None)
            elif about in standing:
                due[about] = standing[about]
    return sorted(due.values(), key=lambda one: one.leaf)


def withdrawn(connection: Connection) -> list[tuple[str, str, str]]:
    """(subject, recipient, time) of each consent to the record that was withdrawn and asks for a recall."""
    return [
        (found.entry["subject"], found.entry["recipient"], found.entry["time"])
        for found in search(connection, Query(service="consent"))
        if found.entry is not None
        and (found.entry.get("asks"), found.entry.get("scope", RECORD_SCOPE)) == ("recall", RECORD_SCOPE)
        and {"subject", "recipient"} <= found.entry.keys()
    ]


def without_consent(
    connection: Connection, asked: Iterable[tuple[str, str, str]], records: dict[str, set[str]]
) -> Iterator[Delivery]:
    """Deliveries to a recipient before its consent was withdrawn, which were not recalled.

    Args:
        asked: as `withdrawn` gives it.
        records: which records a subject stands in.
    """
    for subject, recipient, time in asked:
        for record in sorted(records.get(subject, ())):
            for one in outstanding(connection, record):
                if one.partner == recipient and one.time <= time:
                    yield one


def _of_entry(found: Found) -> Iterator[Delivery]:
    entry = found.entry
    if entry is None or entry["record"] is None or entry["source"] is None or entry["service"] != "router":
        return
    for decision in entry["decisions"]:
        if decision["effect"] == "allow" and "key" in decision:
            yield _delivery(found, entry, decision)


def _source(entry: dict[str, Any]) -> tuple[str, int, int]:
    source = entry["source"]
    return source["topic"], source["partition"], source["offset"]


def _delivery(found: Found, entry: dict[str, Any], decision: dict[str, Any]) -> Delivery:
    return Delivery(
        entry["record"], decision["partner"], decision["view"], decision["key"], _source(entry),
        entry["time"], found.leaf, tuple(decision["policies"]), tuple(sorted(entry["versions"].items())),
    )  # fmt: skip
