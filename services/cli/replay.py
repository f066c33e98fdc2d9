"""`safe-reporting replay`: retained input through the detector and policy of today; what would be otherwise, and why.

Nothing is published by it. With two signatures the records that differ go through the service again, as new versions;
`leak due` then takes back what may not be out any more.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.table import Table

from services.cli.audit import opened_store
from services.cli.policy_sign import private_key
from services.cli.shown import show
from services.kernel import consent
from services.kernel.approval import Approval, Request, demand, sign
from services.kernel.approvers import load_approvers
from services.kernel.attestation import HEADER, AttestationError, Claims
from services.kernel.attestation import verify as verify_attestation
from services.kernel.errors import ConfigError, RefusedError
from services.kernel.jsonio import UNREADABLE
from services.kernel.kafka.reader import read_all, read_one, send
from services.kernel.kafka.topology import load_topology
from services.kernel.keys import load, public_key
from services.kernel.record import Batch, Inbound, Message, Outcome
from services.kernel.sensitive import SensitiveBytes
from services.kernel.settings import Settings, load_settings
from services.kernel.whole import demand_writable, write_whole
from services.ledger.search import Query, search
from services.redactor.build import build_step as build_redactor
from services.router.build import build_step as build_router

app = typer.Typer(no_args_is_help=True)

#: The account that these commands run as.
NAME = "cli-replay"
ACTION = "replay"

Place = tuple[str, int, int]


class Difference(msgspec.Struct, frozen=True):
    """One record that would come out otherwise. `leaf` is the redactor's entry of it; `was` and `now` are outcomes."""

    topic: str
    partition: int
    offset: int
    leaf: int | None
    record: str | None
    was: str
    now: str
    redacted_otherwise: bool
    gained: tuple[str, ...]
    lost: tuple[str, ...]


class Listed(msgspec.Struct):
    """The file of one replay; approvals are added by `publish`."""

    records: int
    differences: tuple[Difference, ...]
    approvals: tuple[Approval, ...] = ()

    @property
    def request(self) -> Request:
        """What two persons sign: exactly these differences."""
        return Request(ACTION, hashlib.sha256(msgspec.json.encode(self.differences)).hexdigest())


@app.command("list")
def list_(
    file: Annotated[Path, typer.Argument(help="File to write the differences to; must not be there.")],
    feed: Annotated[str | None, typer.Option("--feed", help="This feed alone.")] = None,
) -> None:
    """Run retained records through the detector and policy of this deployment, and list what would be otherwise.

    Listed are positions, pseudonyms, outcomes and partners; no content. Of each record its last retained version alone
    is compared: an older one would go out as the newest. Canaries are left out, and what has no record id: it would go
    out as one more record.
    """
    settings = load_settings()
    if file.exists():
        raise ConfigError("replay list", [f"`{file}` is there already"])
    demand_writable(file)
    topics = [t.name for t in load_topology(settings.topology_file).topics_of("redactor")]
    wanted = [name for name in topics if feed is None or name.endswith(f".{feed}")]
    with tempfile.TemporaryDirectory() as folder:
        again = _Again(settings, Path(folder))
        then = _Then(settings)
        last: dict[str, tuple[int, int, Difference | None]] = {}
        count = 0
        for topic in wanted:
            for record in read_all(settings.kafka_config(), topic, name=NAME, deadline=3600.0):
                made = again.run(record)
                if made[0].canary or then.planted(record):
                    continue
                count += 1
                name, at = then.name(record, made[0]), (record.timestamp, record.offset)
                if name is not None and at >= last.get(name, at)[:2]:
                    last[name] = *at, None if _nameless(made[2]) else then.compare(record, *made)
    listed = Listed(count, tuple(found for _, _, found in last.values() if found is not None))
    _write(file, listed)
    _show(listed)


@app.command()
def publish(
    file: Annotated[Path, typer.Argument(help="As `replay list` wrote it.")],
    by: Annotated[str, typer.Option("--by", help="Your id in approvers.yaml.")],
    key: Annotated[Path, typer.Option("--key", help="File of your private key: 64 hex digits.")],
    reason: Annotated[str, typer.Option("--reason", help="Why the records go out again.")],
) -> None:
    """Approve as one person; with the second person's approval the records that differ go through the service again."""
    settings = load_settings()
    published = file.with_name(file.name + ".published")
    if published.exists():
        raise RefusedError(f"`{published.name}` is there: this list went out; make a new one with `replay list`")
    try:
        listed = msgspec.json.decode(file.read_bytes(), type=Listed)
    except (OSError, *UNREADABLE) as error:
        raise ConfigError("replay publish", [f"`{file}` is no list of a replay"]) from error
    now = int(time.time() * 1000)
    made = sign(listed.request, private_key(key), by=by, reason=reason, reference="replay", now=now)
    listed.approvals = (*listed.approvals, made)
    if len(listed.approvals) < 2:
        _write(file, listed)
        print(f"approved by {by}; one more person must approve `{file.name}`")
        return
    demand(listed.request, listed.approvals, approvers=load_approvers(settings.approvers_file), now=now)
    config, sent = settings.kafka_config(), 0
    for one in listed.differences:
        record = read_one(config, (one.topic, one.partition, one.offset), name=NAME)
        if record is not None and record.value is not None:
            send(config, [(_again(record), record.partition)])
            sent += 1
    file.write_bytes(msgspec.json.format(msgspec.json.encode(listed), indent=2) + b"\n")  # with both approvals
    file.rename(published)
    print(f"{sent} of {len(listed.differences)} records sent again; the others are not retained any more")


def _write(file: Path, listed: Listed) -> None:
    write_whole(file, msgspec.json.format(msgspec.json.encode(listed), indent=2) + b"\n")


