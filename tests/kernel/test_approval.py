"""Two different persons, one action, one content, once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.kernel.approval import LONGEST, Approval, Approver, Request, demand, sign, verify
from services.kernel.approvers import load_approvers
from services.kernel.errors import ConfigError, RefusedError

NOW = 1_795_000_000_000
DAY = 86_400_000
KEYS = {name: Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n, name in enumerate(("ada", "ben", "cay"), 1)}
REQUEST = Request("policy", "ab" * 32)


def approver(name: str, **changes: object) -> Approver:
    raw = KEYS[name].public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    held = Approver(id=name, actions=("policy",), key=raw.hex(), from_=date(2026, 1, 1), until=date(2099, 12, 31))
    return msgspec.structs.replace(held, **changes)


APPROVERS = {name: approver(name) for name in ("ada", "ben")}


def by(name: str, *, request: Request = REQUEST, now: int = NOW, key: str | None = None) -> Approval:
    return sign(request, KEYS[key or name], by=name, reason="new partner", reference="MIN-7", now=now)


def test_two_different_persons_carry_it() -> None:
    assert verify(REQUEST, [by("ada"), by("ben")], approvers=APPROVERS, now=NOW) == []
    demand(REQUEST, [by("ada"), by("ben")], approvers=APPROVERS, now=NOW)


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (lambda: [by("ada")], "1 of 2 different persons"),
        (lambda: [], "0 of 2 different persons"),
        (lambda: [by("ada"), by("ada", now=NOW + 1)], "the second by the same person"),
        (lambda: [by("ada"), by("cay")], "by nobody who may approve"),
        (lambda: [by("ada"), by("ben", key="ada")], "a signature that does not verify"),
        (lambda: [by("ada"), by("ben", request=Request("duty", "ab" * 32))], "is for `duty`"),
        (lambda: [by("ada"), by("ben", request=Request("policy", "cd" * 32))], "is for other content"),
        (lambda: [by("ada"), by("ben", now=NOW - LONGEST.days * DAY - 1)], "is not within its time"),
        (lambda: [by("ada"), by("ben", now=NOW + DAY)], "is not within its time"),
    ],
)
def test_anything_less_is_refused_and_said(make: Callable[[], list[Approval]], fault: str) -> None:
    assert fault in "; ".join(verify(REQUEST, make(), approvers=APPROVERS, now=NOW))
    with pytest.raises(RefusedError, match="`policy` is not approved"):
        demand(REQUEST, make(), approvers=APPROVERS, now=NOW)


@pytest.mark.parametrize("field", ["action", "sha256", "reason", "reference", "at", "expires"])
def test_every_field_is_signed(field: str) -> None:
    other = {
        "action": "duty", "sha256": "cd" * 32, "reason": "another", "reference": "MIN-8",
        "at": "2026-11-18T11:06:39.000Z", "expires": "2026-12-02T11:06:39.000Z",
    }  # fmt: skip
    changed = msgspec.structs.replace(by("ben"), **{field: other[field]})
    assert "does not verify" in "; ".join(verify(REQUEST, [by("ada"), changed], approvers=APPROVERS, now=NOW))


def test_an_approval_counts_once() -> None:
    first, second = by("ada"), by("ben")
    faults = verify(REQUEST, [first, second], approvers=APPROVERS, now=NOW, used=frozenset({second.id}))
    assert faults == ["approval by `ben` was used before", "1 of 2 different persons approve"]


def test_another_text_of_the_same_signature_is_the_same_approval() -> None:
    """The last of the 86 characters has four bits that say nothing."""
    second = by("ben")
    text = "".join(chr(code) for code in (*range(65, 91), *range(97, 123), *range(48, 58))) + "-_"
    following = text[text.index(second.signature[-1]) + 1]
    other = msgspec.structs.replace(second, signature=second.signature[:-1] + following)
    assert verify(REQUEST, [by("ada"), other], approvers=APPROVERS, now=NOW) == []
    faults = verify(REQUEST, [by("ada"), other], approvers=APPROVERS, now=NOW, used=frozenset({second.id}))
    assert "approval by `ben` was used before" in faults


@pytest.mark.parametrize(("hour", "carries"), [(22, True), (23, False)])
def test_the_last_day_of_an_approver_ends_with_the_day_in_london(hour: int, carries: bool) -> None:
    now = int(datetime(2026, 6, 30, hour, 30, tzinfo=UTC).timestamp() * 1000)  # in June it is an hour later there
    held = {"ada": approver("ada"), "ben": approver("ben", until=date(2026, 6, 30))}
    faults = verify(REQUEST, [by("ada", now=now), by("ben", now=now)], approvers=held, now=now)
    assert (faults == []) is carries


@pytest.mark.parametrize("until", ["31/12/2026", "2026-13-01", "never"])
def test_a_day_that_is_none_is_a_fault_of_the_file(tmp_path: Path, until: str) -> None:
    line = f'  - {{id: ada, actions: [policy], key: {"ab" * 32}, from: "2026-01-01", until: "{until}"}}\n'
    (tmp_path / "approvers.yaml").write_text("version: 1\napprovers:\n" + line)
    with pytest.raises(ConfigError) as caught:
        load_approvers(tmp_path / "approvers.yaml")
    assert any("/approvers/0/until" in fault for fault in caught.value.faults)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"actions": ("duty",)}, "may not approve `policy`"),
        ({"until": date(2026, 11, 17)}, "is over or has not begun"),
        ({"from_": date(2026, 11, 20)}, "is over or has not begun"),
        ({"key": "00" * 32}, "does not verify"),
    ],
)
def test_a_person_approves_what_and_while_the_file_says(change: dict[str, object], fault: str) -> None:
    held = {"ada": approver("ada"), "ben": approver("ben", **change)}
    assert fault in "; ".join(verify(REQUEST, [by("ada"), by("ben")], approvers=held, now=NOW))


@pytest.mark.parametrize(("person", "reference"), [("Jane Smith", "MIN-7"), ("ada", "form 12"), ("ada", "")])
def test_what_nobody_could_read_is_not_signed(person: str, reference: str) -> None:
    with pytest.raises(ConfigError, match="no spaces"):
        sign(REQUEST, KEYS["ada"], by=person, reason="new partner", reference=reference, now=NOW)
