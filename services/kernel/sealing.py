"""Sealing (age format): services hold recipients only; the identities lie with compliance and with the ledger service.

What holds a whole record is sealed twice: inside to compliance, outside to the ledger service, which takes the outer
layer off only after the entry of who looks, why, and with whom is in the log.
"""

from __future__ import annotations

import pyrage

from services.kernel.errors import ConfigError, RefusedError
from services.kernel.keys import Key

#: Plaintexts are padded to a multiple of this, so that a sealed size tells nothing about masks.
BLOCK = 2048
#: What stands before the data: its length.
FRAME = 4


class Sealer:
    """Encrypts to age recipients; cannot decrypt.

    Args:
        recipient: compliance; `key_id` names that key.
        lock: the ledger service.
    """

    def __init__(self, recipient: str, *, key_id: str, lock: str) -> None:
        try:
            self._recipient = pyrage.x25519.Recipient.from_str(recipient)
            self._lock = pyrage.x25519.Recipient.from_str(lock)
        except pyrage.RecipientError as error:
            raise ConfigError("sealing", [f"`seal-pub.{key_id}` or `lock-pub` is not an age recipient"]) from error
        self.key_id = key_id

    @classmethod
    def of(cls, seal: Key, lock: Key) -> Sealer:
        """With the keys `seal-pub` and `lock-pub`."""
        return cls(_text(seal), key_id=seal.id, lock=_text(lock))

    def seal(self, data: bytes) -> bytes:
        """Return age bytes of `data`: a 4-byte length, the data, zeroes up to a multiple of BLOCK."""
        framed = len(data).to_bytes(FRAME, "big") + data
        framed += b"\0" * (-len(framed) % BLOCK)
        return bytes(pyrage.encrypt(framed, [self._recipient]))

    def seal_twice(self, data: bytes) -> bytes:
        """Return what `seal` returns, sealed once more to the ledger service."""
        return bytes(pyrage.encrypt(self.seal(data), [self._lock]))


def unlock(blob: bytes, identity: str) -> bytes:
    """Take the outer layer off what `seal_twice` returned.

    Raises:
        RefusedError: the identity is not the ledger service's, or the bytes were changed.
    """
    return _decrypt(blob, identity)


def open_sealed(blob: bytes, identity: str) -> bytes:
    """Return what `Sealer.seal` was given.

    Raises:
        RefusedError: the identity is not the one it was sealed to, or the bytes were changed.
    """
    framed = _decrypt(blob, identity)
    length = int.from_bytes(framed[:FRAME], "big")
    return framed[FRAME : FRAME + length]


def _decrypt(blob: bytes, identity: str) -> bytes:
    try:
        return bytes(pyrage.decrypt(blob, [pyrage.x25519.Identity.from_str(identity)]))
    except (pyrage.DecryptError, pyrage.IdentityError) as error:
        raise RefusedError("this identity does not open it: it was sealed to another key, or changed") from error


def _text(key: Key) -> str:
    return key.material.decode("ascii", "replace")
