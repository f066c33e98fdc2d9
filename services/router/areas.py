"""The pilot: from which day records of each borough may leave (`policies/areas.yaml`)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from services.kernel import policy_file
from services.kernel.errors import ConfigError
from services.kernel.policy_file import Strict
from services.router.partners import Borough, Line

SCHEMA_ID = "urn:safe-reporting:areas:1.0"
BOROUGHS = 10


class Area(Strict, frozen=True, rename={"from_": "from"}):
    """One borough and its first day in the pilot; without one it is outside."""

    code: Borough
    name: Line
    from_: date | None = None


class AreasFile(Strict, frozen=True):
    """The whole file."""

    version: Annotated[int, Meta(ge=1, le=1)]
    areas: Annotated[tuple[Area, ...], Meta(min_length=BOROUGHS, max_length=BOROUGHS)]


class Areas:
    """The ten boroughs; `digest` names this version in every decision."""

    def __init__(self, areas: Iterable[Area]) -> None:
        self.areas = tuple(areas)
        self.names = {area.code: area.name for area in self.areas}
        self.digest = hashlib.sha256(msgspec.json.encode(self.areas)).hexdigest()[:16]

    def started(self, today: date) -> frozenset[str]:
        """Codes of the boroughs that are in the pilot on `today` (Europe/London)."""
        return frozenset(area.code for area in self.areas if area.from_ is not None and area.from_ <= today)


def json_schema() -> dict[str, Any]:
    """JSON Schema of the file, as it stands in `policies/areas.schema.json`."""
    return policy_file.json_schema(AreasFile, identifier=SCHEMA_ID, title="Pilot areas of safe-reporting")


def load_areas(path: Path) -> Areas:
    """Read and check the file.

    Raises:
        ConfigError: listing every fault of the file.
    """
    areas = policy_file.read(path, AreasFile, schema=json_schema(), what="areas").areas
    codes = [area.code for area in areas]
    if twice := sorted({code for code in codes if codes.count(code) > 1}):
        raise ConfigError(f"areas `{path.name}`", [f"area `{code}` is given twice" for code in twice])
    return Areas(areas)
