"""`safe-reporting gate`: stop everything that leaves, at once; and open it again as two persons."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from services.cli.policy_sign import private_key
from services.kernel import ledger
from services.kernel.approval import demand, sign
from services.kernel.approvers import load_approvers
from services.kernel.errors import ConfigError
from services.kernel.gate import KEY, TOPIC, Gate
from services.kernel.kafka.closing import close_gate
from services.kernel.kafka.reader import read_all, send
from services.kernel.ledger import rfc3339
from services.kernel.settings import load_settings

app = typer.Typer(no_args_is_help=True)

#: The account that these commands run as.
NAME = "cli-operator"


class Ground(StrEnum):
    """Why the gate is closed or opened."""

    LEAK_SUSPECTED = "leak_suspected"
    GUARANTEE_FAILED = "guarantee_failed"
    AGREEMENT_ENDED = "agreement_ended"
    DRILL = "drill"
    MAINTENANCE = "maintenance"
    RESTORED = "restored"


By = Annotated[str, typer.Option("--by", help="Your staff id. It goes into the ledger.")]
Reference = Annotated[str | None, typer.Option("--reference", help="Number of the incident.")]


@app.command()
def close(
    by: By,
    why: Annotated[Ground, typer.Option("--why", help="Why it is closed.")],
    reference: Reference = None,
    slots: Annotated[int, typer.Option("--slots", min=0, help="Router workers to fence: slots 0 to this.")] = 4,
) -> None:
    """Close the gate: no router publishes from its next batch on, and what it has open is taken back.

    Each router slot is fenced, so that one that stands still cannot commit later either. The redactor goes on.
    """
    config = load_settings().kafka_config()
    close_gate(config, by=by, why=why.value, reference=reference, slots=slots)
    print(f"closed; {slots} router slots fenced. Records wait in `redacted` (14 days)")


@app.command("open")
def open_(
    file: Annotated[Path, typer.Argument(help="Made by the first person, completed by the second.")],
    by: By,
    key: Annotated[Path, typer.Option("--key", help="File of your private key: 64 hex digits.")],
    reference: Reference = None,
) -> None:
    """Open the gate as two persons: the first makes the file, the second completes it, and it is opened."""
    settings, now = load_settings(), int(time.time() * 1000)
    said = Gate("open", rfc3339(now), by, "restored", reference)
    if file.exists():
        try:
            said = msgspec.json.decode(file.read_bytes(), type=Gate)
        except msgspec.DecodeError as error:
            raise ConfigError("gate open", [f"`{file}` is no opening of the gate"]) from error
    made = sign(said.request, private_key(key), by=by, reason="open", reference=reference or "gate", now=now)
    said = msgspec.structs.replace(said, approvals=(*said.approvals, made))
    if len(said.approvals) < said.request.persons:
        file.write_bytes(msgspec.json.format(msgspec.json.encode(said), indent=2) + b"\n")
        print(f"approved by {by}; one more person must approve `{file.name}`")
        return
    demand(said.request, said.approvals, approvers=load_approvers(settings.approvers_file), now=now)
    config = settings.kafka_config()
    entry = ledger.gate("opened", by=said.by, second=by, reference=reference, now=now)
    send(config, [(said.message, 0), (entry, 0)])
    file.unlink()
    print(f"opened by {said.by} and {by}")


@app.command()
def state() -> None:
    """Say whether the gate is open, since when and why."""
    last = None
    for record in read_all(load_settings().kafka_config(), TOPIC, name=NAME):
        if record.key is not None and record.key.reveal() == KEY and record.value is not None:
            last = msgspec.json.decode(record.value.reveal(), type=Gate)
    print(f"{last.state} since {last.at}, by {last.by}: {last.why}" if last else "open: it was never closed")
