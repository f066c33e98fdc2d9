"""Partner views: one JSON Schema for each view and feed, compiled once to a pure builder.

A builder takes a redacted record and its claims and returns all that may leave, with placeholders where
a partner's keyed ids go. Every property of the view is present; `null` is the one constant for empty,
dropped, held and unknown. What a builder returns was validated against the view.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import jsonschema_rs
import orjson

from services.kernel.attestation import Claims
from services.kernel.errors import ConfigError
from services.router import view_compile
from services.router.partners import Registry
from services.router.residual import Leaf
from services.router.view_compile import PLACEHOLDER, Run, Slot

__all__ = ["PLACEHOLDER", "Built", "View", "Views", "load_views"]


@dataclass(slots=True)
class Built:
    """One view of one record, before a partner's ids are in.

    `value` is reused for every partner of the view: fill and serialise, then fill for the next.
    """

    value: dict[str, Any]
    slots: list[Slot]
    leaves: list[Leaf]
    valid: bool


class View:
    """One view of one feed: builds, and validates what it built."""

    def __init__(self, name: str, feed: str, schema: dict[str, Any], *, digest: str) -> None:
        faults: list[str] = []
        self.name = name
        self.feed = feed
        self.digest = digest
        plan = view_compile.compile_view(schema, faults)
        expected = f"urn:safe-reporting:view:{name}:{feed}:"
        if not str(schema.get("$id", "")).startswith(expected):
            faults.append(f"`$id` does not begin with `{expected}`")
        try:
            self._validator = jsonschema_rs.Draft202012Validator(schema)
        except (ValueError, jsonschema_rs.ValidationError) as error:
            faults.append(" ".join(str(error).split()))
        if faults:
            raise ConfigError(f"view `{name}/{feed}.json`", faults)
        self._emit = plan.emit
        self.holds = plan.holds

    def build(self, record: dict[str, Any], claims: Claims, *, today: date) -> Built:
        """Build this view of `record`; pure, and the same for every partner of the view but for ids."""
        run = Run(record, claims, today)
        value = self._emit(run)
        return Built(value, run.slots, run.leaves, self.valid(value))

    def valid(self, value: object) -> bool:
        """Whether `value` fits the view's schema."""
        return bool(self._validator.is_valid(value))


class Views:
    """All views by (view, feed); `digest` names their version."""

    def __init__(self, views: Mapping[tuple[str, str], View]) -> None:
        self._views = dict(views)
        parts = sorted(f"{name}/{feed}={view.digest}" for (name, feed), view in self._views.items())
        self.digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    @property
    def names(self) -> frozenset[tuple[str, str]]:
        """(view, feed) of every file."""
        return frozenset(self._views)

    def get(self, name: str, feed: str) -> View | None:
        """The view `name` of `feed`, if there is one."""
        return self._views.get((name, feed))

    def check(self, registry: Registry) -> None:
        """Refuse to start where a partner names a view and feed that have no file, or what they have no need of.

        Raises:
            ConfigError: listing every such partner and feed.
        """
        faults = []
        for partner in registry.partners:
            for feed in partner.feeds:
                view = self.get(partner.view, feed)
                if view is None:
                    faults.append(f"partner `{partner.id}`: no file `{partner.view}/{feed}.json`")
                    continue
                file = f"`{partner.view}/{feed}.json`"
                for held, need, what in (
                    (view.holds.text, partner.text, "free text"),
                    (view.holds.contact, partner.contact_details, "contact details"),
                    (view.holds.address, partner.address, "an address"),
                ):
                    if held and not need.needed:
                        faults.append(f"partner `{partner.id}`: {file} has {what} without a need")
        if faults:
            raise ConfigError("partners and views", faults)


def load_views(directory: Path) -> Views:
    """Read every `<view>/<feed>.json` below `directory`.

    Raises:
        ConfigError: listing every fault of every file.
    """
    views: dict[tuple[str, str], View] = {}
    faults: list[str] = []
    for path in sorted(directory.glob("*/*.json")):
        name, feed = path.parent.name, path.stem
        try:
            data = path.read_bytes()
            schema = orjson.loads(data)
            views[name, feed] = View(name, feed, schema, digest=hashlib.sha256(data).hexdigest())
        except (OSError, orjson.JSONDecodeError) as error:
            faults.append(f"`{name}/{feed}.json`: {error}")
        except ConfigError as error:
            faults += [f"`{name}/{feed}.json`: {fault}" for fault in error.faults]
    if not views and not faults:
        faults.append(f"no views in `{directory}`")
    if faults:
        raise ConfigError("views", faults)
    return Views(views)
