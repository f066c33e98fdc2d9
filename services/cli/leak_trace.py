"""Where something went that should not have: every copy that the topics hold, every delivery by the ledger."""

from __future__ import annotations

import re
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
import orjson
from msgspec import Meta

from services.cli.log_wait import caught_up
from services.kernel.errors import ConfigError
from services.kernel.kafka.reader import read_all
from services.kernel.ledger import PSEUDONYM
from services.kernel.record import Inbound
from services.ledger.recall import Delivery, behind, deliveries
from services.ledger.store import Store
from services.redactor.text.normalise import normalise

#: Hours from the moment that one knows of a breach to the notification (UK GDPR Art. 33, DPA 2018 s.67).
CLOCK = timedelta(hours=72)
#: Message keys that `schemas/messages/ledger-entry.json` takes.
_KEY = re.compile(r"[0-9A-Za-z_-]{16,64}")


class Copy(msgspec.Struct, frozen=True):
    """A message of a partner's topic that holds the term; no text of it. `record` is None where no entry let it out."""

    partner: str
    partition: int
    offset: int
    key: str
    record: str | None


class Sent(msgspec.Struct, frozen=True):
    """A delivery of one of the records: with the term or without, still in the topic or not."""

    record: Annotated[str, Meta(pattern=PSEUDONYM)]
    partner: str
    key: str
    source: tuple[str, int, int]
    time: str
    leaf: int
    versions: dict[str, str]
    holds_term: bool


class Trace(msgspec.Struct):
    """What a reviewer takes from step to step. It names neither the term nor any text."""

    id: str
    by: str
    aware: str
    copies: tuple[Copy, ...]
    sent: tuple[Sent, ...]
    recalled: dict[str, str] = {}
    receipts: dict[str, str] = {}
    case: bool = False

    def __post_init__(self) -> None:
        """Refuse a trace whose clock cannot be read: a person may have edited the file."""
        try:
            _ = self.deadline
        except OverflowError as error:
            raise ValueError(str(error)) from error

    @property
    def deadline(self) -> str:
        """When the 72 hours are over."""
        return (datetime.fromisoformat(self.aware) + CLOCK).isoformat().replace("+00:00", "Z")

    @property
    def unknown(self) -> tuple[Copy, ...]:
        """Copies that no entry let out and that an entry can name: their key is of the form that it takes."""
        return tuple(copy for copy in self.copies if copy.record is None and _KEY.fullmatch(copy.key))

    @property
    def recipients(self) -> dict[str, int]:
        """How many copies each partner got, by its name; those that no entry let out too."""
        strange = [copy.partner for copy in self.copies if copy.record is None]
        return dict(sorted(Counter([*(one.partner for one in self.sent), *strange]).items()))


def finder(term: str) -> Callable[[bytes], bool]:
    """Whether a message holds the term in any of its texts, however it is spelt: spaced, accented, look-alike letters.

    Raises:
        ConfigError: the term is empty once it is normalised.
    """
    letters = re.findall(r"\w", normalise(term, _unknown).low)
    if len(letters) < 2:
        raise ConfigError("leak trace", ["the term is too short to look for"])
    pattern = re.compile(r"(?<!\w)" + r"[\W_]{0,3}".join(map(re.escape, letters)) + r"(?!\w)")

    def holds(value: bytes) -> bool:
        return any(pattern.search(normalise(text, _unknown).low) for text in texts(value))

    return holds


def _unknown(_: str) -> bool:
    """No word helps to join spaced letters: the pattern allows for them."""
    return False


def texts(value: bytes) -> Iterator[str]:
    """Every string of a JSON value, keys left out."""
    try:
        stack: list[Any] = [orjson.loads(value)]
    except orjson.JSONDecodeError:
        return
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            stack += item.values()
        elif isinstance(item, list):
            stack += item


def trace(
    config: Mapping[str, str], store: Store, partners: tuple[str, ...], *, name: str,
    holds: Callable[[bytes], bool] | None, records: frozenset[str], by: str, aware: str,
    progress: Callable[[str], None],
) -> Trace:  # fmt: skip
    """Find the copies and the deliveries.

    1. Run the term over everything that the partners' topics retain.
    2. Wait until the ledger has its entries, then ask it which record is behind each copy.
    3. And every delivery of these records, to anybody, whether the topic still holds it or not.

    Args:
        holds: what to look for; None where only `records` are traced.
        records: pseudonyms of records that are traced whatever they hold.
        progress: told the name of each topic.

    Raises:
        SafeReportingError: broker or database unreachable, or the log does not catch up with its topic.
    """
    hits: list[tuple[str, int, int, str, int]] = []
    for partner in partners:
        topic = f"partner.{partner}"
        progress(topic)
        hits += [  # 1
            (partner, message.partition, message.offset, _key(message), message.timestamp)
            for message in (read_all(config, topic, name=name, deadline=600.0) if holds else ())
            if message.value is not None and holds is not None and holds(message.value.reveal())
        ]
    caught_up(store, config, name=name)  # 2
    copies: list[Copy] = []
    with store.connection() as connection:
        for partner, partition, offset, key, at in hits:
            found = behind(connection, partner, key, at)
            copies.append(Copy(partner, partition, offset, key, found.record if found is not None else None))
        about = records | {copy.record for copy in copies if copy.record is not None}
        held = {(copy.partner, copy.key) for copy in copies}
        sent = [_sent(one, held) for record in sorted(about) for one in deliveries(connection, record)]  # 3
    return Trace(secrets.token_hex(8), by, aware, tuple(copies), tuple(sent))


def _key(message: Inbound) -> str:
    return message.key.reveal().decode("ascii", "replace") if message.key is not None else ""


def _sent(one: Delivery, held: set[tuple[str, str]]) -> Sent:
    return Sent(one.record, one.partner, one.key, one.source, one.time, one.leaf, dict(one.versions), one.place in held)
