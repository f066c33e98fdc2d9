"""Sealing (age format): services hold the recipient only; the identity lives with compliance."""

from __future__ import annotations

import pyrage

from services.kernel.errors import ConfigError, RefusedError

#: Plaintexts are padded to a multiple of this, so that a sealed size tells nothing about masks.
BLOCK = 2048
#: What stands before the data: its length.
FRAME = 4


class Sealer:
    """Encrypts to one age recipient; cannot decrypt."""

    def __init__(self, recipient: str, *, key_id: str) -> None:
        try:
            self._recipient = pyrage.x25519.Recipient.from_str(recipient)
        except pyrage.RecipientError as error:
            raise ConfigError("sealing", [f"key `seal-pub.{key_id}` is not an age recipient"]) from error
        self.key_id = key_id

    def seal(self, data: bytes, *, pad: bool = True) -> bytes:
        """Return age bytes of `data`: a 4-byte length, the data, zeroes up to a multiple of BLOCK."""
        framed = len(data).to_bytes(FRAME, "big") + data
        if pad:
            framed += b"\0" * (-len(framed) % BLOCK)
        return bytes(pyrage.encrypt(framed, [self._recipient]))


def open_sealed(blob: bytes, identity: str) -> bytes:
    """Return what `Sealer.seal` was given.

    Raises:
        RefusedError: the identity is not the one it was sealed to, or the bytes were changed.
    """
    try:
        framed = pyrage.decrypt(blob, [pyrage.x25519.Identity.from_str(identity)])
    except (pyrage.DecryptError, pyrage.IdentityError) as error:
        raise RefusedError("this identity does not open it: it was sealed to another key, or changed") from error
    length = int.from_bytes(framed[:FRAME], "big")
    return bytes(framed[FRAME : FRAME + length])
