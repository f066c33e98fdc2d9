"""`safe-reporting duty`: what a statutory duty demands, released by two persons and not otherwise."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.table import Table

from services.cli.sealed import Content, Desk, Signer, Terms, about
from services.cli.shown import show
from services.cli.unlock import Readers, read_identity
from services.kernel.duties import Duty, Route, load_duties
from services.kernel.errors import RefusedError
from services.kernel.notification import Notification, coarsened
from services.kernel.proposal import Proposal, people
from services.kernel.settings import Settings, load_settings

app = typer.Typer(no_args_is_help=True)

ProposalId = Annotated[str, typer.Argument(help="Id of the proposal, as `duty list` shows it.")]
File = Annotated[Path, typer.Option("--file", help="Made by the first person, completed by the second.")]
By = Annotated[str, typer.Option("--by", help="Your id in approvers.yaml.")]
Key = Annotated[Path, typer.Option("--key", help="File of your private key: 64 hex digits.")]
Identity = Annotated[Path, typer.Option("--identity", help="Age identity that opens proposals.")]


@app.command("list")
def list_(as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False) -> None:
    """List the duties, and the proposals that wait: which duty (or an advocate's), since when. No content."""
    settings = load_settings()
    duties = load_duties(settings.policies_dir / "duties.yaml")
    if not as_json:
        shown = Table("duty", "instrument", "binds", "path", "what it means here")
        for duty in duties.values():
            shown.add_row(duty.id, duty.instrument, "yes" if duty.binds else "no", duty.path, duty.says)
        show(shown)
        if not settings.kafka_bootstrap:
            print("what waits is not shown: `SR_KAFKA_BOOTSTRAP` is not set")
            return
    waiting = [about(record) for record in Desk(settings).waiting()]
    if as_json:
        for row in waiting:
            print(json.dumps(row))
        return
    table = Table("proposal", "for", "since", title=f"proposals: {len(waiting)}")
    for row in waiting:
        table.add_row(row["proposal"], row["duty"], row["time"])
    show(table)


@app.command()
def release(
    proposal: ProposalId,
    file: File,
    by: By,
    key: Key,
    reason: Annotated[str, typer.Option("--reason", help="Why the duty applies.")],
    reference: Annotated[str, typer.Option("--reference", help="Number that the duty demands.")],
    identity: Identity,
) -> None:
    """Approve a release as one person; with the second person's approval it is released, with its ledger entry.

    Fields that fewer than five people of the quarter share are dropped; a refusal has an entry too.
    """
    settings = load_settings()
    desk = Desk(settings, read_identity(identity))
    found = desk.find(proposal)
    duty = _duty(settings, about(found)["duty"])
    terms = Terms(duty.id, duty.instrument, duty.reference, duty.releasers or 2, duty.days or 0)

    def make(opened: Proposal, readers: Readers) -> Content:
        if (wanted := _read(opened)) is None:
            raise RefusedError(f"proposal `{proposal}` holds no notification")
        done = coarsened(wanted, people(opened, _period(desk, duty.id, readers)))
        return Content(duty.topic or "", msgspec.to_builtins(done))

    print(desk.release(found, terms, Signer(by, key, reason, reference), file, make, int(time.time() * 1000)))


def _duty(settings: Settings, name: str) -> Duty:
    duty = load_duties(settings.policies_dir / "duties.yaml").get(name)
    if duty is None or duty.path is not Route.SEALED:
        raise RefusedError(f"`{name}` is no duty under which anything is released from here")
    return duty


def _period(desk: Desk, duty: str, readers: Readers) -> list[Proposal]:
    """Every proposal that this identity opens, each with an entry of its own.

    One that it does not open, or that is none, makes cells smaller: more is dropped.
    """
    records = [record for record in desk.waiting() if about(record)["duty"] == duty]
    opened = (one for one in desk.open(records, readers) if isinstance(one, Proposal))
    return [one for one in opened if _read(one) is not None]


def _read(opened: Proposal) -> Notification | None:
    """The notification of a proposal; None where it holds something else."""
    try:
        return opened.notification()
    except RefusedError:
        return None
