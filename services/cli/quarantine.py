"""`safe-reporting quarantine`: what failed closed. The list shows metadata; opening one is itself recorded."""

from __future__ import annotations

import json
import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from services.kernel import ledger
from services.kernel.errors import ConfigError, RefusedError
from services.kernel.kafka.reader import read_all, send
from services.kernel.record import Inbound
from services.kernel.sealing import open_sealed
from services.kernel.settings import load_settings

app = typer.Typer(no_args_is_help=True)


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


def _metadata(record: Inbound) -> dict[str, str]:
    """What stands open on a quarantine message; nothing of it comes from the record."""
    headers = {name: (record.header(name) or b"").decode("ascii", "replace") for name, _ in record.headers}
    return {
        "position": f"{record.partition}/{record.offset}",
        "time": headers.get("sr-time", ""),
        "reason": headers.get("sr-reason", ""),
        "source": "{}/{}/{}".format(*(headers.get(f"sr-source-{n}", "?") for n in ("topic", "partition", "offset"))),
        "recipient": headers.get("sr-recipient", ""),
        "bytes": str(len(record.value or b"")),
    }


@app.command("list")
def list_(as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False) -> None:
    """List what is held: position, time, coarse reason, where it came from. No content."""
    config = load_settings().kafka_config()
    rows = [_metadata(record) for record in read_all(config, "quarantine", name="compliance")]
    if as_json:
        for row in rows:
            print(json.dumps(row))
        return
    table = Table(
        "position", "time", "reason", "source topic/partition/offset", "bytes", title=f"quarantine: {len(rows)}"
    )
    for row in rows:
        table.add_row(row["position"], row["time"], row["reason"], row["source"], row["bytes"])
    Console().print(table)


@app.command("open")
def open_(
    position: Annotated[str, typer.Argument(help="PARTITION/OFFSET, as `quarantine list` shows it.")],
    identity: Annotated[Path, typer.Option("--identity", help="File with the age identity it was sealed to.")],
    by: Annotated[str, typer.Option("--by", help="Who opens it: your staff id. It goes into the ledger.")],
    why: Annotated[Why, typer.Option("--why", help="On what ground. It goes into the ledger.")],
) -> None:
    """Open one record for the holder of its key.

    1. Find it. 2. Commit a consultation entry to the ledger; without it nothing is opened. 3. Decrypt and print.
    """
    settings = load_settings()
    config = settings.kafka_config()
    if not by.strip():
        raise ConfigError("quarantine open", ["`--by` is empty: the ledger must say who"])
    try:
        secret = identity.read_text().strip()
    except OSError as error:
        raise ConfigError("quarantine open", [f"`{identity}`: {error.strerror}"]) from error
    found = next(  # 1
        (r for r in read_all(config, "quarantine", name="compliance") if f"{r.partition}/{r.offset}" == position), None
    )
    if found is None or found.value is None:
        raise ConfigError("quarantine open", [f"nothing at `{position}`: `quarantine list` shows what there is"])
    entry = ledger.consultation(found, by=by.strip(), why=why.value, now=int(time.time() * 1000))
    try:
        send(config, [(entry, 0)])  # 2
    except Exception as error:
        raise RefusedError(f"not opened, because the ledger did not take the entry: {error}") from error
    sealed = msgspec.msgpack.decode(open_sealed(found.value.reveal(), secret))  # 3
    print(f"reason: {sealed['reason']}", file=sys.stderr)
    sys.stdout.buffer.write((sealed["value"] or b"") + b"\n")
