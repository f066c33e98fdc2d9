"""Signed statements of the log: C2SP signed-note, tlog-checkpoint and tlog-cosignature.

A checkpoint is three lines of text (origin, size, root), a blank line, and one signature a line. A witness that has
seen an earlier checkpoint and a proof that nothing before it changed adds its own line.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from services.kernel.errors import ConfigError, RefusedError

_ED25519, _COSIGNATURE = b"\x01", b"\x04"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What the log was: number of leaves, and their tree hash."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The text that is signed, with its last line break."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


@dataclass(frozen=True, slots=True)
class Signed:
    """A checkpoint with its signature lines: (name, key id and signature)."""

    checkpoint: Checkpoint
    signatures: tuple[tuple[str, bytes], ...]

    @property
    def note(self) -> str:
        """The whole note."""
        lines = [f"— {name} {base64.b64encode(data).decode()}\n" for name, data in self.signatures]
        return self.checkpoint.text + "\n" + "".join(lines)


def sign(checkpoint: Checkpoint, key: Ed25519PrivateKey) -> Signed:
    """Sign as the log; the name of the key is the origin."""
    name = checkpoint.origin
    data = _key_id(name, key.public_key(), _ED25519) + key.sign(checkpoint.text.encode())
    return Signed(checkpoint, ((name, data),))


def cosign(signed: Signed, key: Ed25519PrivateKey, *, name: str, seconds: int) -> Signed:
    """Add a witness's line; `seconds` since the epoch is when it saw the checkpoint.

    Raises:
        ConfigError: the name would break the line.
    """
    if not _is_name(name) or "+" in name:
        raise ConfigError("witness", [f"`{name}` is no name of a witness: no white space, no `+`"])
    said = f"cosignature/v1\ntime {seconds}\n{signed.checkpoint.text}".encode()
    data = _key_id(name, key.public_key(), _COSIGNATURE) + seconds.to_bytes(8, "big") + key.sign(said)
    return Signed(signed.checkpoint, (*signed.signatures, (name, data)))


def read(note: str) -> Signed:
    """Read a note, verifying nothing.

    Raises:
        RefusedError: it is no checkpoint.
    """
    text, _, tail = note.partition("\n\n")
    lines = text.split("\n")
    signatures = []
    try:
        origin, size, root = lines[:3]
        for line in tail.splitlines():
            name, data = line.removeprefix("— ").split(" ")
            signatures.append((name, base64.b64decode(data, validate=True)))
        checkpoint = Checkpoint(origin, int(size), base64.b64decode(root, validate=True))
    except (ValueError, binascii.Error) as error:
        raise RefusedError("this is no checkpoint: origin, size, root, a blank line, signatures") from error
    named = all(_is_name(name) for name, _ in signatures)
    if checkpoint.text != text + "\n" or len(checkpoint.root) != 32 or checkpoint.size < 0 or not named:
        raise RefusedError("this is no checkpoint: origin, size, root, a blank line, signatures")
    return Signed(checkpoint, tuple(signatures))


def verify(signed: Signed, *keys: Ed25519PublicKey) -> Ed25519PublicKey:
    """Check the log's own signature; the key that made it.

    Args:
        keys: what the log may have signed with.

    Raises:
        RefusedError: the checkpoint is not signed by one of these keys.
    """
    name = signed.checkpoint.origin
    known = {_key_id(name, key, _ED25519): key for key in keys}
    for given, data in signed.signatures:
        if given == name and (key := known.get(data[:4])) is not None:
            _check(key, data[4:], signed.checkpoint.text.encode())
            return key
    raise RefusedError(f"the checkpoint of {signed.checkpoint.size} leaves has no signature by the log's key")


def witnesses(signed: Signed, keys: Mapping[str, Ed25519PublicKey]) -> dict[str, int]:
    """Which witnesses cosigned, and when (seconds since the epoch).

    Raises:
        RefusedError: a line in the name of one of `keys` is not by that key.
    """
    found = {}
    for name, data in signed.signatures:
        key = keys.get(name)
        if key is not None and data[:4] == _key_id(name, key, _COSIGNATURE):
            seconds = int.from_bytes(data[4:12], "big")
            _check(key, data[12:], f"cosignature/v1\ntime {seconds}\n{signed.checkpoint.text}".encode())
            found[name] = seconds
    return found


def _is_name(name: str) -> bool:
    """Whether a name of a key can stand in a line of signature, and on a terminal."""
    return name.isprintable() and name != "" and " " not in name


def _check(key: Ed25519PublicKey, signature: bytes, said: bytes) -> None:
    try:
        key.verify(signature, said)
    except InvalidSignature as error:
        raise RefusedError(
            "a signature of the checkpoint does not verify: it was edited, or the key is another"
        ) from error


def _key_id(name: str, key: Ed25519PublicKey, kind: bytes) -> bytes:
    raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return hashlib.sha256(name.encode() + b"\n" + kind + raw).digest()[:4]
