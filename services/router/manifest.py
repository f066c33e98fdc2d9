"""Policy sets: a folder of files, its hash, and the signed manifest that puts it in force at a time.

Manifests travel on `control`, one message for each sequence number. The set in force is that of the highest
number whose time has come; going back to an older set is a new manifest with a higher number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta

from services.kernel.approval import Approval, Approver, Request, signed_by_somebody, verify
from services.kernel.jsonio import canonical

ACTION = "policy"
_SUFFIXES = frozenset({".yaml", ".cedar", ".cedarschema"})
#: Folders and files beside the set: they say nothing of what leaves.
_BESIDE = frozenset({"scenarios", "approvers.yaml"})

Slug = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{0,62}$")]


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One policy set put in force. `effective_from` is RFC 3339 UTC.

    `revoked` partners close at once, and stay closed until a later manifest that is in force names them as `restored`.
    """

    sequence: Annotated[int, Meta(ge=1)]
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
    profile: Slug
    effective_from: Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$")]
    revoked: tuple[Slug, ...] = ()
    restored: tuple[Slug, ...] = ()
    approvals: tuple[Approval, ...] = ()
    v: Literal[1] = 1
    kind: Literal["policy"] = "policy"

    @property
    def request(self) -> Request:
        """What the two persons approve: everything but their approvals."""
        fields = msgspec.to_builtins(self)
        del fields["approvals"]
        if not self.restored:
            del fields["restored"]  # so that what was signed before there was such a field stays good
        return Request(ACTION, hashlib.sha256(canonical(fields)).hexdigest())

    @property
    def key(self) -> bytes:
        """Key on `control`: one for each number."""
        return f"policy-{self.sequence:09}".encode()


def set_hash(folder: Path) -> str:
    """SHA-256 (hex) over the names and contents of the files of a policy set."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*"), key=lambda path: path.relative_to(folder).as_posix()):
        name = path.relative_to(folder)
        if path.is_file() and path.suffix in _SUFFIXES and name.parts[0] not in _BESIDE:
            data = path.read_bytes()
            digest.update(f"{name.as_posix()}\0{len(data)}\0".encode() + data)
    return digest.hexdigest()


def read_manifest(data: bytes) -> Manifest:
    """A manifest from its JSON.

    Raises:
        msgspec.DecodeError: anything else.
    """
    return msgspec.json.decode(data, type=Manifest)


class Accepted(NamedTuple):
    """Manifests that count, by number; why the others do not; and the highest number in doubt, 0 where none is.

    In doubt is one that the file of approvers alone refuses: the file of today cannot tell a forged signature from
    that of a person who was taken out of it, or got another key, since.
    """

    manifests: list[Manifest]
    faults: list[str]
    doubted: int


def accept(manifests: Iterable[tuple[Manifest, int]], approvers: Mapping[str, Approver]) -> Accepted:
    """Which manifests count.

    A number that was taken counts once: the first manifest with it that two persons signed. An approval is
    judged at the time at which the manifest was appended, so that it stays good afterwards, and counts once.

    Args:
        manifests: in the order of the topic, each with the time of its append (milliseconds since the epoch).
    """
    held: dict[int, Manifest] = {}
    faults: list[str] = []
    used: set[str] = set()
    doubted = 0
    for manifest, appended in manifests:
        name = f"manifest {manifest.sequence}"
        found = verify(
            manifest.request, manifest.approvals, approvers=approvers, now=appended, used=frozenset(used)
        )  # fmt: skip
        if manifest.sequence in held and held[manifest.sequence] == manifest:
            continue
        if held and manifest.sequence <= max(held):
            found.append(f"has a number that is not above {max(held)}")
        elif found and signed_by_somebody(manifest.request, manifest.approvals, now=appended, used=frozenset(used)):
            doubted = max(doubted, manifest.sequence)
        if found:
            faults += [f"{name}: {fault}" for fault in found]
            continue
        held[manifest.sequence] = manifest
        used |= {approval.id for approval in manifest.approvals}
    return Accepted([held[number] for number in sorted(held)], faults, doubted)


def in_force(manifests: Iterable[Manifest], stamp: str) -> Manifest | None:
    """The manifest of the highest number whose time has come at `stamp` (RFC 3339 UTC, milliseconds)."""
    come = [manifest for manifest in manifests if manifest.effective_from <= stamp]
    return max(come, key=lambda manifest: manifest.sequence, default=None)


def revoked(manifests: Iterable[Manifest], current: Manifest | None) -> frozenset[str]:
    """Partners that are closed: at once by any manifest, until one above it is in force and restores them."""
    number = current.sequence if current else 0
    closed: set[str] = set()
    for manifest in sorted(manifests, key=lambda manifest: manifest.sequence):
        if manifest.sequence <= number:
            closed -= set(manifest.restored)
        closed |= set(manifest.revoked)
    return frozenset(closed)
