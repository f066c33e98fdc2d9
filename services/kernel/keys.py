"""Keys from files: one `<name>.<key id>` each, mode 0600, read once at the start of a service.

Values carry the key id, so that an old key can verify until it is retired.
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyrage
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from services.kernel.errors import ConfigError
from services.kernel.private import make_private

_DEV_KEY_ID = "dev"
_HEX = re.compile("[0-9a-fA-F]{64}")
#: Two made-up persons, so that what needs two can be tried.
_DEV_APPROVERS = ("first-approver", "second-approver")


@dataclass(frozen=True, slots=True, repr=False)
class Key:
    """Raw material of one key file, and the id that values made with it carry."""

    name: str
    id: str
    material: bytes


def pseudonym(key: bytes, *parts: str) -> str:
    """HMAC-SHA-256 over length-prefixed `parts`, 32 hex digits (128 bits)."""
    data = [part.encode("utf-8", "surrogatepass") for part in parts]
    message = b"".join([len(part).to_bytes(4, "big") + part for part in data])
    return hmac.digest(key, message, "sha256").hex()[:32]


def derive(key: bytes, info: str) -> bytes:
    """HKDF-Expand (RFC 5869, SHA-256) of a uniformly random key: 32 bytes for one partner and purpose."""
    return HKDFExpand(algorithm=hashes.SHA256(), length=32, info=info.encode()).derive(key)


def load(directory: Path, names: Iterable[str]) -> dict[str, Key]:
    """Read the newest key of each of `names` from `directory`.

    Raises:
        ConfigError: listing every key that is missing, unreadable or open to others.
    """
    found: dict[str, Key] = {}
    faults: list[str] = []
    if directory.is_dir() and not os.access(directory, os.R_OK | os.X_OK):  # it would look empty
        raise ConfigError("keys", [f"folder `{directory}` cannot be read: it is another account's"])
    for name in names:
        files = sorted(directory.glob(f"{name}.*")) if directory.is_dir() else []
        if not files:
            faults.append(f"no key `{name}.<key id>` in `{directory}`: make one, or `safe-reporting keys init --dev`")
            continue
        path = files[-1]
        try:
            if not name.endswith("-pub") and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                faults.append(f"key file `{path}` is open to group or others: chmod 600")
                continue
            found[name] = from_file(path)
        except OSError as error:
            faults.append(f"key file `{path}` cannot be read: {error.strerror}")
    if faults:
        raise ConfigError("keys", faults)
    return found


def from_file(path: Path) -> Key:
    """The key in one file.

    Raises:
        OSError: it cannot be read.
    """
    return Key(path.stem, path.suffix[1:], path.read_bytes().strip())


def secret(key: Key) -> bytes:
    """The 32 bytes of a symmetric key written as hex.

    Raises:
        ConfigError: when the file holds anything else.
    """
    try:
        material = bytes.fromhex(key.material.decode("ascii"))
    except ValueError:
        material = b""
    if len(material) != 32:
        raise ConfigError("keys", [f"key `{key.name}{key.id and '.'}{key.id}` is not 64 hex digits"])
    return material


def private_key(key: Key) -> Ed25519PrivateKey:
    """The Ed25519 private key of an `attest` or `ledger` file."""
    return Ed25519PrivateKey.from_private_bytes(secret(key))


def public_key(key: Key) -> Ed25519PublicKey:
    """The Ed25519 public key of a `*-pub` file."""
    return Ed25519PublicKey.from_public_bytes(secret(key))


def public_keys(directory: Path, name: str) -> list[Ed25519PublicKey]:
    """Every public key `<name>-pub` of the folder, oldest first.

    Raises:
        ConfigError: there is none, or one cannot be read.
    """
    load(directory, [f"{name}-pub"])
    try:
        return [public_key(from_file(path)) for path in sorted(directory.glob(f"{name}-pub.*"))]
    except OSError as error:
        raise ConfigError("keys", [f"key file `{error.filename}` cannot be read: {error.strerror}"]) from error


def init_dev(directory: Path, partners: Iterable[str]) -> list[Path]:
    """Make a whole set of keys for development, never overwriting one; return the files made.

    The compliance identity that opens sealed detail and quarantine lands in the subfolder
    `compliance/`, the keys of two approvers in `approvers/`; no service reads them: in production they are
    made elsewhere and stay there. `approvers.yaml` holds the approvers' public halves.

    Raises:
        ConfigError: listing every file that is there and holds no key; the others are made.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    vault = directory / "compliance"
    for folder in (vault, directory / "approvers"):
        folder.mkdir(exist_ok=True, mode=0o700)
    made: list[Path] = []
    faults: list[str] = []

    def write(path: Path, text: str) -> str:
        """What the file holds; made where it is not there."""
        if make_private(path, text + "\n"):
            made.append(path)
        return path.read_text("ascii", "replace").strip()

    def write_hex(path: Path) -> str | None:
        """The hex digits in the file; None where it holds something else."""
        if _HEX.fullmatch(held := write(path, secrets.token_hex(32))):
            return held
        faults.append(f"`{path}` is not 64 hex digits, cut short perhaps: remove it and its public half, run it again")
        return None

    write_hex(directory / f"pseudonym.{_DEV_KEY_ID}")
    for partner in partners:
        write_hex(directory / f"partner-{partner}.{_DEV_KEY_ID}")
    for name in ("attest", "ledger", "canary", "auditor"):
        if private := write_hex(directory / f"{name}.{_DEV_KEY_ID}"):
            write(directory / f"{name}-pub.{_DEV_KEY_ID}", _public_hex(private))
    persons = []
    for person in _DEV_APPROVERS:
        if private := write_hex(directory / "approvers" / f"{person}.{_DEV_KEY_ID}"):
            terms = 'actions: [policy, duty, consult, replay, gate], from: "2026-01-01", until: "2099-12-31"'
            persons.append(f"  - {{id: {person}, key: {_public_hex(private)}, {terms}}}")
    if len(persons) == len(_DEV_APPROVERS):
        write(directory / "approvers.yaml", "\n".join(["version: 1", "approvers:", *persons]))
    for path, name in (
        (vault / f"seal-identity.{_DEV_KEY_ID}", "seal-pub"),
        (directory / f"lock.{_DEV_KEY_ID}", "lock-pub"),
    ):
        try:
            identity = pyrage.x25519.Identity.from_str(write(path, str(pyrage.x25519.Identity.generate())))
        except pyrage.IdentityError:
            faults.append(f"`{path}` is no age identity, cut short perhaps: remove it and `{name}`, run it again")
            continue
        write(directory / f"{name}.{_DEV_KEY_ID}", str(identity.to_public()))
    if faults:
        raise ConfigError("keys", faults)
    return made


def _public_hex(private: str) -> str:
    """The public half of a private key, both as hex."""
    signer = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(private))
    return signer.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw).hex()
