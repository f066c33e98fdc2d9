"""Profiles: named sets of policies. A service runs an approved one alone; the others are there to be compared."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from services.kernel import policy_file
from services.kernel.errors import ConfigError
from services.kernel.policy_file import Strict
from services.router.partners import Line, Slug
from services.router.policy import Policies, load_policies

SCHEMA_ID = "urn:safe-reporting:profiles:1.0"


class Status(StrEnum):
    """Whether a service may run with a profile."""

    APPROVED = "approved"
    COMPARISON = "comparison"


class Profile(Strict, frozen=True):
    """One profile: the policies of `cedar/`, less those of `without`, and those of `folder` where there is one."""

    id: Slug
    status: Status
    title: Line
    basis: Line
    folder: Annotated[str, Meta(pattern=r"^[a-z0-9-]+$")] | None = None
    without: tuple[Slug, ...] = ()


class ProfilesFile(Strict, frozen=True):
    """The whole file."""

    version: Annotated[int, Meta(ge=1, le=1)]
    profiles: Annotated[tuple[Profile, ...], Meta(min_length=1)]


def json_schema() -> dict[str, Any]:
    """JSON Schema of the file, as it stands in `policies/profiles/profiles.schema.json`."""
    return policy_file.json_schema(ProfilesFile, identifier=SCHEMA_ID, title="Profiles of safe-reporting")


def load_profile(policies_dir: Path, name: str, *, for_service: bool) -> Policies:
    """The policies of one profile; all share the schema of `cedar/`.

    Raises:
        ConfigError: unknown, faulty, or not approved although a service asks for it.
    """
    path = policies_dir / "profiles" / "profiles.yaml"
    held = policy_file.read(path, ProfilesFile, schema=json_schema(), what="profiles")
    found = {profile.id: profile for profile in held.profiles}
    profile = found.get(name)
    if profile is None:
        raise ConfigError("profile", [f"`{name}` is not one of `{'`, `'.join(found)}`"])
    approved = profile.status is Status.APPROVED
    if for_service and not approved:
        raise ConfigError("profile", [f"`{name}` is for comparison only: no service runs with it"])
    if approved and (profile.folder or profile.without):
        raise ConfigError("profile", [f"`{name}` is approved, so it is `cedar/` itself: no `folder`, no `without`"])
    more = policies_dir / "profiles" / profile.folder if profile.folder else None
    return load_policies(policies_dir / "cedar", more=more, without=frozenset(profile.without))
