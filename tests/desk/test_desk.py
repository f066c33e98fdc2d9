"""The desk without a broker: what is open, how far it escalated, and what is said of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any

import jsonschema_rs
import msgspec
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from services.desk.closed import ClosedGate, waiting
from services.desk.desk import Desk
from services.desk.metrics import Metrics, delays
from services.desk.register import Pace, Register
from services.desk.said import GATHER_MS, REPEAT_MS, Event, message
from services.kernel import safety
from services.kernel.approval import Approver, sign
from services.kernel.gate import Gate
from services.kernel.kafka.lag import Position
from services.kernel.kafka.topology import load_topology
from services.kernel.paths import ROOT
from services.kernel.record import Inbound, Message
from services.kernel.safety import Acknowledgement, hold_id
from services.kernel.sensitive import SensitiveBytes
from services.kernel.vocabulary import Reason, Risk
from tests.router.helpers import SIGNER

START = 1_795_600_000_000
MINUTE = 60_000
PACE = Pace(15 * MINUTE, 60 * MINUTE)
TOPIC = "agency.gmp.police-crime"


def record(sent: Message, *, at: int = START, offset: int = 0, partition: int = 0) -> Inbound:
    key = None if sent.key is None else SensitiveBytes(sent.key)
    return Inbound(sent.topic, partition, offset, at, key, SensitiveBytes(sent.value or b""))


def held(n: int, *, at: int = START, risk: Risk = Risk.UNKNOWN, **about: Any) -> Inbound:
    about = {"agency": "gmp", "feed": "police-crime"} | about
    return record(safety.hold((TOPIC, 0, n), at, Reason.NOT_JSON, risk=risk, **about), at=at, offset=n)


def acknowledged(n: int, *, at: int = START, by: str = "18204") -> Inbound:
    said = Acknowledgement(hold_id((TOPIC, 0, n)), "2026-11-25T00:00:00.000Z", by, "INC-7")
    return record(said.message, at=at)


class Running:
    """A desk with a clock that is set by hand, and what it said."""

    def __init__(self, approvers: dict[str, Approver] | None = None, register: Register | None = None) -> None:
        self.now = START
        self.closed = ClosedGate(approvers or {})
        self.delay = delays()
        self.desk = Desk(register or Register(), self.closed, PACE, clock=lambda: self.now, took=self.delay.observe)
        self.alerts: list[Message] = []
        self.registry = CollectorRegistry()
        self.registry.register(Metrics(self.desk, self.delay, load_topology()))

    def look(self, heard: Iterable[Inbound] = (), *, at: int | None = None) -> list[tuple[str, str, int | None]]:
        """Hear, and say what is due at `at`, as the service does."""
        self.now = self.now if at is None else at
        for message_ in heard:
            self.desk.told(message_)
        self.desk.ready = True
        self.desk.show()
        found = []
        for one in self.desk.due():
            self.alerts.append(message(one, slot=0, now=self.now))
            self.desk.said.note(one.name, self.now)
            found.append((*one.name, one.number))
        return found

    @property
    def ids(self) -> list[str]:
        return [one["id"] for one in self.desk.page()[1]["holds"]]

    @property
    def text(self) -> str:
        return generate_latest(self.registry).decode()


def figure(running: Running, name: str) -> float | None:
    lines = [line for line in running.text.splitlines() if line.startswith(f"safe_reporting_safety_{name} ")]
    return float(lines[0].split()[-1]) if lines else None


# -- the register -------------------------------------------------------------------------------------------


def test_a_double_counts_once_and_its_first_time_holds() -> None:
    running = Running()
    running.look([held(1), held(2)])
    running.look([held(1, at=START + 5 * MINUTE)])
    assert set(running.ids) == {hold_id((TOPIC, 0, 1)), hold_id((TOPIC, 0, 2))}
    running.now = START + 6 * MINUTE
    assert running.desk.oldest() == 360.0
    assert figure(running, "holds_total") == 0.0  # the first reading is of what was before
    running.look([held(3)])
    assert figure(running, "holds_total") == 1.0


@settings(deadline=None)
@given(st.permutations([*(("hold", n) for n in (1, 2, 3, 1)), ("said", 2), ("said", 9), ("said", 2)]))
def test_the_order_in_which_topics_are_read_changes_nothing(order: list[tuple[str, int]]) -> None:
    register = Register()
    for kind, n in order:
        if kind == "hold":
            register.hear_hold(held(n))
        else:
            register.hear_acknowledgement(acknowledged(n))
    assert {item.hold.source.offset for item in register.open()} == {1, 3}
    assert [item.hold.source.offset for item in register.closed()] == [2]
    assert register.doubled == 1


def test_the_first_acknowledgement_counts() -> None:
    register = Register()
    register.hear_hold(held(1))
    assert register.hear_acknowledgement(acknowledged(1, by="first"))
    assert not register.hear_acknowledgement(acknowledged(1, by="second"))
    said = register.acknowledgement(hold_id((TOPIC, 0, 1)))
    assert said is not None
    assert said.by == "first"


def test_what_was_acknowledged_is_let_go_with_its_topic_and_what_is_open_never() -> None:
    register = Register(kept=10 * MINUTE)
    for n in (1, 2):
        register.hear_hold(held(n))
    register.hear_acknowledgement(acknowledged(1))
    register.forget(START + 9 * MINUTE)
    assert register.hear_hold(held(1)) is None  # a double
    register.forget(START + 11 * MINUTE)
    assert register.closed() == []
    assert register.acknowledgement(hold_id((TOPIC, 0, 1))) is None
    assert [item.hold.source.offset for item in register.open()] == [2]


def test_garbage_is_counted_and_shown_and_can_be_acknowledged() -> None:
    running = Running()
    garbage = Inbound(safety.TOPIC, 3, 11, START, None, SensitiveBytes(b"qzvsecret {"))
    running.look([garbage, Inbound(safety.ACKNOWLEDGED, 0, 1, START, None, None), held(1)])
    assert figure(running, "unreadable") == 2.0
    (shown,) = [one for one in running.desk.page()[1]["holds"] if one["topic"] == safety.TOPIC]
    assert (shown["partition"], shown["offset"], shown["agency"], shown["risk"]) == (3, 11, None, "unknown")
    said = Acknowledgement(shown["id"], "2026-11-25T00:00:00.000Z", "18204", "INC-7").message
    running.look([record(said)])
    assert running.ids == [hold_id((TOPIC, 0, 1))]


@settings(deadline=None)
@given(st.sampled_from([safety.TOPIC, safety.ACKNOWLEDGED, "ops.alert", "control"]), st.none() | st.binary())
def test_no_message_makes_it_fail(topic: str, value: bytes | None) -> None:
    running = Running()
    running.look(
        [Inbound(topic, 0, 0, START, SensitiveBytes(b"gate"), None if value is None else SensitiveBytes(value))]
    )
    assert running.desk.page()[0] == 200


# -- escalation ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("risk", "first", "second"),
    [(Risk.HIGH, 7.5, 30), (Risk.UNKNOWN, 7.5, 30), (Risk.STANDARD, 15, 60), (Risk.MEDIUM, 15, 60)],
)
def test_a_grave_or_unknown_risk_waits_half_as_long(risk: Risk, first: float, second: float) -> None:
    running = Running()
    running.look([held(1, risk=risk)])
    for minutes, level in ((first, 1), (second, 2)):
        at = START + int(minutes * MINUTE)
        assert PACE.level(START, risk, at - 1) == level - 1
        assert PACE.level(START, risk, at) == level
    assert running.look(at=START + int(first * MINUTE) - 1) == []
    assert running.look(at=START + int(first * MINUTE)) == [(Event.UNACKNOWLEDGED, "warning", 1)]
    assert running.look(at=START + int(second * MINUTE)) == [(Event.UNACKNOWLEDGED, "critical", 1)]


def test_what_was_acknowledged_does_not_escalate() -> None:
    running = Running()
    running.look([held(1)])
    assert running.look([acknowledged(1)], at=START + 8 * MINUTE) == []
    assert running.look(at=START + 90 * MINUTE) == []
    assert figure(running, "acknowledgements_total") == 1.0


def test_it_is_said_again_every_fifteen_minutes_while_it_lasts() -> None:
    running = Running()
    running.look([held(1, risk=Risk.STANDARD)])
    said = [minute for minute in range(60) if running.look(at=START + minute * MINUTE)]
    assert said == [15, 30, 45]
    said = [minute for minute in range(60, 120) if running.look(at=START + minute * MINUTE)]
    assert said == [60, 75, 90, 105]


def test_a_storm_of_holds_is_a_bounded_number_of_alerts_with_counts() -> None:
    """5,000 holds in ten minutes, looked at every five seconds for an hour and a quarter."""
    running = Running()
    running.look()
    for tick in range(75 * 12):
        came = [held(n, at=START + n * 120) for n in range(tick * 42, min(5000, (tick + 1) * 42))]
        running.look(came, at=START + tick * 5000)
    bodies = [orjson.loads(one.value or b"") for one in running.alerts]
    counts = Counter(body["severity"] for body in bodies)
    assert 2 <= counts["warning"] <= 13  # ten minutes of growth, and what lasts
    assert 2 <= counts["critical"] <= 15
    assert max(body["count"] for body in bodies) == 5000
    assert running.desk.page()[1]["open"] == {"0": 0, "1": 0, "2": 5000}
    assert len(running.desk.page()[1]["holds"]) == 100
    for severity in counts:
        at = [datetime.fromisoformat(body["time"]) for body in bodies if body["severity"] == severity]
        assert min(b - a for a, b in pairwise(at)) >= timedelta(milliseconds=GATHER_MS)


def test_alerts_are_of_their_schema() -> None:
    running = Running()
    running.look([held(1)])
    running.look(at=START + 90 * MINUTE)
    schema = jsonschema_rs.validator_for(json.loads((ROOT / "schemas/messages/ops-alert.json").read_text()))
    assert running.alerts
    assert all(schema.is_valid(orjson.loads(one.value or b"")) for one in running.alerts)


def test_a_restart_or_a_second_desk_repeats_nothing_that_was_said_just_now() -> None:
    first = Running()
    holds = [held(n) for n in range(3)]
    first.look(holds)
    first.look(at=START + 8 * MINUTE)
    said = [record(one, at=START + 8 * MINUTE) for one in first.alerts]
    assert len(said) == 1
    second = Running()
    assert second.look([*holds, *said], at=START + 10 * MINUTE) == []
    assert second.ids == first.ids
    assert second.desk.levels() == first.desk.levels()
    later = START + 8 * MINUTE + REPEAT_MS
    assert second.look(at=later - 1) == []
    assert second.look(at=later) == [(Event.UNACKNOWLEDGED, "warning", 3)]
    fresh = Running()
    assert fresh.look(holds, at=START + 10 * MINUTE) != []  # without what was said


def test_alerts_of_others_are_not_its_own() -> None:
    running = Running()
    other = orjson.dumps({"service": "monitor", "event": Event.UNACKNOWLEDGED, "severity": "warning"})
    alert = Inbound("ops.alert", 0, 0, START + 8 * MINUTE, None, SensitiveBytes(other))
    assert running.look([held(1), alert], at=START + 8 * MINUTE) == [(Event.UNACKNOWLEDGED, "warning", 1)]


# -- the gate -----------------------------------------------------------------------------------------------


def gate(state: Any, *, at: int, signed: int = 0) -> tuple[Inbound, dict[str, Approver]]:
    """A message of the gate, signed by so many persons."""
    key = SIGNER.public_key().public_bytes_raw().hex()
    people = {f"p{n}": Approver(f"p{n}", ("gate",), key, date(2020, 1, 1), date(2099, 1, 1)) for n in range(2)}
    said = Gate(state, "2026-11-25T00:00:00.000Z", "p0", "drill")
    approvals = tuple(
        sign(said.request, SIGNER, by=f"p{n}", reason="x", reference="R-1", now=at) for n in range(signed)
    )
    return record(msgspec.structs.replace(said, approvals=approvals).message, at=at), people


def test_the_closed_gate_is_one_item_that_escalates_and_ends_when_two_persons_open_it() -> None:
    closing, people = gate("closed", at=START)
    running = Running(people)
    running.closed.waiting = 12
    assert running.look([closing]) == []
    again, _ = gate("closed", at=START + MINUTE)
    running.closed.waiting = None
    shown = running.desk.page()[1]["gate"]
    assert (shown["records"], shown["level"]) == (12, 0)
    assert running.look([again], at=START + 450_000) == [(Event.GATE_CLOSED, "warning", None)]
    assert running.desk.page()[1]["gate"]["records"] is None  # not known, and not nought
    assert figure(running, "gate_records") is None
    assert figure(running, "gate_level") == 1.0
    alone, _ = gate("open", at=START + 500_000, signed=1)
    running.look([alone])
    assert running.desk.page()[1]["gate"] is not None
    assert running.look(at=START + 30 * MINUTE) == [(Event.GATE_CLOSED, "critical", None)]
    opening, _ = gate("open", at=START + 31 * MINUTE, signed=2)
    running.look([opening], at=START + 31 * MINUTE)
    assert running.desk.page()[1]["gate"] is None
    assert running.look(at=START + 90 * MINUTE) == []
    assert (figure(running, "gate_level"), figure(running, "gate_seconds")) == (0.0, 0.0)


def test_what_was_read_long_ago_is_not_shown_as_the_present() -> None:
    running = Running()
    running.look()
    assert running.desk.page()[0] == 200
    assert running.desk.page(known=False) == (503, {"ready": False})


def test_holds_are_known_and_acknowledged_while_the_gate_is_closed() -> None:
    closing, people = gate("closed", at=START)
    running = Running(people)
    running.look([closing, held(1), held(2)])
    running.look([acknowledged(1)])
    assert running.ids == [hold_id((TOPIC, 0, 2))]


@pytest.mark.parametrize(
    ("lags", "records"), [([0, 0], 0), ([1, 0], 0), ([1, 1], 0), ([2, 1], 2), ([40, 3], 43), ([None, 5], None), ([], 0)]
)
def test_records_that_wait_are_not_known_where_a_position_is_not(lags: list[int | None], records: int | None) -> None:
    found = [
        Position("router", "redacted", n, None if lag is None else 10, 10 + (lag or 0)) for n, lag in enumerate(lags)
    ]
    assert waiting(found) == records


# -- what is shown ------------------------------------------------------------------------------------------


def test_before_all_was_read_nothing_is_shown() -> None:
    running = Running()
    running.desk.told(held(1))
    assert running.desk.page() == (503, {"ready": False})
    assert running.text == ""


def test_labels_have_values_of_the_topology_alone() -> None:
    running = Running()
    odd = [held(1, agency="qzv-agency", feed="police-crime"), held(2, agency=None, feed=None), held(3)]
    running.look(odd)
    running.look(at=START + 8 * MINUTE)
    lines = [line for line in running.text.splitlines() if "safety_open{" in line and not line.endswith(" 0.0")]
    assert sorted(lines) == [
        'safe_reporting_safety_open{agency="gmp",feed="police-crime",level="1"} 1.0',
        'safe_reporting_safety_open{agency="none",feed="none",level="1"} 1.0',
        'safe_reporting_safety_open{agency="other",feed="other",level="1"} 1.0',
    ]
    assert "qzv" not in running.text


def test_the_delay_is_that_of_holds_which_came_while_it_ran() -> None:
    running = Running()
    running.look([held(1, at=START - 90 * MINUTE)])
    assert figure(running, "delay_seconds_count") == 0.0
    running.look([held(2, at=START - 400)])
    running.look([held(3, at=START + 400)])  # a broker's clock that is ahead
    running.look([held(4, at=START - 61_000)])
    assert figure(running, "delay_seconds_count") == 3.0
    assert figure(running, "delay_seconds_sum") == pytest.approx(61.4)
    assert 'delay_seconds_bucket{le="60.0"} 2.0' in running.text
