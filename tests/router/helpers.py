"""Rules from the project's own files, and redacted records signed as the redactor signs them."""

from __future__ import annotations

import functools
from datetime import UTC, datetime
from typing import Any

import msgspec
import pyrage
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.kernel.attestation import HEADER, Claims, digest, sign
from services.kernel.detail import Detail, read_detail
from services.kernel.jsonio import canonical
from services.kernel.paths import ROOT
from services.kernel.record import Batch, Inbound, Outcome
from services.kernel.sealing import Sealer, open_sealed
from services.kernel.sensitive import SensitiveBytes
from services.router.step import RouterStep, Rules, load_rules
from tests.locks import LOCK

SIGNER = Ed25519PrivateKey.from_private_bytes(b"\1" * 32)
IDENTITY = pyrage.x25519.Identity.generate()
RECORD = "ab" * 16
PERSON = "cd" * 16
NOW = int(datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp() * 1000)


@functools.cache
def rules() -> Rules:
    """The project's own rules."""
    return load_rules(schemas_dir=ROOT / "schemas", policies_dir=ROOT / "policies")


def make_step(held: Rules | None = None) -> RouterStep:
    """A step with made-up keys."""
    held = held or rules()
    return RouterStep(
        rules=held,
        attest_keys={"test": SIGNER.public_key()},
        partner_keys={p.id: bytes([n]) * 32 for n, p in enumerate(held.registry.partners, 1)},
        sealer=Sealer(str(IDENTITY.to_public()), key_id="test", lock=LOCK),
        versions={"router": "test"},
    )


def batch(when: datetime | None = None) -> Batch:
    """A batch at `when` (UTC)."""
    return Batch(now=int(when.timestamp() * 1000) if when else NOW)


def police_crime(narrative: str = "Two men forced the rear door and left on foot.") -> dict[str, Any]:
    """A redacted crime report with one victim."""
    return {
        "record": {"id": RECORD, "version": 2},
        "incident": {
            "area": "E08000003",
            "offenceType": "burglary_residential",
            "status": "under_investigation",
            "markers": ["burglary"],
            "narrative": narrative,
            "reportedAt": "2026-11-20T20:05:00Z",
        },
        "persons": [{"id": PERSON, "roles": ["victim"]}],
    }


def claims_for(value: dict[str, Any], **changes: Any) -> Claims:
    """Claims that fit `value`; `changes` replaces fields."""
    claims = Claims(
        sha256=digest(canonical(value)),
        schema="urn:safe-reporting:police-crime:1.0",
        detector="test",
        source=("agency.gmp.police-crime", 0, 7),
        agency="gmp",
        feed="police-crime",
        area="E08000003",
        record=RECORD,
        roles=("victim",),
        persons={"/persons/0": ("victim",)},
        subjects=(PERSON,),
        protected=True,
        child=False,
        markers=("burglary",),
        held=False,
        vouchers=(),
    )
    return msgspec.structs.replace(claims, **changes)


def inbound(value: dict[str, Any], claims: Claims | None, *, header: bytes | None = None) -> Inbound:
    """The record as the redactor sends it; without claims, unsigned."""
    if claims is not None:
        header = sign(claims, SIGNER, key_id="test")
    headers = ((HEADER, SensitiveBytes(header)),) if header is not None else ()
    extra = (("sr-policy", SensitiveBytes(b"p")), ("ce_source", SensitiveBytes(b"urn:safe-reporting:agency:gmp")))
    return Inbound("redacted", 0, 3, NOW, SensitiveBytes(b"k"), SensitiveBytes(canonical(value)), (*headers, *extra))


def route(
    value: dict[str, Any], *, step: RouterStep | None = None, at: datetime | None = None, **changes: Any
) -> Outcome:
    """Route `value` with fitting claims, changed by `changes`."""
    return (step or make_step())(inbound(value, claims_for(value, **changes)), batch(at))


def detail_of(outcome: Outcome) -> Detail:
    """The sealed detail of an outcome, opened."""
    return read_detail(open_sealed(outcome.detail, str(IDENTITY)))
