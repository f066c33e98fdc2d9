"""`safe-reporting duty`: what a statutory duty demands, released by two persons and not otherwise."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

import jsonschema_rs
import msgspec
import orjson
import typer
from rich.console import Console
from rich.table import Table

from services.cli import policy_sign
from services.kernel import ledger
from services.kernel.approval import Approval, Request, milliseconds, sign, verify
from services.kernel.duties import Duty, Route, load_duties
from services.kernel.errors import ConfigError, RefusedError
from services.kernel.jsonio import canonical
from services.kernel.kafka.reader import read_all, send, send_together
from services.kernel.notification import PROPOSALS, Notification, Proposal, coarsened
from services.kernel.record import Inbound, Message
from services.kernel.sealing import open_sealed
from services.kernel.settings import Settings, load_settings
from services.router.manifest import load_approvers

app = typer.Typer(no_args_is_help=True)

ACTION = "duty"
_NAME = "cli-duty"
_DAY = 86_400_000


class Release(msgspec.Struct, forbid_unknown_fields=True):
    """The file that goes from the first person to the second."""

    duty: str
    proposal: str
    sha256: str
    reference: str
    approvals: tuple[Approval, ...] = ()

    @property
    def request(self) -> Request:
        """What is approved: this duty, this proposal as it was sealed, this reference."""
        held = {"duty": self.duty, "proposal": self.proposal, "sha256": self.sha256, "reference": self.reference}
        return Request(ACTION, hashlib.sha256(canonical(held)).hexdigest())


@app.command("list")
def list_(as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False) -> None:
    """List the duties, and the proposals that wait: which duty, since when. No content."""
    settings = load_settings()
    duties = load_duties(settings.policies_dir / "duties.yaml")
    if not as_json:
        shown = Table("duty", "instrument", "binds", "path", "what it means here")
        for duty in duties.values():
            shown.add_row(duty.id, duty.instrument, "yes" if duty.binds else "no", duty.path, duty.says)
        Console().print(shown)
        if not settings.kafka_bootstrap:
            print("what waits is not shown: `SR_KAFKA_BOOTSTRAP` is not set")
            return
    waiting = [_metadata(record) for record in _proposals(settings.kafka_config())]
    if as_json:
        for row in waiting:
            print(json.dumps(row))
        return
    table = Table("proposal", "duty", "since", title=f"proposals: {len(waiting)}")
    for row in waiting:
        table.add_row(row["proposal"], row["duty"], row["time"])
    Console().print(table)


@app.command()
def release(
    proposal: Annotated[str, typer.Argument(help="Id of the proposal, as `duty list` shows it.")],
    file: Annotated[Path, typer.Option("--file", help="Made by the first person, completed by the second.")],
    by: Annotated[str, typer.Option("--by", help="Your id in approvers.yaml.")],
    key: Annotated[Path, typer.Option("--key", help="File of your private key: 64 hex digits.")],
    reason: Annotated[str, typer.Option("--reason", help="Why the duty applies.")],
    reference: Annotated[str, typer.Option("--reference", help="Number that the duty demands.")],
    identity: Annotated[Path, typer.Option("--identity", help="Age identity that opens proposals.")],
) -> None:
    """Approve a release as one person; with the second person's approval it is released, with its ledger entry.

    1. Find the proposal and its duty. 2. Sign. 3. With two persons: verify both, once, in time. 4. Open, drop the
    fields that too few people share, validate. 5. Send it and the entry in one transaction; a refusal has an entry too.
    """
    settings = load_settings()
    config = settings.kafka_config()
    found = next((r for r in _proposals(config) if _metadata(r)["proposal"] == proposal), None)  # 1
    if found is None:
        raise ConfigError("duty release", [f"no proposal `{proposal}`: `duty list` shows what waits"])
    duty = _duty(settings, _metadata(found)["duty"])
    held = _held(file, found, reference)
    now = int(time.time() * 1000)
    signer = policy_sign.private_key(key)
    approval = sign(held.request, signer, by=by, reason=reason, reference=reference, now=now)  # 2
    held.approvals = (*held.approvals, approval)
    file.write_bytes(orjson.dumps(msgspec.to_builtins(held), option=orjson.OPT_INDENT_2) + b"\n")
    if len(held.approvals) < (duty.releasers or 2):
        print(f"approved by {by}; {(duty.releasers or 2) - len(held.approvals)} more person must approve `{file.name}`")
        return
    faults = _faults(config, settings, duty, held, found, now)  # 3
    if faults:
        _refuse(config, duty, held, found, faults, now)
    done = _opened(config, found, held, identity.read_text().strip(), settings)  # 4
    _send(config, duty, held, found, done, now)  # 5
    print(f"released to {duty.topic}, approved by {', '.join(one.by for one in held.approvals)}")


def _proposals(config: Mapping[str, str]) -> Iterator[Inbound]:
    """The last version of each proposal."""
    last: dict[str, Inbound] = {}
    for record in read_all(config, PROPOSALS, name=_NAME):
        if record.value is not None:
            last[_metadata(record)["proposal"]] = record
    yield from last.values()


def _metadata(record: Inbound) -> dict[str, str]:
    return {
        name: (record.header(f"sr-{name}") or b"").decode("ascii", "replace")
        for name in ("proposal", "duty", "time", "sha256")
    }


def _duty(settings: Settings, name: str) -> Duty:
    duty = load_duties(settings.policies_dir / "duties.yaml").get(name)
    if duty is None or duty.path is not Route.SEALED:
        raise RefusedError(f"`{name}` is no duty under which anything is released from here")
    return duty


def _held(file: Path, found: Inbound, reference: str) -> Release:
    """The release of the first person, or a new one.

    Raises:
        ConfigError: the file is no release.
        RefusedError: it is about another proposal, another version of it, or another reference.
    """
    about = _metadata(found)
    fresh = Release(about["duty"], about["proposal"], about["sha256"], reference)
    if not file.exists():
        return fresh
    try:
        held = msgspec.json.decode(file.read_bytes(), type=Release)
    except msgspec.DecodeError as error:
        raise ConfigError("duty release", [f"`{file.name}` is no release: {error}"]) from error
    if (held.duty, held.proposal, held.sha256, held.reference) != (
        fresh.duty, fresh.proposal, fresh.sha256, fresh.reference,
    ):  # fmt: skip
        raise RefusedError(f"`{file.name}` is about another proposal, an older version of it, or another reference")
    return held


def _faults(
    config: Mapping[str, str], settings: Settings, duty: Duty, held: Release, found: Inbound, now: int
) -> list[str]:
    """Why it may not be released now."""
    approvers = load_approvers(settings.approvers_file)
    request = Request(ACTION, held.request.sha256, duty.releasers or 2)
    faults = verify(request, held.approvals, approvers=approvers, now=now)
    if not re.fullmatch(duty.reference, held.reference):
        faults.append(f"the reference `{held.reference}` is not one of `{duty.id}`")
    since = milliseconds(_metadata(found)["time"])
    if since is None or now - since > (duty.days or 0) * _DAY:
        faults.append(f"the proposal is older than {duty.days} days")
    released = {_metadata(record)["proposal"] for record in read_all(config, duty.topic or "", name=_NAME)}
    if held.proposal in released:
        faults.append("the proposal was released before")
    return faults


def _refuse(config: Mapping[str, str], duty: Duty, held: Release, found: Inbound, faults: list[str], now: int) -> None:
    entry = ledger.release(
        topic=duty.topic or "", source=(found.topic, found.partition, found.offset), proposal=held.proposal,
        by=tuple(one.by for one in held.approvals), reference=held.reference, basis=duty.instrument, now=now,
        refused=True,
    )  # fmt: skip
    send(config, [(entry, 0)])
    raise RefusedError("not released: " + "; ".join(faults))


def _opened(
    config: Mapping[str, str], found: Inbound, held: Release, identity: str, settings: Settings
) -> Notification:
    """The notification as it may leave: opened, coarsened over its quarter, validated.

    Raises:
        RefusedError: what was sealed is not what was approved, or does not fit the published schema.
    """
    proposal = _open(found, identity)
    if proposal.sha256 != held.sha256 or proposal.id != held.proposal:
        raise RefusedError("what was sealed is not what was approved")
    done = coarsened(proposal.notification, _period(config, identity))
    schema = orjson.loads((settings.schemas_dir / "sealed" / f"{held.duty}.json").read_bytes())
    if not jsonschema_rs.validator_for(schema).is_valid(msgspec.to_builtins(done)):
        raise RefusedError("the notification does not fit its published schema")
    return done


def _period(config: Mapping[str, str], identity: str) -> Iterator[Notification]:
    """Every notification that this identity opens. One that it does not makes cells smaller: more is dropped."""
    for record in _proposals(config):
        try:
            yield _open(record, identity).notification
        except RefusedError:
            continue


def _open(record: Inbound, identity: str) -> Proposal:
    sealed = record.value.reveal() if record.value is not None else b""
    return msgspec.msgpack.decode(open_sealed(sealed, identity), type=Proposal)


def _send(config: Mapping[str, str], duty: Duty, held: Release, found: Inbound, done: Notification, now: int) -> None:
    topic = duty.topic or ""
    headers = (
        ("ce_specversion", b"1.0"),
        ("ce_id", held.proposal.encode()),
        ("ce_source", b"/safe-reporting"),
        ("ce_type", f"safe-reporting.sealed.{duty.id}".encode()),
        ("ce_time", ledger.rfc3339(now).encode()),
        ("ce_dataschema", f"urn:safe-reporting:sealed:{duty.id}:1.0".encode()),
        ("content-type", b"application/json"),
        ("sr-proposal", held.proposal.encode()),
    )
    message = Message(topic, held.proposal.encode(), canonical(msgspec.to_builtins(done)), headers)
    entry = ledger.release(
        topic=topic, source=(found.topic, found.partition, found.offset), proposal=held.proposal,
        by=tuple(one.by for one in held.approvals), reference=held.reference, basis=duty.instrument, now=now,
    )  # fmt: skip
    send_together(config, [(message, found.partition), (entry, 0)], name=_NAME)
