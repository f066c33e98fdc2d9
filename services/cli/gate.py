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
from services.kernel.approval import sign
from services.kernel.approvers import load_approvers
from services.kernel.errors import ConfigError, RefusedError
from services.kernel.gate import TOPIC, Gate, GateState, check
from services.kernel.jsonio import UNREADABLE
from services.kernel.kafka.closing import close_gate
from services.kernel.kafka.reader import read_all, send
from services.kernel.kafka.topology import load_topology
from services.kernel.ledger import rfc3339
from services.kernel.settings import Settings, load_settings
from services.kernel.whole import write_whole

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
    slots: Annotated[
        int, typer.Option("--slots", min=0, help="Router workers to fence: slots 0 to this, or to the last partition.")
    ] = 4,
) -> None:
    """Close the gate: no router publishes from its next batch on, and what it has open is taken back.

    Each router slot is fenced, so that one that stands still cannot commit later either. The redactor goes on.
    """
    settings = load_settings()
    last = load_topology(settings.topology_file).last_router(slots)
    close_gate(settings.kafka_config(), by=by, why=why.value, reference=reference, slots=last)
    print(f"closed; router slots 0 to {last} fenced. Records wait in `redacted` (14 days)")


@app.command("open")
def open_(
    file: Annotated[Path, typer.Argument(help="Made by the first person, completed by the second.")],
    by: By,
    key: Annotated[Path, typer.Option("--key", help="File of your private key: 64 hex digits.")],
    reference: Reference = None,
    refuse: Annotated[
        list[str] | None, typer.Option("--refuse", help="Detector whose records stay in; the first person names it.")
    ] = None,
) -> None:
    """Open the gate as two persons: the first makes the file, the second completes it, and it is opened.

    Both sign after it was closed the last time; a signature opens it once. After a leak, `--refuse` the detector that
    leaked (`versions.detector` in `audit search --json`): what it wrote is held, to be sent again by `replay`.
    """
    settings, now = load_settings(), int(time.time() * 1000)
    stands = _stands(settings)
    if stands.since is None:
        raise RefusedError("the gate is open already")
    said = Gate("open", rfc3339(now), by, "restored", reference, refuse=tuple(refuse or ()))
    if file.exists():
        try:
            said = msgspec.json.decode(file.read_bytes(), type=Gate)
        except UNREADABLE as error:
            raise ConfigError("gate open", [f"`{file}` is no opening of the gate"]) from error
        if refuse and set(refuse) != set(said.refuse):
            raise ConfigError(
                "gate open", [f"`{file}` refuses {', '.join(said.refuse) or 'no detector'}: make it anew"]
            )
    check("gate open", said)
    made = sign(said.request, private_key(key), by=by, reason="open", reference=reference or "gate", now=now)
    said = msgspec.structs.replace(said, approvals=(*said.approvals, made))
    if len(said.approvals) < said.request.persons:
        write_whole(file, msgspec.json.format(msgspec.json.encode(said), indent=2) + b"\n")
        print(f"approved by {by}; one more person must approve `{file.name}`")
        return
    if faults := stands.faults(said, now):
        raise RefusedError("the gate stays closed: " + "; ".join(faults))
    entry = ledger.gate("opened", by=said.by, second=by, reference=reference, now=now)
    send(settings.kafka_config(), [(said.message, 0), (entry, 0)])
    file.unlink()
    print(f"opened by {said.by} and {by}" + (f"; what {', '.join(said.refuse)} wrote stays in" if said.refuse else ""))


@app.command()
def state() -> None:
    """Say whether the gate is open, since when and why: as a router knows it, which opens for two persons only."""
    stands = _stands(load_settings())
    last = stands.last
    if last is not None:
        print(f"{last.state} since {last.at}, by {last.by}: {last.why}")
    elif stands.since is not None:
        print(f"closed since {rfc3339(stands.since)}, by a message of the gate that cannot be read")
    else:
        print("open: it was never closed")


def _stands(settings: Settings) -> GateState:
    stands = GateState(load_approvers(settings.approvers_file))
    for record in read_all(settings.kafka_config(), TOPIC, name=NAME):
        stands.hear(record)
    return stands
