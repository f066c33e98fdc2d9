"""What would be decided for a record of which only the facts are known: for scenarios, matrix and comparison."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import msgspec

from services.kernel.attestation import Claims
from services.kernel.vocabulary import ACCUSED_ROLES, Role
from services.router.answer import Answer, ask
from services.router.areas import Areas
from services.router.facts import FEEDS, MARKERS
from services.router.partners import Partner, Registry
from services.router.policy import Policies
from services.router.view import Views
from services.router.view_compile import Holds


class Situation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One record, as far as policy sees it. `area` is the name of a borough, its code, or `unknown`.

    Without `protected`, a record is unprotected where every role is an accused one and nobody is a child.
    """

    feed: str
    agency: str
    area: str
    roles: tuple[str, ...] = ("victim",)
    markers: tuple[str, ...] = ()
    protected: bool | None = None
    child: bool = False
    text_held: bool = False
    residual: bool = False

    def faults(self, areas: Areas) -> list[str]:
        """Words that no record could hold: a policy would refuse them as errors, for the wrong reason."""
        places = {"unknown", *areas.names, *areas.names.values()}
        asked = (
            ("feed", (self.feed,), FEEDS),
            ("role", self.roles, tuple(role.value for role in Role)),
            ("marker", self.markers, MARKERS),
        )
        found = [
            f"`{word}` is not a {what}: {', '.join(known)}"
            for what, words, known in asked
            for word in words
            if word not in known
        ]
        if self.area not in places and not re.fullmatch(r"E\d{8}", self.area):
            found.append(f"`{self.area}` is no borough: {', '.join(sorted(areas.names.values()))}, a code, or unknown")
        return found

    def claims(self, areas: Areas) -> Claims:
        """The claims that the redactor would sign for such a record."""
        codes = {name: code for code, name in areas.names.items()}
        accused = bool(self.roles) and ACCUSED_ROLES.issuperset(self.roles) and not self.child
        return Claims(
            sha256="", schema="", detector="", source=("", 0, 0), agency=self.agency, feed=self.feed,
            area=codes.get(self.area, self.area), record="", roles=self.roles, persons={}, subjects=(),
            protected=not accused if self.protected is None else self.protected, child=self.child,
            markers=self.markers, held=self.text_held, vouchers=(),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class World:
    """All that decides, on one day."""

    registry: Registry
    areas: Areas
    policies: Policies
    views: Views
    day: date

    def changed(self, *, partners: Mapping[str, Any], areas: Mapping[str, Any], day: date | None) -> World:
        """The same with some fields of partners (by id) and boroughs (by name) set to other values.

        Raises:
            KeyError: a partner or borough that is not registered.
            msgspec.ValidationError: a value that does not fit.
        """
        held = {partner.id: partner for partner in self.registry.partners}
        for name, change in partners.items():
            held[name] = msgspec.convert(_merged(msgspec.to_builtins(held[name]), change), Partner)
        boroughs = {area.name: area for area in self.areas.areas}
        for name, change in areas.items():
            merged = _merged(msgspec.to_builtins(boroughs[name]), change)
            boroughs[name] = msgspec.convert(merged, type(boroughs[name]))
        return World(
            Registry(held.values()), Areas(boroughs.values()), self.policies, self.views, day or self.day
        )  # fmt: skip

    def answers(self, situation: Situation, *, consents: frozenset[str] = frozenset()) -> dict[str, Answer]:
        """The answer to every partner whose agreement names the agency and the feed, by id.

        Args:
            consents: partners for which the person's consent is recorded, for each of their purposes.
        """
        claims = situation.claims(self.areas)
        standings, started = self.registry.standings(self.day), self.areas.started(self.day)
        found = {}
        for partner in self.registry.subscribers(situation.agency, situation.feed):
            view = self.views.get(partner.view, situation.feed)
            found[partner.id] = ask(
                self.policies, partner, claims, standing=standings[partner.id], started=started,
                consented=frozenset(partner.purposes if partner.id in consents else ()), residual=situation.residual,
                holds=view.holds if view else Holds(),
            )  # fmt: skip
        return found


def _merged(held: dict[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **held,
        **{k: _merged(held[k], v) if isinstance(held.get(k), dict) and isinstance(v, dict) else v
           for k, v in change.items()},
    }  # fmt: skip
