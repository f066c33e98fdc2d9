"""`safe-reporting consent`: record what a person allowed or no longer does, and release what it covers."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Annotated

import msgspec
import typer

from services.cli import policy_sign
from services.cli.duty import By as Approver
from services.cli.duty import File, Identity, Key, ProposalId
from services.cli.sealed import NAME, Content, Desk, Signer, Terms, about
from services.cli.unlock import Readers, read_identity
from services.kernel import disclosure, keys, ledger
from services.kernel.approvers import load_approvers
from services.kernel.consent import (
    FIELD_PURPOSE,
    LONGEST,
    RECORD_SCOPE,
    TOPIC,
    Book,
    Consent,
    Register,
    Taken,
    faults,
)
from services.kernel.disclosure import Disclosure
from services.kernel.errors import ConfigError, RefusedError
from services.kernel.kafka.reader import read_all, send_together
from services.kernel.kafka.topology import load_topology
from services.kernel.london import london_day
from services.kernel.proposal import Proposal
from services.kernel.record import Message
from services.kernel.settings import Settings, load_settings
from services.router.partners import load_partners

app = typer.Typer(no_args_is_help=True)

_NAME = "cli-consent"
_NOT_RECALLED = "fields that were released to the case before are not recalled: ask the advocate"
_REFERENCE = r"[A-Za-z0-9][A-Za-z0-9._/-]{2,63}"


class TakenBy(StrEnum):
    """Who took the consent."""

    ADVOCATE = "advocate"
    SOLICITOR = "solicitor"
    VICTIM_SUPPORT = "victim_support"
    POLICE = "police"
    OTHER = "other"


class Interpreter(StrEnum):
    """Who interpreted."""

    NOT_NEEDED = "not_needed"
    INDEPENDENT = "independent"
    RELATIVE = "relative"
    SUSPECT = "suspect"
    UNKNOWN = "unknown"


class GivenBy(StrEnum):
    """Who said yes."""

    SUBJECT = "subject"
    RELATIVE = "relative"
    SUSPECT = "suspect"
    OTHER = "other"


Agency = Annotated[str, typer.Option("--agency", help="Agency whose record names the person.")]
Person = Annotated[str, typer.Option("--person", help="The person's id at that agency; only its keyed hash is sent.")]
Recipient = Annotated[str, typer.Option("--recipient", help="Id of the partner.")]
Purpose = Annotated[str, typer.Option("--purpose", help="Purpose of that partner.")]
Scope = Annotated[str, typer.Option("--scope", help="`record`: the redacted record; f1 to f4: coded fields.")]
By = Annotated[str, typer.Option("--by", help="Your staff id.")]
Reference = Annotated[str | None, typer.Option("--reference", help="Number of the signed form.")]


@app.command()
def record(
    agency: Agency,
    person: Person,
    recipient: Recipient,
    purpose: Purpose,
    by: By,
    taken_by: Annotated[TakenBy, typer.Option("--taken-by", help="Who took it.")],
    wording: Annotated[str, typer.Option("--wording", help="Version of the wording that was read out.")],
    interpreter: Annotated[Interpreter, typer.Option("--interpreter", help="Who interpreted.")],
    in_private: Annotated[bool, typer.Option("--in-private/--not-in-private", help="Nobody else was present.")],
    given_by: Annotated[GivenBy, typer.Option("--given-by", help="Who said yes.")] = GivenBy.SUBJECT,
    under_18: Annotated[bool, typer.Option("--under-18", help="The person is under 18.")] = False,
    advocate_present: Annotated[bool, typer.Option("--advocate-present", help="An advocate was present.")] = False,
    safeguarding_lead: Annotated[
        bool, typer.Option("--safeguarding-lead", help="The safeguarding lead agrees.")
    ] = False,
    case: Annotated[
        str | None, typer.Option("--case", help="The advocate's code for this person; fields go to that case alone.")
    ] = None,
    days: Annotated[int, typer.Option("--days", min=1, max=36_500, help="Days that it holds.")] = LONGEST.days,
    scope: Scope = RECORD_SCOPE,
    reference: Reference = None,
) -> None:
    """Record that a person consents; one that was not taken as it must be is refused and not sent."""
    settings = load_settings()
    now = int(time.time() * 1000)
    taken = Taken(
        by_role=taken_by.value, in_private=in_private, wording=wording, interpreter=interpreter.value,
        given_by=given_by.value, under_18=under_18, advocate_present=advocate_present,
        safeguarding_lead=safeguarding_lead,
    )  # fmt: skip
    ends = now + int(timedelta(days=days).total_seconds() * 1000)
    said = _consent(
        settings, agency, person, recipient, purpose, scope, "given", by, reference, now,
        expires=ledger.rfc3339(ends), taken=msgspec.to_builtins(taken), case=case,
    )  # fmt: skip
    if found := faults(said):
        raise RefusedError("this consent does not count and is not recorded: it " + "; it ".join(found))
    _send(settings, said, by, reference, now)
    print(f"recorded for {recipient}, until {said.expires}; only the person's keyed hash was sent")


@app.command()
def withdraw(
    agency: Agency, person: Person, recipient: Recipient, purpose: Purpose, by: By, scope: Scope = RECORD_SCOPE,
    reference: Reference = None,
) -> None:  # fmt: skip
    """Record that a person no longer consents: the next batch stops, and a record's ledger entry asks for a recall.

    It is never earlier than the grant, whose clock may have run ahead of this one.
    """
    settings = load_settings()
    now = int(time.time() * 1000)
    said = _consent(settings, agency, person, recipient, purpose, scope, "withdrawn", by, reference, now)
    now = _heard(settings.kafka_config(), _NAME).ends(said.about, now)
    said = msgspec.structs.replace(said, at=ledger.rfc3339(now))
    _send(settings, said, by, reference, now)
    after = "the ledger asks for the recall of what went there before" if scope == RECORD_SCOPE else _NOT_RECALLED
    print(f"withdrawn for {recipient}; {after}")


@app.command()
def release(
    proposal: ProposalId,
    file: File,
    by: Approver,
    key: Key,
    reference: Annotated[str, typer.Option("--reference", help="Number of the person's signed form.")],
    identity: Identity,
) -> None:
    """Approve, as one of two persons, that an advocate gets the fields that their client allowed.

    The consent must hold at that moment, to this recipient, purpose, scope and case; a refusal has an entry too.
    """
    settings = load_settings()
    desk = Desk(settings, read_identity(identity))
    found = desk.find(proposal)
    if about(found)["duty"] != disclosure.KIND:
        raise RefusedError("this proposal is not a person's own consent: `duty release`")
    now = int(time.time() * 1000)
    terms = Terms(disclosure.KIND, "consent of the person", _REFERENCE, 2, LONGEST.days)

    def make(opened: Proposal, _: Readers) -> Content:
        return _allowed(desk, opened.disclosure(), now)

    signer = Signer(by, key, "consent of the person", reference)
    print(desk.release(found, terms, signer, file, make, now))


def _allowed(desk: Desk, asked: Disclosure, now: int) -> Content:
    """What leaves, if the consent holds now.

    Raises:
        RefusedError: it does not, the recipient is no independent advocate or is closed, or the case is not known.
    """
    held = Book(_heard(desk.config, NAME).grants()).fields(asked.subject, now=now)
    wanted = asked.recipient, asked.purpose, asked.scope, asked.case
    if wanted not in {(grant.recipient, grant.purpose, grant.scope, grant.case) for grant in held}:
        raise RefusedError("not released: the person's consent does not hold now")
    registry = load_partners(desk.settings.policies_dir / "partners.yaml")
    partner = registry.by_id.get(asked.recipient)
    if partner is None or FIELD_PURPOSE not in partner.purposes:
        raise RefusedError(f"not released: `{asked.recipient}` is no independent advocate")
    approvers = load_approvers(desk.settings.approvers_file)
    against = registry.standings(london_day(now))[partner.id].closes
    if partner.id in policy_sign.closed(read_all(desk.config, "control", name=NAME), approvers, now):
        against.append("a signed manifest revokes it")
    if against:
        raise RefusedError(f"not released: `{partner.id}` is closed: " + "; ".join(against))
    if asked.case not in load_topology(desk.settings.topology_file).cases:
        raise RefusedError(f"not released: `cases` of the topology does not name `{asked.case}`")
    return Content(asked.topic, {"case": asked.case, "scope": asked.scope, "fields": msgspec.to_builtins(asked.fields)})


def _heard(config: Mapping[str, str], name: str) -> Register:
    """What the topic says now, read as the account `name`."""
    register = Register()
    for record in read_all(config, TOPIC, name=name):
        register.hear(record.value.reveal() if record.value is not None else None, record.offset)
    return register


def _consent(
    settings: Settings, agency: str, person: str, recipient: str, purpose: str, scope: str, state: str, by: str,
    reference: str | None, now: int, **grant: object,
) -> Consent:  # fmt: skip
    """The consent with the person's keyed hash; `grant` is what stands in a grant alone.

    Raises:
        ConfigError: the recipient is no partner, has not that purpose, or a word is not one that is sent.
    """
    found = load_partners(settings.policies_dir / "partners.yaml").by_id.get(recipient)
    if found is None or purpose not in found.purposes:
        held = ", ".join(found.purposes) if found else "it is not in the registry"
        raise ConfigError("consent", [f"`{recipient}` has no purpose `{purpose}`: {held}"])
    secret = keys.secret(keys.load(settings.keys_dir, ["pseudonym"])["pseudonym"])
    fields = {
        "v": 1, "subject": keys.pseudonym(secret, agency, person), "recipient": recipient, "purpose": purpose,
        "scope": scope, "state": state, "at": ledger.rfc3339(now), "by": by, "reference": reference, **grant,
    }  # fmt: skip
    try:
        return msgspec.convert(fields, Consent)
    except msgspec.ValidationError as error:
        raise ConfigError("consent", [str(error)]) from error


def _send(settings: Settings, said: Consent, by: str, reference: str | None, now: int) -> None:
    given = said.state == "given"
    entry = ledger.consent(
        subject=said.subject, recipient=said.recipient, purpose=said.purpose, scope=said.scope, given=given,
        recall=not given and said.scope == RECORD_SCOPE, by=by, reference=reference, now=now,
    )  # fmt: skip
    message = Message(TOPIC, said.key, msgspec.json.encode(said))
    send_together(settings.kafka_config(), [(message, 0), (entry, 0)], name=_NAME)
