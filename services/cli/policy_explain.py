"""Why a partner got, or did not get, a record: in plain words, with the basis in law."""

from __future__ import annotations

from pathlib import Path

import msgspec

from services.kernel.errors import ConfigError
from services.kernel.jsonio import UNREADABLE
from services.router.policy import DEFAULT, Policies
from services.router.situation import Situation, World


class Told(msgspec.Struct, frozen=True):
    """One explanation. `reasons` are (policy, what it says, basis)."""

    partner: str
    name: str
    allowed: bool
    about: str
    reasons: tuple[tuple[str, str, str], ...]
    note: str = ""


class _Decision(msgspec.Struct):
    partner: str
    effect: str
    policies: tuple[str, ...]


class _Entry(msgspec.Struct):
    service: str
    time: str
    feed: str | None
    decisions: tuple[_Decision, ...]


def from_situation(world: World, partner: str, situation: Situation, *, consent: bool) -> Told:
    """Decide for a record that is described, and explain."""
    held = world.registry.by_id[partner]
    area = world.areas.names.get(situation.area, situation.area)
    about = f"a {situation.feed} record of {area}, {' and '.join(situation.roles)}, on {world.day}"
    answer = world.answers(situation, consents=frozenset({partner} if consent else ())).get(partner)
    if answer is None:
        feeds, agencies = ", ".join(held.feeds), ", ".join(held.agencies)
        note = f"its agreement names {feeds} of {agencies}: nothing else is decided or sent"
        return Told(partner, held.name, allowed=False, about=about, reasons=(), note=note)
    reasons = tuple(_reason(world.policies, name) for name in answer.named)
    return Told(partner, held.name, allowed=answer.ruling.allowed, about=about, reasons=reasons)


def from_entry(world: World, partner: str, path: Path) -> Told:
    """Explain the decision for `partner` that stands in a ledger entry of the router.

    Raises:
        ConfigError: not an entry, or no decision for the partner in it.
    """
    try:
        entry = msgspec.json.decode(path.read_bytes(), type=_Entry)
    except (OSError, *UNREADABLE) as error:
        raise ConfigError("explain", [f"`{path.name}` is not one ledger entry: {error}"]) from error
    held = world.registry.by_id[partner]
    about = f"a {entry.feed or 'record of no known feed'} record, decided {entry.time}"
    decision = next((one for one in entry.decisions if one.partner == partner), None)
    if decision is None:
        note = "the entry holds no decision for this partner: its agreement names another agency or feed"
        return Told(partner, held.name, allowed=False, about=about, reasons=(), note=note)
    reasons = tuple(_reason(world.policies, name) for name in decision.policies)
    return Told(partner, held.name, allowed=decision.effect == "allow", about=about, reasons=reasons)


def _reason(policies: Policies, name: str) -> tuple[str, str, str]:
    if name == DEFAULT:
        return name, "no policy permits it, and nothing leaves that no policy permits", "DPA 2018 s.35"
    policy = policies.static.get(name)
    if policy is None:
        return name, "a policy of another version than the one at hand", ""
    return name, policy["annotations"]["summary"], policy["annotations"]["basis"]


def text(told: Told) -> str:
    """As a person reads it."""
    lines = [f"{told.name} ({told.partner}) {'receives' if told.allowed else 'does not receive'} {told.about}"]
    if told.note:
        lines.append(f"  because {told.note}")
    for policy, says, basis in told.reasons:
        lines += [f"  because {says}", f"      policy {policy}; basis {basis or 'not known here'}"]
    return "\n".join(lines)