def _again(record: Inbound) -> Message:
    headers = tuple((name, value.reveal()) for name, value in record.headers if value is not None)
    key = record.key.reveal() if record.key is not None else None
    return Message(record.topic, key, record.value.reveal() if record.value is not None else None, headers)


def _nameless(redacted: Message | None) -> bool:
    """Whether the record is named after its position, for want of an id: at another position it is another record."""
    return redacted is not None and redacted.key == dict(redacted.headers).get("ce_id")


class _Again:
    """The services' own steps, as they stand today, with the consents of today."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._redactor, self._router = build_redactor(settings), build_router(settings)
        register = consent.Register()
        for record in read_all(settings.kafka_config(), consent.TOPIC, name=NAME):
            register.hear(record.value.reveal() if record.value is not None else None, record.offset)
        facts = {"consents": consent.BookFile(folder).write(register)}
        self._batch = Batch(now=int(time.time() * 1000), facts=facts)

    def run(self, record: Inbound) -> tuple[Outcome, Outcome | None, Message | None]:
        """What redactor and router make of it; the router's None where it would not get it."""
        redacted = self._redactor(record, self._batch)
        sent = next((message for message in redacted.messages if message.topic == "redacted"), None)
        if sent is None:
            return redacted, None, None
        headers = tuple((name, SensitiveBytes(value)) for name, value in sent.headers)
        value = SensitiveBytes(sent.value or b"")
        onward = Inbound(sent.topic, record.partition, record.offset, record.timestamp, None, value, headers)
        return redacted, self._router(onward, self._batch), sent


class _Then:
    """What came of each record when it was handled, by the ledger and the redactor's signed claims."""

    def __init__(self, settings: Settings) -> None:
        self._entries: dict[Place, tuple[int, str, str | None]] = {}
        self._planted: set[Place] = set()
        routed: dict[Place, frozenset[str]] = {}
        with opened_store(settings) as store, store.connection() as connection:
            for found in search(connection, Query()):
                entry = found.entry
                if entry is None or entry["source"] is None or entry["service"] not in ("redactor", "router"):
                    continue
                place = entry["source"]["topic"], entry["source"]["partition"], entry["source"]["offset"]
                if "canary" in entry:
                    self._planted.add(place)
                elif entry["service"] == "redactor":
                    self._entries[place] = found.leaf, entry["outcome"], entry["record"]
                else:
                    routed[place] = _allowed(entry["decisions"])
        public = load(settings.keys_dir, ["attest-pub"])["attest-pub"]
        self._known = {public.id: public_key(public)}
        self._hashes: dict[Place, str] = {}
        self._partners: dict[Place, frozenset[str]] = {}
        for record in read_all(settings.kafka_config(), "redacted", name=NAME, deadline=3600.0):
            claims = self._claims(record.header(HEADER), record.value.reveal() if record.value is not None else b"")
            if claims is not None:
                self._hashes[claims.source] = claims.sha256
                self._partners[claims.source] = routed.get((record.topic, record.partition, record.offset), frozenset())

    def _claims(self, header: bytes | None, value: bytes) -> Claims | None:
        try:
            return verify_attestation(header, value, self._known)
        except AttestationError:
            return None

    def planted(self, record: Inbound) -> bool:
        """Whether it was handled as a canary; today's deployment may not know it for one."""
        return (record.topic, record.partition, record.offset) in self._planted

    def name(self, record: Inbound, redacted: Outcome) -> str | None:
        """The record's pseudonym, by today's redactor or as it was handled; None where neither could read it."""
        entry = self._entries.get((record.topic, record.partition, record.offset))
        return redacted.record or (entry[2] if entry is not None else None)

    def compare(
        self, record: Inbound, redacted: Outcome, routed: Outcome | None, sent: Message | None
    ) -> Difference | None:
        """How it would come out otherwise; None where it would not, or was not handled yet."""
        place = record.topic, record.partition, record.offset
        if place not in self._entries:
            return None
        leaf, was, about = self._entries[place]
        now_hash = None
        if sent is not None:
            claims = self._claims(dict(sent.headers).get(HEADER), sent.value or b"")
            now_hash = claims.sha256 if claims is not None else None
        now = (
            _allowed([{"partner": d.partner, "effect": d.effect} for d in routed.decisions]) if routed else frozenset()
        )
        before = self._partners.get(place, frozenset())
        otherwise = self._hashes.get(place) != now_hash
        if was == redacted.kind.value and not otherwise and now == before:
            return None
        gained, lost = tuple(sorted(now - before)), tuple(sorted(before - now))
        return Difference(*place, leaf, about, was, redacted.kind.value, otherwise, gained, lost)


def _allowed(decisions: Iterable[Mapping[str, str]]) -> frozenset[str]:
    return frozenset(one["partner"] for one in decisions if one["effect"] == "allow")


def _show(listed: Listed) -> None:
    table = Table("what would be otherwise", "records", title=f"{listed.records} records through today's deployment")
    for what, count in _counted(listed.differences):
        table.add_row(what, str(count))
    show(table)
    print(f"{len(listed.differences)} records would come out otherwise; nothing was published")


def _counted(differences: tuple[Difference, ...]) -> Iterator[tuple[str, int]]:
    counts: Counter[str] = Counter()
    for one in differences:
        if one.was != one.now:
            counts[f"{one.was} → {one.now}"] += 1
        counts["masked otherwise"] += one.redacted_otherwise and one.was == one.now
        counts.update(f"let out to {partner} as well" for partner in one.gained)
        counts.update(f"no longer to {partner}" for partner in one.lost)
    yield from sorted((what, count) for what, count in counts.items() if count)
