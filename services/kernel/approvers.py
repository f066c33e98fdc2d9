"""The persons who may approve: `approvers.yaml`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from msgspec import Meta

from services.kernel import policy_file
from services.kernel.approval import Approver
from services.kernel.errors import ConfigError
from services.kernel.policy_file import Strict

APPROVERS_ID = "urn:safe-reporting:approvers:1.0"


class ApproversFile(Strict, frozen=True):
    """The whole of `approvers.yaml`."""

    version: Annotated[int, Meta(ge=1, le=1)]
    approvers: tuple[Approver, ...]


def load_approvers(path: Path) -> dict[str, Approver]:
    """Read the persons who may approve, by id.

    Raises:
        ConfigError: listing every fault of the file; an id or a key given twice.
    """
    schema = policy_file.json_schema(ApproversFile, identifier=APPROVERS_ID, title="Approvers of safe-reporting")
    held = policy_file.read(path, ApproversFile, schema=schema, what="approvers").approvers
    faults = []
    for what in ("id", "key"):
        values = [getattr(approver, what) for approver in held]
        faults += [f"{what} `{value}` is given twice" for value in sorted({v for v in values if values.count(v) > 1})]
    if faults:
        raise ConfigError(f"approvers `{path.name}`", faults)
    return {approver.id: approver for approver in held}
