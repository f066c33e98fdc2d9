"""The closed list of statutory duties (`policies/duties.yaml`): what binds, and how what it demands is released."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from services.kernel import policy_file
from services.kernel.errors import ConfigError
from services.kernel.policy_file import Strict

SCHEMA_ID = "urn:safe-reporting:duties:1.0"


class Route(StrEnum):
    """The way that a duty is met."""

    SEALED = "sealed"
    OFF_STREAM = "off_stream"
    ORDINARY = "ordinary"
    NONE = "none"


class Transform(StrEnum):
    """What is made of a record for a duty."""

    MSA_S52 = "msa-s52"


class Duty(Strict, frozen=True):
    """One row. `reference` is a pattern for the number that a release must name; `days` how long one may wait."""

    id: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=60)]
    title: Annotated[str, Meta(min_length=1, max_length=200)]
    instrument: Annotated[str, Meta(min_length=1, max_length=200)]
    binds: bool
    path: Route
    says: Annotated[str, Meta(min_length=1, max_length=300)]
    transform: Transform | None = None
    topic: Annotated[str, Meta(pattern=r"^sealed\.[a-z0-9-]+$")] | None = None
    feeds: tuple[str, ...] = ()
    reference: str = ""
    releasers: Annotated[int, Meta(ge=2, le=5)] | None = None
    days: Annotated[int, Meta(ge=1, le=30)] | None = None


class DutiesFile(Strict, frozen=True):
    """The whole file."""

    version: Annotated[int, Meta(ge=1, le=1)]
    duties: Annotated[tuple[Duty, ...], Meta(min_length=1)]


def json_schema() -> dict[str, Any]:
    """JSON Schema of the file, as it stands in `policies/duties.schema.json`."""
    return policy_file.json_schema(DutiesFile, identifier=SCHEMA_ID, title="Statutory duties of safe-reporting")


def load_duties(path: Path) -> dict[str, Duty]:
    """Read and check the list, by id.

    Raises:
        ConfigError: listing every fault: an id twice, a power that lets something out, a sealed path that is not whole.
    """
    held = policy_file.read(path, DutiesFile, schema=json_schema(), what="duties").duties
    faults = []
    ids = [duty.id for duty in held]
    faults += [f"duty `{name}` is given twice" for name in sorted({name for name in ids if ids.count(name) > 1})]
    for duty in held:
        whole = bool(duty.transform and duty.topic and duty.feeds and duty.reference and duty.releasers and duty.days)
        if duty.path is Route.SEALED and not (duty.binds and whole):
            faults.append(
                f"duty `{duty.id}`: `sealed` needs binds, transform, topic, feeds, reference, releasers, days"
            )
        if duty.path is not Route.SEALED and (duty.transform or duty.topic):
            faults.append(f"duty `{duty.id}`: only a `sealed` duty has a transform and a topic")
    if faults:
        raise ConfigError(f"duties `{path.name}`", faults)
    return {duty.id: duty for duty in held}
