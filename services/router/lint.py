"""Every fault of the policy files at once: what does not load, what cannot be reached, what nobody tried."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import TypeVar

from services.kernel.errors import ConfigError
from services.router.areas import Areas, load_areas
from services.router.partners import Purpose, Registry, load_partners
from services.router.policy import Policies
from services.router.profiles import load_profile
from services.router.prove import applies_for
from services.router.scenarios import load_scenarios, run
from services.router.situation import World
from services.router.truth import tables
from services.router.view import Views, load_views

T = TypeVar("T")
#: The day of every scenario that names none: the figures of a check do not change with the calendar.
SCENARIO_DAY = date(2026, 11, 24)
#: Registered without a permit, so that the refusal is explicit.
_NEVER = frozenset({Purpose.IMMIGRATION_ENFORCEMENT})


def load(policies: Path, schemas: Path, profile: str) -> tuple[Registry, Areas, Policies, Views]:
    """Registry, areas, policies and views that fit each other.

    Raises:
        ConfigError: listing every fault of every part.
    """
    faults: list[str] = []

    def part(read: Callable[[], T]) -> T | None:
        try:
            return read()
        except ConfigError as error:
            faults.extend(f"{error.what}: {fault}" for fault in error.faults)
            return None

    registry = part(lambda: load_partners(policies / "partners.yaml"))
    areas = part(lambda: load_areas(policies / "areas.yaml"))
    held = part(lambda: load_profile(policies, profile, for_service=False))
    views = part(lambda: load_views(schemas / "partners"))
    if registry and views:
        part(lambda: views.check(registry))
    if faults or not (registry and areas and held and views):
        raise ConfigError("policy files", faults)
    return registry, areas, held, views


def faults(policies: Path, schemas: Path) -> list[str]:
    """Every fault, in words; where files do not load, only those."""
    try:
        registry, areas, held, views = load(policies, schemas, "default")
    except ConfigError as error:
        return error.faults
    return [
        *_unreachable(held, registry),
        *_unused_views(registry, views),
        *_untried(World(registry, areas, held, views, SCENARIO_DAY), policies / "scenarios"),
    ]


def _unreachable(policies: Policies, registry: Registry) -> Iterator[str]:
    """Policies that can decide for nobody, and purposes that nothing is permitted for."""
    applied: set[str] = set()
    for partner in registry.partners:
        asked = tables(policies.static, policies.schema, partner.id, partner.view)
        for purpose in partner.purposes:
            held = {table.policy for table in asked if applies_for(table, purpose) is not None}
            applied |= held
            if not held & policies.permits and purpose not in _NEVER:
                yield f"partner `{partner.id}`: no policy permits anything for `{purpose}`"
    yield from (
        f"policy `{name}` can never apply: no partner has its purpose, or its terms exclude each other"
        for name in sorted((policies.permits | policies.forbids) - applied)
    )


def _unused_views(registry: Registry, views: Views) -> Iterator[str]:
    named = {(partner.view, feed) for partner in registry.partners for feed in partner.feeds}
    yield from (f"view `{view}/{feed}.json` is named by no partner" for view, feed in sorted(views.names - named))


def _untried(world: World, folder: Path) -> Iterator[str]:
    """Scenarios that do not come out as told, and policies that none decides."""
    try:
        results = list(run(world, load_scenarios(folder)))
    except ConfigError as error:
        yield from error.faults
        return
    for result in results:
        yield from (f"scenario `{result.scenario.name}`: {fault}" for fault in result.faults)
    tried = frozenset().union(*(result.decided for result in results))
    every = world.policies.permits | world.policies.forbids
    yield from (f"policy `{name}` decides no scenario" for name in sorted(every - tried))
