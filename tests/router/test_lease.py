"""When a router may publish, and on what: manifests, sets, revoked partners, gate and consents, without a broker."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.kernel import telemetry
from services.kernel.approval import sign
from services.kernel.approvers import load_approvers
from services.kernel.errors import ConfigError, RefusedError
from services.kernel.gate import Gate
from services.kernel.ledger import rfc3339
from services.kernel.paths import ROOT
from services.kernel.record import Batch, Inbound
from services.kernel.sensitive import SensitiveBytes
from services.kernel.settings import Settings
from services.router import build
from services.router.lease import ControlLease, PolicySets
from services.router.manifest import Manifest, accept, in_force, read_manifest, revoked, set_hash
from services.router.profiles import load_profile
from services.router.step import RouterStep
from tests.kernel.test_approval import KEYS, approver
from tests.kernel.test_consent import GIVEN
from tests.router.helpers import NOW, claims_for, inbound, make_step, police_crime

DAY = 86_400_000
EVERYBODY = {name: approver(name, actions=("policy", "gate")) for name in ("ada", "ben", "cay")}
APPROVERS = {name: EVERYBODY[name] for name in ("ada", "ben")}
POLICIES = ROOT / "policies"


class FakeWatch:
    """Says what the test puts in; `broken` as if the broker did not answer."""

    def __init__(self, told: Callable[[Inbound], None]) -> None:
        self.told = told
        self.waiting: list[Inbound] = []
        self.broken = False

    def fresh(self) -> bool:
        if not self.broken:
            for record in self.waiting:
                self.told(record)
            self.waiting.clear()
        return not self.broken


class Room:
    """A lease with its own folder of sets."""

    def __init__(self, tmp_path: Path, approvers: dict[str, Any] = APPROVERS) -> None:
        self.sets = tmp_path / "sets"
        self.sets.mkdir()
        held = PolicySets(POLICIES, self.sets, lambda folder, name: load_profile(folder, name, for_service=True))
        self.lease = ControlLease(self._watch, approvers=approvers, sets=held, folder=tmp_path)  # type: ignore[arg-type]
        self.offset = 0

    def _watch(self, told: Callable[[Inbound], None]) -> FakeWatch:
        self.watch = FakeWatch(told)
        return self.watch

    def say(
        self, value: object, topic: str = "control", at: int = NOW, *, key: bytes | None = None
    ) -> None:  # fmt: skip
        data = value if isinstance(value, bytes | None) else msgspec.json.encode(value)
        held = None if data is None else SensitiveBytes(data)
        said = Inbound(topic, 0, self.offset, at, None if key is None else SensitiveBytes(key), held)
        self.watch.waiting.append(said)
        self.offset += 1

    def another_set(self, old: str, new: str, file: str = "areas.yaml") -> str:
        work = self.sets / "work"
        shutil.copytree(POLICIES, work)
        text = (work / file).read_text()
        assert old in text
        (work / file).write_text(text.replace(old, new, 1))
        found = set_hash(work)
        work.rename(self.sets / found)
        return found


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


def manifest(
    sequence: int, *, sha256: str | None = None, begins: int = NOW, by: tuple[str, ...] = ("ada", "ben"), **fields: Any
) -> Manifest:
    made = Manifest(
        sequence=sequence, sha256=sha256 or set_hash(POLICIES), profile=fields.pop("profile", "default"),
        effective_from=rfc3339(begins), **fields,
    )  # fmt: skip
    approvals = tuple(
        sign(made.request, KEYS[name], by=name, reason="r", reference="MIN-1", now=NOW - 1000) for name in by
    )
    return msgspec.structs.replace(made, approvals=approvals)


def sequence(room: Room, now: int = NOW) -> str | None:
    facts = room.lease.facts(now)
    return None if facts is None else facts["sequence"]


def test_without_a_signed_manifest_nothing_is_published(room: Room) -> None:
    assert room.lease.facts(NOW) is None
    room.say(manifest(1, by=("ada",)))
    room.say(manifest(2, by=("ada", "cay")))
    assert room.lease.facts(NOW) is None
    room.say(manifest(3))
    assert sequence(room) == "3"


def test_what_cannot_be_read_to_its_end_closes(room: Room) -> None:
    room.say(manifest(1))
    assert sequence(room) == "1"
    room.watch.broken = True
    assert room.lease.facts(NOW) is None


def test_a_set_is_in_force_from_its_time_and_numbers_only_rise(room: Room) -> None:
    room.say(manifest(5))
    room.say(manifest(6, begins=NOW + DAY, sha256=room.another_set("from: 2026-11-01", "from: 2027-11-01")))
    assert sequence(room, NOW + DAY - 1) == "5"
    assert sequence(room, NOW + DAY) == "6"
    room.say(manifest(4, begins=NOW + DAY))
    room.say(manifest(6, begins=NOW + DAY))
    facts = room.lease.facts(NOW + DAY)
    assert facts is not None
    assert (facts["sequence"], facts["policy"]) != ("6", set_hash(POLICIES))
    room.say(manifest(7, begins=NOW))
    assert sequence(room, NOW + DAY) == "7"


def without(name: str) -> dict[str, Any]:
    """The approvers, one line deleted."""
    return {other: person for other, person in EVERYBODY.items() if other != name}


@pytest.mark.parametrize(
    "today",
    [without("cay"), {**EVERYBODY, "cay": approver("cay", actions=("policy",), key="ab" * 32)}],
    ids=["a line deleted", "a key replaced"],
)
def test_no_older_set_comes_back_when_a_person_leaves_the_file(tmp_path: Path, today: dict[str, Any]) -> None:
    """Manifest 8 closed a partner; a router that starts without its signer must not go on with 7."""
    said = [manifest(7), manifest(8, by=("ada", "cay"), revoked=("housing-gm",))]
    for number, (approvers, closed) in enumerate(((EVERYBODY, "housing-gm"), (today, None))):
        folder = tmp_path / str(number)
        folder.mkdir()
        room = Room(folder, approvers)
        for one in said:
            room.say(one)
        facts = room.lease.facts(NOW)
        assert (facts and facts["closed"]) == closed
    room.say(manifest(8, revoked=("idva-service",)))  # the number was taken
    assert room.lease.facts(NOW) is None
    room.say(manifest(9, begins=NOW + DAY, revoked=("housing-gm",)))
    assert room.lease.facts(NOW) is None
    assert sequence(room, NOW + DAY) == "9"


def test_what_one_person_signed_closes_nothing(room: Room) -> None:
    room.say(manifest(7))
    room.say(manifest(8, by=("cay",)))
    room.say(manifest(8, by=("ada",)))
    late = manifest(8, by=("ada", "cay"))
    room.say(late, at=NOW + 15 * DAY)
    room.say(manifest(6, by=("ada", "cay")))
    assert sequence(room) == "7"


def test_a_replayed_signature_carries_no_second_manifest(room: Room) -> None:
    first = manifest(1)
    room.say(first)
    room.say(msgspec.structs.replace(first, sequence=2))
    assert sequence(room) == "1"


def test_a_set_that_is_not_here_at_its_time_closes_the_worker(room: Room) -> None:
    room.say(manifest(1))
    room.say(manifest(2, begins=NOW + 1000, sha256="ab" * 32))
    assert sequence(room, NOW + 999) == "1"
    assert room.lease.facts(NOW + 1000) is None


def test_a_changed_file_is_another_set(room: Room) -> None:
    found = room.another_set("from: 2026-11-01", "from: 2027-11-01")
    (room.sets / found / "areas.yaml").write_text("changed afterwards")
    room.say(manifest(1, sha256=found))
    assert room.lease.facts(NOW) is None


def test_a_set_in_force_that_is_changed_in_place_closes_until_it_is_back(room: Room) -> None:
    """A step process that is started anew loads it again."""
    found = room.another_set("from: 2026-11-01", "from: 2027-11-01")
    file = room.sets / found / "areas.yaml"
    text = file.read_text()
    room.say(manifest(1, sha256=found))
    assert sequence(room) == "1"
    file.write_text(text + "# edited\n")
    assert room.lease.facts(NOW) is None
    file.write_text(text)
    assert sequence(room) == "1"


def test_the_services_own_set_is_another_once_it_is_changed(tmp_path: Path) -> None:
    own = tmp_path / "own"
    shutil.copytree(POLICIES, own)
    sets = PolicySets(own, None, lambda *_: None)
    found = set_hash(own)
    assert sets.folder(found) == own
    (own / "areas.yaml").write_text("changed afterwards")
    assert sets.folder(found) is None


def test_a_set_that_changes_while_a_step_reads_it_decides_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own"
    shutil.copytree(POLICIES, own)
    found, made = set_hash(own), make_step()
    monkeypatch.setattr(build, "_step", lambda *_: made)
    step = build.build_step(Settings(policies_dir=own, kafka_bootstrap="nowhere:1"))
    facts = {"policy": found, "profile": "default"}

    def edited(*_: object) -> RouterStep:
        (own / "areas.yaml").write_text("changed while it was read")
        return made

    monkeypatch.setattr(build, "_step", edited)
    value = police_crime()
    with pytest.raises(LookupError, match="changed while it was read"):
        step(inbound(value, claims_for(value)), Batch(now=NOW, facts=facts))
    shutil.copy(POLICIES / "areas.yaml", own / "areas.yaml")
    monkeypatch.setattr(build, "_step", lambda *_: made)
    assert step(inbound(value, claims_for(value)), Batch(now=NOW, facts=facts)).decisions


def test_a_faulty_set_leaves_the_last_good_one_but_closes_its_revoked(room: Room) -> None:
    faulty = room.another_set("context.residual == 0", "context.residul == 0", "cedar/permits.cedar")
    room.say(manifest(1))
    room.say(manifest(2, sha256=faulty, revoked=("housing-gm",)))
    facts = room.lease.facts(NOW)
    assert facts is not None
    assert (facts["sequence"], facts["closed"]) == ("1", "housing-gm")


def test_a_profile_for_comparison_is_a_faulty_set(room: Room) -> None:
    room.say(manifest(1))
    room.say(manifest(2, profile="police-discretion"))
    assert sequence(room) == "1"


def test_a_partner_revoked_by_a_manifest_to_come_closes_at_once(room: Room) -> None:
    room.say(manifest(1))
    room.say(manifest(2, begins=NOW + DAY, revoked=("idva-service", "housing-gm")))
    facts = room.lease.facts(NOW)
    assert facts is not None
    assert (facts["sequence"], facts["closed"]) == ("1", "housing-gm,idva-service")


def test_a_revoked_partner_stays_closed_until_a_manifest_in_force_restores_it(room: Room) -> None:
    def closed(now: int) -> str:
        return (room.lease.facts(now) or {})["closed"]

    room.say(manifest(1, revoked=("housing-gm", "idva-service")))
    room.say(manifest(2))  # a routine one
    assert closed(NOW) == "housing-gm,idva-service"
    room.say(manifest(3, begins=NOW + DAY, restored=("housing-gm",)))
    assert closed(NOW + DAY - 1) == "housing-gm,idva-service"
    assert closed(NOW + DAY) == "idva-service"
    room.say(manifest(4, begins=NOW + 9 * DAY, revoked=("housing-gm",)))
    assert closed(NOW + DAY) == "housing-gm,idva-service"


def test_the_gate_closes_and_only_open_opens(room: Room) -> None:
    room.say(manifest(1))
    gate = {
        "v": 1,
        "kind": "gate",
        "state": "closed",
        "at": rfc3339(NOW),
        "by": "A1",
        "why": "drill",
        "reference": None,
    }
    room.say(gate)
    assert room.lease.facts(NOW) is None
    room.say({**gate, "state": "ajar"})
    assert room.lease.facts(NOW) is None
    opening = Gate(state="open", at=rfc3339(NOW), by="A1", why="restored")
    room.say(opening)
    assert room.lease.facts(NOW) is None  # nobody signed it
    one = sign(opening.request, KEYS["ada"], by="ada", reason="open", reference="G-1", now=NOW)
    room.say(msgspec.structs.replace(opening, approvals=(one, one)))
    assert room.lease.facts(NOW) is None  # one person twice
    two = sign(opening.request, KEYS["ben"], by="ben", reason="open", reference="G-1", now=NOW)
    other = msgspec.structs.replace(opening, by="B2", approvals=(one, two))
    room.say(other)
    assert room.lease.facts(NOW) is None  # signed, but something else
    room.say(msgspec.structs.replace(opening, approvals=(one, two)))
    assert sequence(room) == "1"


def opening(*, at: int, by: tuple[str, ...] = ("ada", "ben"), **fields: Any) -> Gate:
    said = Gate("open", rfc3339(at), "A1", "restored", **fields)
    made = tuple(sign(said.request, KEYS[name], by=name, reason="open", reference="G-1", now=at) for name in by)
    return msgspec.structs.replace(said, approvals=made)


def closing(at: int) -> Gate:
    return Gate("closed", rfc3339(at), "A1", "drill")


def test_two_persons_open_the_gate_after_it_was_closed_and_once(room: Room) -> None:
    """An opening that is sent again, or was signed in advance, would let one person open it."""
    hour, advance = 3_600_000, opening(at=NOW - 60_000)
    room.say(manifest(1))
    room.say(closing(NOW))
    room.say(advance, at=NOW + 1000)
    assert room.lease.facts(NOW) is None
    first = opening(at=NOW + 1000)
    room.say(first, at=NOW + 1000)
    assert sequence(room) == "1"
    room.say(closing(NOW + 2000), at=NOW + 2000)  # within what clocks may differ
    room.say(first, at=NOW + 3000)
    assert room.lease.facts(NOW) is None
    room.say(closing(NOW + hour), at=NOW + hour)
    second = opening(at=NOW + hour - 6000)
    room.say(second, at=NOW + hour + 1000)
    mixed = opening(at=NOW + hour + 1000, by=("ada",))
    older = sign(mixed.request, KEYS["ben"], by="ben", reason="open", reference="G-1", now=NOW)
    room.say(msgspec.structs.replace(mixed, approvals=(*mixed.approvals, older)), at=NOW + hour + 2000)
    assert room.lease.facts(NOW) is None
    room.say(opening(at=NOW + hour + 1000), at=NOW + hour + 2000)
    assert sequence(room) == "1"


@pytest.mark.parametrize("value", [b"{}", b"", None, b"\xff", b'{"kind": "gate", "by": "\xff"}', b'{"kind": "policy"}'])
def test_what_was_meant_for_the_gate_and_cannot_be_read_closes_it(room: Room, value: bytes | None) -> None:
    room.say(manifest(1))
    assert sequence(room) == "1"
    room.say(value, key=b"gate")
    assert room.lease.facts(NOW) is None
    room.say(opening(at=NOW + 1000), at=NOW + 1000)
    assert sequence(room) == "1"


def test_a_closing_by_an_id_with_a_space_closes(room: Room) -> None:
    room.say(manifest(1))
    room.say({**msgspec.to_builtins(closing(NOW)), "by": "A 1234"})
    assert room.lease.facts(NOW) is None


def test_detectors_that_openings_refused_stay_refused(room: Room) -> None:
    room.say(manifest(1))
    assert (room.lease.facts(NOW) or {})["refused"] == ""
    for number, version in enumerate(("b" * 16, "a" * 16)):
        at = NOW + number * 10_000
        room.say(closing(at), at=at)
        room.say(opening(at=at + 1000, refuse=(version,)), at=at + 1000)
    assert (room.lease.facts(NOW) or {})["refused"] == f"{'a' * 16},{'b' * 16}"
    signed = opening(at=NOW + 30_000, refuse=("c" * 16,))
    room.say(closing(NOW + 25_000), at=NOW + 25_000)
    room.say(msgspec.structs.replace(signed, refuse=()), at=NOW + 31_000)  # it is signed
    assert room.lease.facts(NOW) is None


@pytest.mark.parametrize(
    "value", [b"", b"{", b"[]", b'{"kind": "policy"}', b'{"kind": 7}', b"\xff\xfe", b'{"kind": "\xff"}', None]
)
def test_what_is_no_control_message_changes_nothing(room: Room, value: bytes | None) -> None:
    room.say(manifest(1))
    room.say(value)
    assert sequence(room) == "1"


def faults_counted() -> float:
    return next(s.value for f in telemetry.POLICY_FAULTS.collect() for s in f.samples if s.name.endswith("_total"))


def test_a_start_counts_no_fault_that_was_there_before_it(room: Room) -> None:
    """Else each restart would alert every fault that `control` ever held."""
    faulty = room.another_set("context.residual == 0", "context.residul == 0", "cedar/permits.cedar")
    started = room.lease._started = NOW + 60_000
    before = faults_counted()
    room.say(manifest(1, sha256=faulty))
    room.say(manifest(2))
    for old in (manifest(3, by=("ada",)), b"{", opening(at=NOW, by=("ada",))):
        room.say(old)
    assert sequence(room) == "2"
    assert faults_counted() == before
    room.say(manifest(4, by=("ada",)), at=started)
    assert sequence(room) == "2"
    assert faults_counted() == before + 1
    room.say(manifest(5, sha256=faulty), at=started)  # a set that should hold and cannot is told at each start
    assert sequence(room) == "2"
    assert faults_counted() == before + 2


def test_consents_reach_the_step_by_file(room: Room) -> None:
    room.say(manifest(1))
    before = room.lease.facts(NOW)
    room.say(GIVEN, topic="consent")
    room.say(b"not a consent", topic="consent")
    room.say(b'{"id": "\xff"}', topic="consent")
    after = room.lease.facts(NOW)
    assert before is not None
    assert after is not None
    assert before["consents"] != after["consents"]
    assert not Path(before["consents"]).exists()
    assert len(msgspec.msgpack.decode(Path(after["consents"]).read_bytes())) == 1
    assert room.lease.facts(NOW) == after


def test_a_closed_partner_is_refused_by_name_and_the_rest_flows() -> None:
    step, value = make_step(), police_crime()
    record = inbound(value, claims_for(value))
    facts = {"closed": "housing-gm,nobody", "sequence": "7"}
    outcome = step(record, Batch(now=NOW, facts=facts))
    decided = {decision.partner: decision for decision in outcome.decisions}
    assert decided["housing-gm"].policies == ("forbid-agreement-not-in-force",)
    assert decided["victim-support-gm"].effect == "allow"
    assert ("policy-sequence", "7") in outcome.versions
    again = step(record, Batch(now=NOW, facts={"closed": ""}))
    assert {d.partner: d.effect for d in again.decisions}["housing-gm"] == "allow"


# -- manifests ---------------------------------------------------------------------------------------------


def test_a_manifest_is_judged_at_its_append_and_stays_good() -> None:
    held, faults, _ = accept([(manifest(1), NOW)], APPROVERS)
    assert (len(held), faults) == (1, [])
    held, faults, doubted = accept([(manifest(1), NOW + 15 * DAY)], APPROVERS)
    assert (held, doubted) == ([], 0)
    assert "is not within its time" in faults[0]


def test_every_field_of_a_manifest_is_signed() -> None:
    signed = manifest(1)
    changes = (
        {"sequence": 2}, {"sha256": "ab" * 32}, {"profile": "other"}, {"effective_from": rfc3339(NOW + 1)},
        {"revoked": ("housing-gm",)}, {"restored": ("housing-gm",)},
    )  # fmt: skip
    for change in changes:
        held, faults, doubted = accept([(msgspec.structs.replace(signed, **change), NOW)], APPROVERS)
        assert (held, doubted) == ([], 0)
        assert "is for other content" in faults[0]


def test_in_force_and_revoked_of_nothing() -> None:
    assert in_force([], rfc3339(NOW)) is None
    assert revoked([manifest(1, revoked=("a",))], None) == frozenset({"a"})
    with pytest.raises(msgspec.DecodeError):
        read_manifest(b'{"kind": "gate"}')


def test_the_hash_of_a_set_is_of_names_and_contents_of_what_decides(tmp_path: Path) -> None:
    shutil.copytree(POLICIES, tmp_path / "p")
    held = set_hash(POLICIES)
    assert set_hash(tmp_path / "p") == held
    (tmp_path / "p" / "README.md").write_text("other words")
    (tmp_path / "p" / "scenarios" / "consent.yaml").unlink()
    assert set_hash(tmp_path / "p") == held
    (tmp_path / "p" / "cedar" / "more.cedar").write_text("")
    assert set_hash(tmp_path / "p") != held


def test_the_projects_own_approvers_are_nobody_until_a_deployment_names_them(tmp_path: Path) -> None:
    assert load_approvers(POLICIES / "approvers.yaml") == {}
    line = f'  - {{id: ada, actions: [policy], key: {"ab" * 32}, from: "2026-01-01", until: "2026-12-31"}}\n'
    (tmp_path / "approvers.yaml").write_text("version: 1\napprovers:\n" + line * 2)
    with pytest.raises(ConfigError) as caught:
        load_approvers(tmp_path / "approvers.yaml")
    assert len(caught.value.faults) == 2


def test_refused_is_an_exit_code_of_its_own() -> None:
    assert RefusedError("x").exit == 4
