"""Policy changes while records flow and the router is killed: no decision dated after the effect permits.

Decision times are those of the ledger, append times those of the broker. The router reads the clock first and then
`control` and `consent` to their end, so what was appended before a decision's time is known to it.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from services.cli.pipeline import Pipeline, let_out
from services.kernel import keys
from services.kernel.consent import RECORD_SCOPE, Consent, Taken
from services.kernel.kafka.embedded import EmbeddedKafka
from services.kernel.kafka.reader import send
from services.kernel.keys import pseudonym
from services.kernel.ledger import rfc3339
from services.kernel.paths import ROOT
from services.kernel.record import Message
from services.kernel.samples import Numberer, load_samples
from services.router.manifest import set_hash

pytestmark = pytest.mark.kafka

PARTNER = "victim-support-gm"
TOPIC = f"partner.{PARTNER}"
#: The agreement's term in partners.yaml, up to its last day.
FIRST = "from: 2026-10-01\n      until: "
#: What an aborted transaction can hold back, in milliseconds.
TIMEOUT = 10_000


def milliseconds(stamp: str) -> int:
    return int(datetime.fromisoformat(stamp).timestamp() * 1000)


@dataclass
class Flight:
    """A stream of crime reports through a pipeline whose router is killed, and what came of each."""

    pipeline: Pipeline
    before: int
    sent: int = 0
    stop: threading.Event = field(default_factory=threading.Event)
    value: Callable[[dict[str, Any]], dict[str, Any]] = lambda value: value

    def stream(self) -> None:
        sample = next(s for s in load_samples(ROOT / "samples") if s.topic == "agency.gmp.police-crime")
        number = Numberer(ROOT / "schemas")
        run = f"{time.time_ns():x}"
        while not self.stop.is_set():
            made = []
            for _ in range(10):
                message = number(sample, 0)
                body = msgspec.json.decode(message.value or b"")
                body["record"]["id"] = f"GMP-{run}-{self.sent}"
                made.append(msgspec.structs.replace(message, value=msgspec.json.encode(self.value(body))))
                self.sent += 1
            self.pipeline.send(made)
            time.sleep(0.05)

    def kill_router(self) -> None:
        next(slot for slot in self.pipeline.slots if slot.service == "router").process.kill()

    def entries(self) -> list[dict[str, Any]]:
        """The router's entries of this pipeline that decide for the partner."""
        return [
            entry
            for entry in self.pipeline.entries()[self.before :]
            if entry["service"] == "router" and any(decision["partner"] == PARTNER for decision in entry["decisions"])
        ]

    def decisions(self) -> list[tuple[int, str, list[str], int]]:
        """(decided at, effect, policies, number of the manifest) for the partner, in order of time."""
        found = []
        for entry in self.entries():
            decision = next(one for one in entry["decisions"] if one["partner"] == PARTNER)
            at, number = milliseconds(entry["decided_at"]), int(entry["versions"]["policy-sequence"])
            found.append((at, decision["effect"], decision["policies"], number))
        return sorted(found)


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    (tmp_path / "sets").mkdir()
    return tmp_path / "sets"


def changed_set(folder: Path, *changes: tuple[str, str]) -> Path:
    """A copy of the project's policies with the partner's entry changed, in a folder of its hash."""
    work = folder / "work"
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(ROOT / "policies", work)
    text = (work / "partners.yaml").read_text()
    start = text.index(f"  - id: {PARTNER}")
    end = text.index("  - id: ", start + 5)
    entry = text[start:end]
    for old, new in changes:
        assert old in entry
        entry = entry.replace(old, new, 1)
    (work / "partners.yaml").write_text(text[:start] + entry + text[end:])
    final = folder / set_hash(work)
    work.rename(final)
    return final


def flown(
    broker: EmbeddedKafka, *, during: Callable[[Flight], None], settings: dict[str, str], **options: Any
) -> Iterator[Flight]:
    """Let records flow, do `during`, kill the router in it, and wait until every record has its outcome."""
    value = options.pop("value", lambda body: body)
    with Pipeline(broker, restart=True, settings=settings, **options) as pipeline:
        before = len(pipeline.entries())
        flight = Flight(pipeline, before, value=value)
        thread = threading.Thread(target=flight.stream)
        thread.start()
        try:
            wait_for(lambda: len(flight.entries()) > 20)
            during(flight)
            time.sleep(3)
        finally:
            flight.stop.set()
            thread.join()
        redacted = lambda: sum(e["service"] == "redactor" for e in pipeline.entries()[before:])  # noqa: E731
        wait_for(lambda: redacted() >= flight.sent)
        pipeline.wait(0, seconds=60)
        wait_for(lambda: len(flight.entries()) >= flight.sent)
        yield flight


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "not in time"
        time.sleep(0.2)


def assert_closed_from(flight: Flight, effect: int, policy: str, *, before: int | None = None) -> None:
    """Permitted before the effect, refused from it on; each permitted one reached the topic in time, once.

    Args:
        before: the last moment at which a decision may still permit; by default the effect itself.
    """
    decisions = flight.decisions()
    assert len(decisions) == flight.sent
    permitted = [at for at, kind, _, _ in decisions if kind == "allow"]
    refused = [(at, policies) for at, kind, policies, _ in decisions if kind == "deny"]
    assert len(permitted) > 10
    assert len(refused) > 10
    assert max(permitted) <= effect
    assert all(policy in policies for _, policies in refused)
    let = {key for topic, key, _ in let_out(flight.entries()) if topic == TOPIC}
    appended = {record.key.reveal(): record.timestamp for record in flight.pipeline.read(TOPIC) if record.key}
    assert len(let) == len(permitted)
    assert let <= set(appended)
    assert max(appended[key] for key in let) <= (before or effect) + TIMEOUT


