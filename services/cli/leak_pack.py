"""The evidence of a leak: what a regulator and a court may ask for, with proofs; and a case so that it stays found."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from services.cli.leak_trace import Trace, texts
from services.kernel.errors import ConfigError, RefusedError
from services.kernel.kafka.reader import read_all
from services.kernel.whole import whole_folder
from services.ledger import export, note, tables
from services.ledger.recall import SERVICE
from services.ledger.search import Found, Query, search
from services.ledger.store import Hashes, Store

#: No run of so many words of the source may stand in a case.
RUN = 5


def write(folder: Path, trace: Trace, store: Store, known: Sequence[Ed25519PublicKey]) -> int:
    """Write the pack; number of ledger entries in it.

    1. Timeline and recipients from the trace.
    2. Versions of policy and detector of the deliveries, and of what the log says now.
    3. The ledger's entries of all its records, and of the recall, with proofs, and the key that signed the checkpoint.

    Args:
        known: the log's public keys: of a new one the log may not have made use yet.

    Raises:
        ConfigError: the folder is not empty or cannot be written, or the log has no checkpoint; nothing is left in it.
        RefusedError: its last checkpoint is by none of the keys.
    """
    checkpoints = store.checkpoints()
    if not checkpoints:
        raise ConfigError("leak pack", ["the log has no checkpoint yet: is the ledger service running?"])
    signed = note.read(checkpoints[-1])
    key = note.verify(signed, *known)
    with whole_folder(folder), store.connection() as connection:
        (folder / "timeline.json").write_bytes(_pretty(_timeline(trace)))  # 1
        with (folder / "recipients.csv").open("w", newline="", encoding="utf-8") as table:
            rows = csv.writer(table)
            rows.writerow(("partner", "deliveries", "first", "last", "recalled", "receipt"))
            rows.writerows(_recipients(trace))
        newest = next(iter(_newest(connection)), None)
        after = newest.entry["versions"] if newest is not None and newest.entry is not None else {}
        (folder / "versions.json").write_bytes(_pretty({"before": _versions(trace), "after": after}))  # 2
        found = sorted({one.leaf: one for one in _entries(connection, trace)}.values(), key=lambda one: one.leaf)
        done = export.write(folder / "ledger", found, hashes=Hashes(connection), signed=signed, key=key)  # 3
    return done.entries


def _timeline(trace: Trace) -> dict[str, Any]:
    steps: list[dict[str, object]] = [{"time": trace.aware, "what": "became known", "by": trace.by}]
    steps += [{"time": one.time, "what": f"let out to {one.partner}", "leaf": one.leaf} for one in trace.sent]
    steps += [{"time": at, "what": f"recalled from {place.split('/')[0]}"} for place, at in trace.recalled.items()]
    steps += [{"time": at, "what": f"receipt of {partner}"} for partner, at in trace.receipts.items()]
    records = sorted({one.record for one in trace.sent})
    said = {"trace": trace.id, "aware": trace.aware, "notify_until": trace.deadline, "regression_case": trace.case}
    return {**said, "records": records, "steps": sorted(steps, key=lambda step: str(step["time"]))}


def _recipients(trace: Trace) -> Iterator[tuple[object, ...]]:
    for partner, count in trace.recipients.items():
        times = sorted(one.time for one in trace.sent if one.partner == partner)
        back = sorted(at for place, at in trace.recalled.items() if place.startswith(f"{partner}/"))
        first, last = (times[0], times[-1]) if times else ("", "")  # no entry let it out
        yield partner, count, first, last, back[-1] if back else "", trace.receipts.get(partner, "")


def _versions(trace: Trace) -> dict[str, list[str]]:
    found: dict[str, set[str]] = {}
    for one in trace.sent:
        for name, version in one.versions.items():
            found.setdefault(name, set()).add(version)
    return {name: sorted(versions) for name, versions in sorted(found.items())}


def _newest(connection: sa.Connection) -> Iterator[Found]:
    """The router's last entry: its versions are those in use."""
    held = tables.leaf.c
    last = connection.execute(sa.select(sa.func.max(held.idx)).where(held.service == "router")).scalar()
    yield from search(connection, Query(), where=held.idx == last)


def _entries(connection: sa.Connection, trace: Trace) -> Iterator[Found]:
    """Every entry of the traced records, and what the recall wrote."""
    for record in sorted({one.record for one in trace.sent}):
        yield from search(connection, Query(record=record))
    for found in search(connection, Query(service=SERVICE)):
        if found.entry is not None and found.entry.get("reference") == trace.id:
            yield found


def gold_line(text: str, kind: str, *, id_: str) -> dict[str, object]:
    """A gold line of a sentence whose mention stands in [[ ]].

    Raises:
        ConfigError: there is not exactly one mention.
    """
    parts = re.split(r"\[\[|\]\]", text)
    if len(parts) != 3 or not parts[1].strip():
        raise ConfigError("leak case", ["mark exactly one mention: … [[like this]] …"])
    before, mention, after = parts
    span = {"s": len(before), "e": len(before) + len(mention), "type": kind, "req": True, "subject": "protected"}
    return {"id": id_, "text": before + mention + after, "spans": [span]}


def sources(config: Mapping[str, str], trace: Trace, *, name: str) -> Iterator[str]:
    """Every text of the copies that the topics still hold."""
    places = {(copy.partner, copy.partition, copy.offset) for copy in trace.copies}
    for partner in sorted({copy.partner for copy in trace.copies}):
        for record in read_all(config, f"partner.{partner}", name=name, deadline=600.0):
            if (partner, record.partition, record.offset) in places and record.value is not None:
                yield from texts(record.value.reveal())


def refuse_runs(text: str, found: Iterator[str]) -> None:
    """Refuse a case that has five words in a row of a source.

    Raises:
        RefusedError: it has.
    """
    own = _runs(text)
    if any(own & _runs(source) for source in found):
        raise RefusedError(f"{RUN} words in a row are those of the source: say it in other words")


def _runs(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.casefold())
    return {tuple(words[at : at + RUN]) for at in range(len(words) - RUN + 1)}


def _pretty(value: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"
