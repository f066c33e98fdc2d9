"""The redactor's signature over what it made, which the router demands before anything else.

Header `sr-attestation`: base64url(claims JSON) `.` base64url(Ed25519 signature) `.` key id. The claims
hold the SHA-256 of the value, so that neither claims nor vouchers can be moved to another record.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from services.kernel.vocabulary import Reason

HEADER = "sr-attestation"


class Claims(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the redactor says of one redacted record.

    `persons` maps the pointer of each person object to its roles; `vouchers` are
    (pointer, start, end, reason) for each look-alike that was kept, offsets in characters; `subjects` are the
    pseudonyms of those whose consent may be needed, empty for one without an id. `canary` is the id of one that was
    planted: no partner gets it.
    """

    sha256: str
    schema: str
    detector: str
    source: tuple[str, int, int]
    agency: str
    feed: str
    area: str
    record: str
    roles: tuple[str, ...]
    persons: dict[str, tuple[str, ...]]
    subjects: tuple[str, ...]
    protected: bool
    child: bool
    markers: tuple[str, ...]
    held: bool
    vouchers: tuple[tuple[str, int, int, str], ...]
    canary: str | None = None


class AttestationError(Exception):
    """The record is not what the redactor signed; `reason` is the exact one."""

    def __init__(self, reason: Reason) -> None:
        self.reason = reason
        super().__init__(reason.value)


def digest(value: bytes) -> str:
    """Hex SHA-256 of a redacted value, as it stands in the claims."""
    return hashlib.sha256(value).hexdigest()


def sign(claims: Claims, key: Ed25519PrivateKey, *, key_id: str) -> bytes:
    """Return the header value for `claims`."""
    payload = msgspec.json.encode(claims)
    return b".".join((_b64(payload), _b64(key.sign(payload)), key_id.encode()))


def verify(header: bytes | None, value: bytes, public_keys: Mapping[str, Ed25519PublicKey]) -> Claims:
    """Return the claims of a record whose signature and value both hold.

    Raises:
        AttestationError: missing header, unknown key, bad signature, other value, unreadable claims.
    """
    if header is None:
        raise AttestationError(Reason.ATTESTATION_MISSING)
    try:
        payload64, signature64, key_id = header.split(b".")
        payload, signature = _unb64(payload64), _unb64(signature64)
        public_keys[key_id.decode("ascii")].verify(signature, payload)
        claims = msgspec.json.decode(payload, type=Claims)
    except (ValueError, KeyError, InvalidSignature, binascii.Error, msgspec.DecodeError) as error:
        raise AttestationError(Reason.ATTESTATION_INVALID) from error
    if claims.sha256 != digest(value):
        raise AttestationError(Reason.ATTESTATION_INVALID)
    return claims


def _b64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _unb64(data: bytes) -> bytes:
    return base64.b64decode(data + b"=" * (-len(data) % 4), altchars=b"-_", validate=True)
