"""May the router publish now, and on what: the policy set in force, closed partners, consents and the gate.

All of it is read from `control` and `consent` to their end just before each batch. What cannot be read, verified
or found closes the router; a faulty new set leaves the last good one in force.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import structlog

from services.kernel import consent, telemetry
from services.kernel.approval import CLOCKS_MS, Approver
from services.kernel.errors import ConfigError
from services.kernel.gate import GateState, Heard
from services.kernel.jsonio import UNREADABLE
from services.kernel.kafka.watch import Watch
from services.kernel.ledger import rfc3339
from services.kernel.reading import Reading
from services.kernel.record import Inbound
from services.router.manifest import Manifest, accept, in_force, read_manifest, revoked, set_hash

log = structlog.get_logger()

CONTROL = "control"


class PolicySets:
    """Folders of policy sets by hash; each is tried once, when a manifest first names it.

    Args:
        own: the folder that the service started with.
        others: folder that holds further sets, each in a folder named by its hash.
        load: raises ConfigError where a set cannot be loaded under a profile.
    """

    def __init__(self, own: Path, others: Path | None, load: Callable[[Path, str], object]) -> None:
        self._own = own
        self._own_hash = set_hash(own)
        self._others = others
        self._load = load
        self._sound: dict[tuple[str, str], bool] = {}

    def folder(self, sha256: str) -> Path | None:
        """Where the set with this hash is now; None where it is not, or a file of it was changed."""
        if sha256 == self._own_hash and set_hash(self._own) == sha256:
            return self._own
        folder = self._others / sha256 if self._others else None
        return folder if folder is not None and folder.is_dir() and set_hash(folder) == sha256 else None

    def sound(self, manifest: Manifest) -> bool | None:
        """Whether the manifest's set loads; None where it is not here."""
        place = manifest.sha256, manifest.profile
        if place not in self._sound:
            folder = self.folder(manifest.sha256)
            if folder is None:
                return None
            try:
                self._load(folder, manifest.profile)
                self._sound[place] = True
            except ConfigError as error:
                self._sound[place] = False
                faulty = len(error.faults)
                log.error("policy_set_faulty", count=faulty, version=manifest.sha256[:16])  # noqa: TRY400 - no traceback
                telemetry.POLICY_FAULTS.inc()
        return self._sound[place]


class ControlLease:
    """The lease of one router. See `facts`."""

    def __init__(
        self, watch: Callable[[Callable[[Inbound], None]], Watch], *, approvers: Mapping[str, Approver],
        sets: PolicySets, folder: Path,
    ) -> None:  # fmt: skip
        """`watch` makes the reader of `control` and `consent`; `folder` takes the book of consents for the step."""
        self._approvers = approvers
        self._sets = sets
        self._heard: list[tuple[Manifest, int]] = []
        self._manifests: list[Manifest] = []
        self._faults: list[str] = []
        self._doubted = 0
        self._gate = GateState(approvers)
        self._consents = consent.Register()
        self._book = consent.BookFile(folder)
        self._said = ""
        self._started = int(time.time() * 1000)
        self._watch = watch(self._told)
        self._read = Reading(self._watch.fresh, f"`{CONTROL}` and `{consent.TOPIC}`")

    def facts(self, now: int) -> dict[str, str] | None:
        """What holds for a batch that is decided at `now`; None where nothing may be published.

        1. Read `control` and `consent` to their end.
        2. The gate must be open.
        3. Find the manifest in force; its set must be here. Where it is faulty, the last good one holds, unless a
           later manifest is in doubt: an older set must not come back because a person left the file of approvers.
        4. Close partners revoked and not restored, by manifests to come too, and what detectors wrote that leaked.
        5. Put the consents where the step process finds them.

        Raises:
            UnreachableError: they could not be read to their end for too long.
        """
        if not self._read():  # 1
            return self._closed("control_unread")
        if self._gate.since is not None:  # 2
            return self._closed("gate_closed")
        current = in_force(self._manifests, rfc3339(now))  # 3
        if current is None:
            return self._closed("no_policy_in_force")
        for manifest in self._manifests:
            if manifest.sequence > current.sequence:
                self._sets.sound(manifest)  # the next set is tried before its time
        held = self._good(current)
        if held is None or self._sets.folder(held.sha256) is None:  # a step that starts anew loads it again
            return self._closed("policy_set_missing")
        if self._doubted >= held.sequence:
            return self._closed("approver_unknown")
        self._said = ""
        telemetry.POLICY_SEQUENCE.labels("router").set(held.sequence)
        return {
            "policy": held.sha256,
            "profile": held.profile,
            "sequence": str(held.sequence),
            "closed": ",".join(sorted(revoked(self._manifests, held))),  # 4
            "refused": ",".join(sorted(self._gate.refused)),
            "consents": self._book.write(self._consents),  # 5
            "consent_offset": str(self._consents.offset),
        }

    def close(self) -> None:
        """Leave `control` and `consent`."""
        self._watch.close()

    def _good(self, current: Manifest) -> Manifest | None:
        """The manifest in force, or below it the last whose set is sound; None where the one in force is not here."""
        for manifest in reversed([m for m in self._manifests if m.sequence <= current.sequence]):
            sound = self._sets.sound(manifest)
            if sound is None and manifest is current:
                return None
            if sound:
                return manifest
        return None

    def _told(self, record: Inbound) -> None:
        value = record.value.reveal() if record.value is not None else None
        if record.topic == consent.TOPIC:
            if not self._consents.hear(value, record.offset):
                log.error("consent_unreadable", topic=consent.TOPIC, partition=record.partition, offset=record.offset)
            return
        heard = self._gate.hear(record)
        if heard is not Heard.OTHER:
            if heard is Heard.REFUSED:
                log.error("gate_opening_refused", topic=CONTROL, partition=0, offset=record.offset)
                self._count(record)
            elif heard is Heard.UNREADABLE:
                log.error("gate_unreadable", topic=CONTROL, partition=0, offset=record.offset)
                self._count(record)
            return
        if value is None:
            return
        try:
            self._heard.append((read_manifest(value), record.timestamp))
        except UNREADABLE:
            offset = record.offset
            log.error("control_unreadable", topic=CONTROL, partition=0, offset=offset)  # noqa: TRY400 - no traceback
            self._count(record)
            return
        self._manifests, faults, self._doubted = accept(self._heard, self._approvers)
        if len(faults) > len(self._faults):
            log.error("manifest_refused", count=len(faults) - len(self._faults), offset=record.offset)
            self._count(record)
        self._faults = faults

    def _count(self, record: Inbound) -> None:
        """Count a fault, but not again one that was there before this router started."""
        if record.timestamp >= self._started - CLOCKS_MS:
            telemetry.POLICY_FAULTS.inc()

    def _closed(self, why: str) -> dict[str, str] | None:
        if why != self._said:
            log.error("router_closed", reason=why)
            self._said = why
        telemetry.POLICY_SEQUENCE.clear()
        return None
