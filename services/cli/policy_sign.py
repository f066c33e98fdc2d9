"""Sign a policy set as one of two persons, and put the manifest on `control`."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.kernel import keys
from services.kernel.approval import Approver, demand, sign
from services.kernel.errors import ConfigError, RefusedError
from services.kernel.jsonio import UNREADABLE
from services.kernel.kafka.reader import read_all, send
from services.kernel.ledger import rfc3339
from services.kernel.record import Inbound, Message
from services.kernel.whole import write_whole
from services.router.manifest import Manifest, accept, in_force, read_manifest, revoked, set_hash
from services.router.partners import load_partners


def start(
    policies: Path, *, sequence: int, effective_from: datetime | None, revoked: list[str],
    restored: Sequence[str] = (), profile: str = "default",
) -> Manifest:  # fmt: skip
    """A manifest of the set in `policies`, not signed yet; without a time it is in force at once.

    Raises:
        ConfigError: a partner that is revoked or restored is not in the set, or is both.
    """
    known = load_partners(policies / "partners.yaml").by_id
    faults = [f"`{id_}` is no partner of `partners.yaml`" for id_ in sorted({*revoked, *restored} - known.keys())]
    faults += [f"`{id_}` is both revoked and restored" for id_ in sorted({*revoked} & {*restored})]
    if faults:
        raise ConfigError("manifest", faults)
    moment = effective_from.replace(tzinfo=effective_from.tzinfo or UTC) if effective_from else None
    now = int(time.time() * 1000) if moment is None else int(moment.timestamp() * 1000)
    return Manifest(
        sequence=sequence, sha256=set_hash(policies), profile=profile, effective_from=rfc3339(now),
        revoked=tuple(sorted(set(revoked))), restored=tuple(sorted(set(restored))),
    )  # fmt: skip


def load(path: Path) -> Manifest:
    """A manifest from its file.

    Raises:
        ConfigError: the file cannot be read or is no manifest.
    """
    try:
        return read_manifest(path.read_bytes())
    except (OSError, *UNREADABLE) as error:
        raise ConfigError("manifest", [f"`{path.name}`: {error}"]) from error


def save(path: Path, manifest: Manifest) -> None:
    """Write the manifest for the next person, or for `publish`.

    Raises:
        ConfigError: it cannot be written; what was there is as it was.
    """
    write_whole(path, orjson.dumps(msgspec.to_builtins(manifest), option=orjson.OPT_INDENT_2) + b"\n")


def add(
    manifest: Manifest, policies: Path, key: Ed25519PrivateKey, *, by: str, reason: str, reference: str
) -> Manifest:
    """The manifest with one more approval.

    Raises:
        RefusedError: the files at hand are not the set of the manifest, or the person has signed already.
    """
    if set_hash(policies) != manifest.sha256:
        raise RefusedError(f"`{policies}` is not the set of this manifest: read the files that you sign")
    if any(approval.by == by for approval in manifest.approvals):
        raise RefusedError(f"`{by}` has signed already: the second person is another one")
    approval = sign(manifest.request, key, by=by, reason=reason, reference=reference, now=int(time.time() * 1000))
    return msgspec.structs.replace(manifest, approvals=(*manifest.approvals, approval))


def private_key(path: Path) -> Ed25519PrivateKey:
    """The approver's key from a file of its own (64 hex digits).

    Raises:
        ConfigError: it cannot be read or is no key.
    """
    try:
        return keys.private_key(keys.Key(path.stem, path.suffix[1:], path.read_bytes().strip()))
    except OSError as error:
        raise ConfigError("key", [f"`{path.name}`: {error.strerror}"]) from error


def publish(config: Mapping[str, str], manifest: Manifest, approvers: Mapping[str, Approver]) -> None:
    """Put a manifest that two persons signed on `control`.

    Raises:
        RefusedError: it is not approved, or its number is not above the last one.
        SafeReportingError: the broker is not reached or refuses.
    """
    demand(manifest.request, manifest.approvals, approvers=approvers, now=int(time.time() * 1000))
    heard = map(_manifest, read_all(config, "control", name="cli-operator"))
    last = max((found.sequence for found in heard if found is not None), default=0)
    if manifest.sequence <= last:
        raise RefusedError(
            f"manifest {manifest.sequence} is not above the last one, {last}: going back is a new number"
        )
    send(config, [(Message("control", manifest.key, orjson.dumps(msgspec.to_builtins(manifest))), 0)])


def closed(records: Iterable[Inbound], approvers: Mapping[str, Approver], now: int) -> frozenset[str]:
    """Partners that the manifests among `records` of `control` close at `now` (milliseconds since the epoch)."""
    said = [(found, record.timestamp) for record in records if (found := _manifest(record)) is not None]
    held = accept(said, approvers).manifests
    return revoked(held, in_force(held, rfc3339(now)))


def _manifest(record: Inbound) -> Manifest | None:
    try:
        return read_manifest(record.value.reveal()) if record.value is not None else None
    except UNREADABLE:
        return None
