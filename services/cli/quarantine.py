"""`safe-reporting quarantine`: what failed closed. The list shows metadata; what touches content is recorded first."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
import typer
from rich.table import Table

from services.cli.policy_sign import private_key
from services.cli.shown import harmless, show
from services.cli.unlock import Readers, open_one, read_identity
from services.kernel import consult, ledger, quarantine
from services.kernel.approval import demand, sign
from services.kernel.approvers import load_approvers
from services.kernel.errors import ConfigError, RefusedError
from services.kernel.kafka.reader import read_all, send, send_together
from services.kernel.quarantine import SetAside
from services.kernel.record import Inbound, Message
from services.kernel.settings import Settings, load_settings

app = typer.Typer(no_args_is_help=True)

NAME = "compliance"


class Why(StrEnum):
    """The grounds on which a sealed record may be opened."""

    FAULT_REVIEW = "fault_review"
    LEAK_REVIEW = "leak_review"
    SAFETY = "safety"
    SUBJECT_REQUEST = "subject_request"
    AUDIT = "audit"
    DIP_SAMPLE = "dip_sample"
    COMPLAINT = "complaint"
    BREACH = "breach"


Position = Annotated[str, typer.Argument(help="PARTITION/OFFSET, as `quarantine list` shows it.")]
Identity = Annotated[Path, typer.Option("--identity", help="File with the age identity it was sealed to.")]
By = Annotated[str, typer.Option("--by", help="Your staff id. It goes into the ledger.")]
Ground = Annotated[Why, typer.Option("--why", help="On what ground. It goes into the ledger.")]
Second = Annotated[str, typer.Option("--second", help="The second person's id in approvers.yaml.")]
SecondKey = Annotated[Path, typer.Option("--second-key", help="File of the second person's private key.")]


@app.command("list")
def list_(as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False) -> None:
    """List what is held: position, time, coarse reason, where it came from. No content."""
    rows = [{**_metadata(one.record), "bytes": str(one.size)} for one in _held(load_settings())]
    if as_json:
        for row in rows:
            print(json.dumps(row))
        return
    table = Table(
        "position", "time", "reason", "source topic/partition/offset", "bytes", title=f"quarantine: {len(rows)}"
    )
    for row in rows:
        table.add_row(row["position"], row["time"], row["reason"], row["source"], row["bytes"])
    show(table)


@app.command("open")
def open_(position: Position, identity: Identity, by: By, why: Ground, second: Second, second_key: SecondKey) -> None:
    """Open one record for the holder of its key, with a second person.

    The entry of who looks, why and with whom comes first; the ledger service takes the outer lock off once it is in
    the log; the identity opens the rest. Without the ledger nothing is opened. On a terminal control characters are
    escaped; into a file or a pipe it goes as it came.
    """
    _, held = _opened(load_settings(), position, identity, Readers(by.strip(), why.value, second, second_key))
    print(f"reason: {held.reason}", file=sys.stderr)
    texts = "".join(f"{pointer}: {text}\n" for pointer, text in held.texts.items())
    _write(texts.encode("utf-8", "surrogatepass") + (held.value or b"") + b"\n")


@app.command()
def release(position: Position, identity: Identity, by: By, why: Ground, second: Second, second_key: SecondKey) -> None:
    """Send a record that is held whole through the redactor again, as its agency sent it: never around it.

    For a record that a mended deployment can read: a schema that was missing, a limit that was raised.
    """
    settings = load_settings()
    if _metadata(_at(settings, position))["source"].startswith("redacted/"):
        raise RefusedError("the router set it aside: its agency's record goes through the redactor again with `replay`")
    record, held = _opened(settings, position, identity, Readers(by.strip(), why.value, second, second_key))
    if held.texts or held.value is None:
        raise RefusedError("only a text of it is held: the record itself went on long ago")
    topic, partition, _ = _metadata(record)["source"].split("/")
    headers = tuple((name, value) for name, value in held.headers if value is not None)
    send(settings.kafka_config(), [(Message(topic, held.key, held.value, headers), int(partition))])
    print(f"sent to {topic} again; its outcome is in the ledger: `safe-reporting audit search --agency …`")


@app.command()
def destroy(position: Position, by: By, why: Ground, second: Second, second_key: SecondKey) -> None:
    """Remove what is held at a position for good, with a second person and its entry. Nothing of it is opened."""
    settings = load_settings()
    record = _at(settings, position)
    source = (record.topic, record.partition, record.offset)
    now = int(time.time() * 1000)
    request = consult.request(source, by=by.strip(), why=f"destroy {why.value}")
    approval = sign(request, private_key(second_key), by=second, reason=why.value, reference="destroy", now=now)
    demand(request, [approval], approvers=load_approvers(settings.approvers_file), now=now)
    if second == by.strip():
        raise RefusedError("the second person is the first")
    entry = ledger.destroyed(source, by=by.strip(), why=why.value, second=second, now=now)
    key = record.key.reveal() if record.key is not None else None
    tombstone = (Message(quarantine.TOPIC, key, None), record.partition)
    send_together(settings.kafka_config(), [tombstone, (entry, 0)], name=NAME)
    print("destroyed; the broker removes it once a record comes there an hour or more later, or after 30 days")


def _write(data: bytes) -> None:
    """Write what somebody sent: a terminal would do what its control characters say."""
    if not sys.stdout.isatty():
        sys.stdout.buffer.write(data)
        return
    sys.stdout.write(harmless(data.decode("utf-8", "backslashreplace")))


def _opened(settings: Settings, position: str, identity: Path, readers: Readers) -> tuple[Inbound, SetAside]:
    if not readers.by:
        raise ConfigError("quarantine", ["`--by` is empty: the ledger must say who"])
    secret = read_identity(identity)
    record = _at(settings, position)
    source = (record.topic, record.partition, record.offset)
    opened = open_one(settings.kafka_config(), source, readers, secret, name=NAME)
    return record, quarantine.read(opened)


class _Held(NamedTuple):
    """A record that is held, without its value, which may be 16 MiB, and how many bytes that has."""

    record: Inbound
    size: int


def _held(settings: Settings) -> Iterator[_Held]:
    """What is held and was not destroyed. No value stays in memory: a flood of quarantines is more than there is."""
    there, gone = [], set()
    for record in read_all(settings.kafka_config(), quarantine.TOPIC, name=NAME):
        if record.value is None:
            gone.add(record.key)
        else:
            there.append(_Held(msgspec.structs.replace(record, value=None), len(record.value)))
    return (one for one in there if one.record.key not in gone)


def _at(settings: Settings, position: str) -> Inbound:
    found = next((r for r, _ in _held(settings) if f"{r.partition}/{r.offset}" == position), None)
    if found is None:
        raise ConfigError("quarantine", [f"nothing at `{position}`: `quarantine list` shows what there is"])
    return found


def _metadata(record: Inbound) -> dict[str, str]:
    """What stands open on a quarantine message; nothing of it comes from the record."""
    headers = {name: (record.header(name) or b"").decode("ascii", "replace") for name, _ in record.headers}
    return {
        "position": f"{record.partition}/{record.offset}",
        "time": headers.get("sr-time", ""),
        "reason": headers.get("sr-reason", ""),
        "source": "{}/{}/{}".format(*(headers.get(f"sr-source-{n}", "?") for n in ("topic", "partition", "offset"))),
        "recipient": headers.get("sr-recipient", ""),
    }
