"""What the monitor says of a broker that is, or is not, as the topology file says."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import orjson
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from services.kernel.errors import RefusedError
from services.kernel.kafka.topology import Change, ChangeKind
from services.monitor import beside as module
from services.monitor.alerts import Event
from services.monitor.differences import About, Differences, found


def change(kind: ChangeKind, name: str = "router") -> Change:
    return Change(kind=kind, name=name, detail="")


class Broker:
    """Answers what is set here; refuses where that is None."""

    def __init__(self) -> None:
        self.changes: list[Change] | None = []
        self.asked = 0

    def __call__(self) -> Sequence[Change]:
        self.asked += 1
        if self.changes is None:
            raise RefusedError("no")
        return self.changes


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def differences(broker: Broker) -> Differences:
    return Differences(broker, every=300.0)


def look(differences: Differences) -> None:
    """As its thread does."""
    try:
        differences._look()
    except RefusedError:
        differences._lost()


def series(differences: Differences) -> dict[str, float]:
    registry = CollectorRegistry()
    registry.register(differences)
    lines = [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]
    return {line.split('"')[1]: float(line.rpartition(" ")[2]) for line in lines}


def test_before_the_first_comparison_nothing_is_known_and_nothing_alerted(differences: Differences) -> None:
    assert (differences.figures(), differences.conditions(), series(differences)) == (None, [], {})


def test_a_broker_as_the_file_says_has_no_differences_and_no_alert(differences: Differences) -> None:
    look(differences)
    assert differences.conditions() == []
    assert series(differences) == dict.fromkeys(About, 0.0)
    figures = differences.figures()
    assert figures is not None
    assert orjson.loads(orjson.dumps(figures))["differences"] == dict.fromkeys(About, 0)  # as the page has it


@pytest.mark.parametrize(
    ("kind", "about", "severity"),
    [
        (ChangeKind.CREATE_TOPIC, "topics", "critical"),
        (ChangeKind.ALTER_TOPIC, "topics", "critical"),
        (ChangeKind.REFUSED, "topics", "critical"),
        (ChangeKind.UNMANAGED, "topics", "warning"),
        (ChangeKind.REVOKE, "permissions", "critical"),
        (ChangeKind.GRANT, "permissions", "warning"),
        (ChangeKind.FIRST_OFFSET, "positions", "warning"),
        (ChangeKind.FOREIGN_ACCOUNT, "accounts", "critical"),
        (ChangeKind.MISSING_ACCOUNT, "accounts", "warning"),
    ],
)
def test_what_allows_more_or_keeps_less_is_critical(
    differences: Differences, broker: Broker, kind: ChangeKind, about: str, severity: str
) -> None:
    broker.changes = [change(kind), change(kind)]
    look(differences)
    (condition,) = differences.conditions()
    assert (condition.event, condition.severity, condition.number) == (Event.TOPOLOGY_DIFFERS, severity, 2)
    assert condition.about == f"{about} 2"
    assert series(differences) == dict.fromkeys(About, 0.0) | {about: 2.0}
    broker.changes = []
    look(differences)
    assert differences.conditions() == []


def test_every_kind_of_difference_is_counted_but_what_is_not_known() -> None:
    said = found([change(kind) for kind in ChangeKind], at=0)
    assert sum(said.counts.values()) + 2 == len(ChangeKind) - 1  # two about accounts, which are not known as a whole


def test_accounts_that_the_broker_does_not_tell_have_no_number(differences: Differences, broker: Broker) -> None:
    broker.changes = [change(ChangeKind.NOT_KNOWN, "accounts")]
    look(differences)
    assert [(c.event, c.about) for c in differences.conditions()] == [(Event.TOPOLOGY_UNKNOWN, "accounts")]
    assert series(differences) == {"topics": 0.0, "permissions": 0.0, "positions": 0.0}
    figures = differences.figures()
    assert figures is not None
    assert figures["differences"]["accounts"] is None


def test_without_an_answer_nothing_is_known(differences: Differences, broker: Broker) -> None:
    look(differences)
    broker.changes = None
    look(differences)
    assert [condition.event for condition in differences.conditions()] == [Event.TOPOLOGY_UNKNOWN]
    assert (differences.figures(), series(differences)) == (None, {})


def test_a_comparison_that_never_comes_back_is_too_old_after_a_while(differences: Differences) -> None:
    look(differences)
    assert differences._looked is not None
    differences._looked -= 2 * 300 + 61
    assert [condition.event for condition in differences.conditions()] == [Event.TOPOLOGY_UNKNOWN]
    assert series(differences) == {}


def test_it_is_compared_again_and_again_and_a_fault_ends_nothing(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_S", 0.01)
    broker.changes = None
    differences = Differences(broker, every=0.05)
    before = threading.active_count()
    differences.start()
    ends = time.monotonic() + 20
    while broker.asked < 3:
        assert time.monotonic() < ends
        time.sleep(0.01)
    assert [condition.event for condition in differences.conditions()] == [Event.TOPOLOGY_UNKNOWN]
    broker.changes = []
    while differences.figures() is None:
        assert time.monotonic() < ends
        time.sleep(0.01)
    differences.close()
    assert threading.active_count() == before
