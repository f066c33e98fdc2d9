"""Canaries: made-up records that are planted to show that nothing leaks. They are handled like any other, and go to
`canary.watch` instead of to partners.

Header `sr-canary` of an agency's record: id `.` base64url(Ed25519 signature) `.` key id. The signature covers topic and
value, so that no other record can be made one, and none can be taken out of a partner's stream by it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

#: Where partners' copies of a canary go, and a receipt with an empty value where there is none.
TOPIC = "canary.watch"
HEADER = "sr-canary"
#: Header of a copy: the partner that it would have gone to.
PARTNER = "sr-partner"


def sign(id_: str, topic: str, value: bytes, key: Ed25519PrivateKey, *, key_id: str) -> bytes:
    """The header of a canary."""
    signature = base64.urlsafe_b64encode(key.sign(_signed(id_, topic, value))).rstrip(b"=")
    return b".".join((id_.encode(), signature, key_id.encode()))


def verify(header: bytes, topic: str, value: bytes, public_keys: Mapping[str, Ed25519PublicKey]) -> str | None:
    """The id of a canary; None where the header is not one for this record."""
    try:
        id_, signature, key_id = header.decode("ascii").split(".")
        public_keys[key_id].verify(base64.urlsafe_b64decode(signature + "=="), _signed(id_, topic, value))
    except (ValueError, KeyError, InvalidSignature, binascii.Error):
        return None
    return id_


def _signed(id_: str, topic: str, value: bytes) -> bytes:
    return b"\0".join((b"canary", id_.encode(), topic.encode(), hashlib.sha256(value).digest()))
