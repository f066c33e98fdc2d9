"""One message of the `ledger` topic as a leaf: checked, hashed, and what it is searched by."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema_rs
import orjson

from services.kernel.approval import milliseconds
from services.kernel.record import Inbound

HOUR_MS = 3_600_000
#: Offsets that one entry may speak of: reconciling holds each of them in memory.
LONGEST = 100_000
#: Services that handle every offset of their input.
CHAINED = frozenset({"redactor", "router"})


@dataclass(frozen=True, slots=True)
class Link:
    """One link of the chain: what a service handled, and what it says it handled before."""

    service: str
    topic: str
    partition: int
    offset: int
    previous: int | None
    until: int


@dataclass(frozen=True, slots=True)
class Leaf:
    """A leaf to append. `fault` says why the entry is none; then it is in the tree, and in nothing that is searched."""

    position: int
    hash: bytes
    body: bytes
    time: int
    service: str = ""
    agency: str | None = None
    feed: str | None = None
    outcome: str | None = None
    reason: str | None = None
    record: bytes | None = None
    partners: tuple[str, ...] = ()
    link: Link | None = None
    fault: str | None = None

    @property
    def hour(self) -> int:
        """Hours since the epoch."""
        return self.time // HOUR_MS


class Reader:
    """Makes leaves of messages.

    Args:
        schemas: folder that holds `messages/ledger-entry.json`.
    """

    def __init__(self, schemas: Path) -> None:
        schema = orjson.loads((schemas / "messages" / "ledger-entry.json").read_bytes())
        self._validator = jsonschema_rs.validator_for(schema)

    def leaf(self, record: Inbound) -> Leaf:
        """The leaf of one message; one that does not fit the schema is a leaf with a fault."""
        body = record.value.reveal() if record.value is not None else b""
        return self.read(body, record.offset, record.timestamp)

    def read(self, body: bytes, position: int, time: int) -> Leaf:
        """The leaf of one entry.

        Args:
            position: its offset in the topic.
            time: what counts where the entry itself says none, milliseconds since the epoch.
        """
        digest = hashlib.sha256(b"\x00" + body).digest()
        try:
            entry = orjson.loads(body)
        except orjson.JSONDecodeError:
            return Leaf(position, digest, body, time, fault="not_json")
        with suppress(Exception):  # what one who may write to the topic makes up never ends the service
            if self._validator.is_valid(entry) and _counts(entry["source"]):
                return _leaf(entry, position, digest, body, time)
        return Leaf(position, digest, body, time, fault="schema")


def _leaf(entry: dict[str, Any], position: int, digest: bytes, body: bytes, time: int) -> Leaf:
    return Leaf(
        position,
        digest,
        body,
        milliseconds(entry["time"]) or time,
        entry["service"],
        entry["agency"],
        entry["feed"],
        entry["outcome"],
        entry["reason"],
        bytes.fromhex(entry["record"]) if entry["record"] else None,
        tuple(dict.fromkeys(one["partner"] for one in entry["decisions"] if one["effect"] == "allow")),
        _link(entry),
    )


def _counts(source: dict[str, Any] | None) -> bool:
    """Whether its numbers are whole: to a JSON schema 5.0 is an integer too, and `range` takes none; nor a huge one."""
    if source is None:
        return True
    numbers = [value for name, value in source.items() if name != "topic"]
    whole = all(value is None or type(value) is int for value in numbers)
    return whole and 0 <= source.get("until", source["offset"]) - source["offset"] < LONGEST


def let_out(entry: dict[str, Any]) -> list[dict[str, Any]]:
    """Decisions by which a partner got something. What was planted keeps its decisions, and no partner got it."""
    planted = "canary" in entry
    return [decision for decision in entry["decisions"] if decision["effect"] == "allow" and not planted]


def _link(entry: dict[str, Any]) -> Link | None:
    """The link of a service's entry; an entry made by hand is in no chain."""
    source = entry["source"]
    if source is None or entry["service"] not in CHAINED:
        return None
    until = source.get("until", source["offset"])
    return Link(entry["service"], source["topic"], source["partition"], source["offset"], source["previous"], until)
