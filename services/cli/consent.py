"""`safe-reporting consent`: record what a person allowed, or that they no longer do; each with its ledger entry."""

from __future__ import annotations

import time
from datetime import timedelta
from enum import StrEnum
from typing import Annotated

import msgspec
import typer

from services.kernel import keys, ledger
from services.kernel.errors import ConfigError, RefusedError
from services.kernel.kafka.reader import send_together
from services.kernel.record import Message
from services.kernel.settings import Settings, load_settings
from services.router.consent import LONGEST, RECORD_SCOPE, Consent, Taken, faults
from services.router.partners import load_partners

app = typer.Typer(no_args_is_help=True)

_NAME = "cli-consent"


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
Scope = Annotated[str, typer.Option("--scope", help="`record`: that the redacted record goes there.")]
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
    days: Annotated[int, typer.Option("--days", min=1, help="Days that it holds.")] = LONGEST.days,
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
    said = _consent(settings, agency, person, recipient, purpose, scope, "given", by, reference, now)
    said = msgspec.structs.replace(said, expires=ledger.rfc3339(ends), taken=taken)
    if found := faults(said):
        raise RefusedError("this consent does not count and is not recorded: it " + "; it ".join(found))
    _send(settings, said, by, reference, now)
    print(f"recorded for {recipient}, until {said.expires}; only the person's keyed hash was sent")


@app.command()
def withdraw(
    agency: Agency, person: Person, recipient: Recipient, purpose: Purpose, by: By, scope: Scope = RECORD_SCOPE,
    reference: Reference = None,
) -> None:  # fmt: skip
    """Record that a person no longer consents: the next batch stops, and the ledger asks for a recall."""
    settings = load_settings()
    now = int(time.time() * 1000)
    said = _consent(settings, agency, person, recipient, purpose, scope, "withdrawn", by, reference, now)
    _send(settings, said, by, reference, now)
    print(f"withdrawn for {recipient}; the ledger asks for the recall of what went there before")


def _consent(
    settings: Settings, agency: str, person: str, recipient: str, purpose: str, scope: str, state: str, by: str,
    reference: str | None, now: int,
) -> Consent:  # fmt: skip
    """The consent with the person's keyed hash.

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
        "scope": scope, "state": state, "at": ledger.rfc3339(now), "by": by, "reference": reference,
    }  # fmt: skip
    try:
        return msgspec.convert(fields, Consent)
    except msgspec.ValidationError as error:
        raise ConfigError("consent", [str(error)]) from error


def _send(settings: Settings, said: Consent, by: str, reference: str | None, now: int) -> None:
    entry = ledger.consent(
        subject=said.subject, recipient=said.recipient, given=said.state == "given", by=by, reference=reference, now=now
    )
    message = Message("consent", said.key, msgspec.json.encode(said))
    send_together(settings.kafka_config(), [(message, 0), (entry, 0)], name=_NAME)