def now() -> int:
    return int(time.time() * 1000)


def test_a_new_policy_set_decides_from_its_time_on(broker: EmbeddedKafka, sets: Path) -> None:
    ended = changed_set(
        sets, ("from: 2026-10-01\n      until: 2029-09-30", "from: 2026-10-01\n      until: 2026-10-31")
    )
    effect: list[int] = []

    def during(flight: Flight) -> None:
        moment = datetime.now(UTC) + timedelta(seconds=3)
        manifest = flight.pipeline.put_in_force(ended, effective_from=moment)
        effect.append(milliseconds(manifest.effective_from))
        time.sleep(2.7)
        flight.kill_router()

    for flight in flown(broker, during=during, settings={"SR_POLICY_SETS_DIR": str(sets)}):
        assert_closed_from(flight, effect[0], "forbid-agreement-not-in-force")
        numbers = {number for at, _, _, number in flight.decisions() if at >= effect[0]}
        assert len(numbers) == 1
        assert numbers != {flight.decisions()[0][3]}


def test_a_revoked_partner_closes_at_once(broker: EmbeddedKafka, sets: Path) -> None:
    effect: list[int] = []

    def during(flight: Flight) -> None:
        later = datetime.now(UTC) + timedelta(hours=1)
        flight.kill_router()
        flight.pipeline.put_in_force(ROOT / "policies", effective_from=later, revoked=[PARTNER])
        effect.append(max(record.timestamp for record in flight.pipeline.read("control")))

    for flight in flown(broker, during=during, settings={"SR_POLICY_SETS_DIR": str(sets)}):
        assert_closed_from(flight, effect[0], "forbid-agreement-not-in-force")


def test_a_withdrawn_consent_stops_the_next_batch(broker: EmbeddedKafka, sets: Path, tmp_path: Path) -> None:
    asking = changed_set(sets, ("consent: none", "consent: required"))
    keys_dir = tmp_path / "keys"
    keys.init_dev(keys_dir, [])
    secret = keys.secret(keys.load(keys_dir, ["pseudonym"])["pseudonym"])
    subject = pseudonym(secret, "gmp", "the-victim")
    taken = Taken(
        by_role="advocate", in_private=True, wording="v3", interpreter="not_needed", given_by="subject",
        under_18=False, advocate_present=True, safeguarding_lead=False,
    )  # fmt: skip

    def consent(state: Any, at: int) -> Consent:
        return Consent(
            v=1, subject=subject, recipient=PARTNER, purpose="victim_support", scope=RECORD_SCOPE, state=state,
            at=rfc3339(at), by="A1234", reference="C-1",
            expires=rfc3339(at + 86_400_000) if state == "given" else None, taken=taken if state == "given" else None,
        )  # fmt: skip

    def tell(said: Consent) -> None:
        send(broker.client_config("admin"), [(Message("consent", said.key, msgspec.json.encode(said)), 0)])

    def one_victim(body: dict[str, Any]) -> dict[str, Any]:
        return {**body, "persons": [{"id": "the-victim", "role": "victim"}]}

    effect: list[int] = []

    def during(flight: Flight) -> None:
        flight.kill_router()
        tell(consent("withdrawn", now()))
        effect.append(max(record.timestamp for record in flight.pipeline.read("consent")))

    tell(consent("given", now() - 60_000))
    settings = {"SR_POLICIES_DIR": str(asking), "SR_POLICY_SETS_DIR": str(sets)}
    for flight in flown(broker, during=during, settings=settings, value=one_victim, keys_dir=keys_dir, policies=asking):
        assert_closed_from(flight, effect[0], "forbid-without-consent")


def test_an_agreement_ends_with_its_last_day(broker: EmbeddedKafka, sets: Path) -> None:
    london = ZoneInfo("Europe/London")
    midnight = datetime.combine(datetime.now(london).date() + timedelta(days=1), datetime.min.time(), london)
    last_day = (midnight - timedelta(seconds=1)).date()
    ending = changed_set(sets, (f"{FIRST}2029-09-30", f"{FIRST}{last_day}"))
    ahead = int((midnight.timestamp() - 25 - time.time()) * 1000)

    def during(flight: Flight) -> None:
        time.sleep(max(0.0, midnight.timestamp() - ahead / 1000 - time.time() - 1))
        flight.kill_router()
        time.sleep(2)

    settings = {
        "SR_POLICIES_DIR": str(ending), "SR_POLICY_SETS_DIR": str(sets), "TEST_CLOCK_AHEAD_MS": str(ahead),
    }  # fmt: skip
    for flight in flown(broker, during=during, settings=settings, module="tests.kafka.shifted", policies=ending):
        effect = int(midnight.timestamp() * 1000)
        assert_closed_from(flight, effect - 1, "forbid-agreement-not-in-force", before=effect - ahead)
