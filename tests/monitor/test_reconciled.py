"""How far everything is reconciled, as `audit reconcile --publish` said it last."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from prometheus_client import CollectorRegistry, generate_latest

from services.kernel.errors import UnreachableError
from services.kernel.ledger import rfc3339
from services.kernel.record import Inbound
from services.kernel.sensitive import SensitiveBytes
from services.ledger import publish
from services.ledger import reconcile as reconciling
from services.ledger.reconcile import Settled
from services.monitor import reconciled as module
from services.monitor.alerts import Condition, Event
from services.monitor.reconciled import Reconciled, Statement, newest, read

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
NOW = 1_795_000_000_000
SETTLED = Settled(
    7, b"r" * 32, 3, {("redactor", "agency.gmp.police-crime", 0): 41, ("router", "redacted", 3): 12},
    {("partner.housing-gm", 0): 9},
)  # fmt: skip


def statement(at: int = NOW, name: str = "auditor") -> bytes:
    return reconciling.statement(SETTLED, name=name, stamp=rfc3339(at), key=KEY).encode()


def record(offset: int, value: bytes | None, key: bytes | None = reconciling.KEY, at: int = NOW + 50) -> Inbound:
    held = [None if one is None else SensitiveBytes(one) for one in (key, value)]
    return Inbound(publish.TOPIC, 0, offset, at, *held)


class Topic:
    """Records as they are set here; away where that is None. Keeps from where it was read."""

    def __init__(self) -> None:
        self.records: list[Inbound] | None = []
        self.starts: list[int] = []

    def end(self) -> int:
        if self.records is None:
            raise UnreachableError("away")
        return self.records[-1].offset + 1 if self.records else 0

    def stretch(self, _: Any, starts: dict[tuple[str, int], int], *, name: str) -> Any:
        topic, start = self, starts["ledger.checkpoint", 0]
        end = self.end()

        class Part:
            def __init__(self) -> None:
                self.ends = {("ledger.checkpoint", 0): end}

            def records(self, *, patience: float) -> Iterator[Inbound]:
                topic.starts.append(start)
                yield from (one for one in topic.records or () if one.offset >= start)

        return Part()


@pytest.fixture
def topic(monkeypatch: pytest.MonkeyPatch) -> Topic:
    made = Topic()
    monkeypatch.setattr(module, "Stretch", made.stretch)
    monkeypatch.setattr(module, "written", lambda *_, **__: made.end())
    return made


def series(reconciled: Reconciled) -> list[str]:
    registry = CollectorRegistry()
    registry.register(reconciled)
    return [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]


def test_what_the_auditor_signs_is_what_the_monitor_reads() -> None:
    assert read(record(4, statement())) == Statement(NOW, "auditor", SETTLED.leaves, SETTLED.offsets)


@pytest.mark.parametrize(
    ("value", "key"),
    [
        (b"safe-reporting/ledger\n7\nroot\n\nsignature", None),
        (statement(), None),
        (statement(), b"other"),
        (None, reconciling.KEY),
        (b"", reconciling.KEY),
        (b"auditor\nyesterday\nlog 7 aa keys-from 0\n\nff", reconciling.KEY),
        (b"auditor\n" + rfc3339(NOW).encode() + b"\nlog many aa keys-from 0\n\nff", reconciling.KEY),
        (b"\xff\xfe", reconciling.KEY),
    ],
)
def test_what_is_no_statement_is_passed_over(value: bytes | None, key: bytes | None) -> None:
    assert read(record(5, value, key)) is None
    assert newest([record(4, statement()), record(5, value, key)]) is not None


def test_a_clock_that_is_ahead_makes_nothing_look_fresh() -> None:
    found = read(record(4, statement(NOW + 86_400_000), at=NOW))
    assert found is not None
    assert found.at == NOW


def test_without_a_statement_nothing_is_known(topic: Topic) -> None:
    reconciled = Reconciled({})
    assert (reconciled.figures(), series(reconciled)) == (None, [])
    topic.records = [record(9, b"a checkpoint", None)]
    reconciled._look()
    assert (reconciled.figures(), series(reconciled), reconciled.conditions()) == (None, [], [])


def test_the_last_statement_is_shown_with_its_age(topic: Topic) -> None:
    at = int(time.time() * 1000) - 90_000
    topic.records = [record(1, statement(at - 60_000), at=at), record(2, statement(at, "second"), at=at)]
    reconciled = Reconciled({})
    reconciled._look()
    figures = reconciled.figures()
    assert figures is not None
    assert (figures["time"], figures["by"], figures["entries"]) == (rfc3339(at), "second", 7)
    assert {"service": "router", "topic": "redacted", "partition": 3, "offset": 12} in figures["upto"]
    (line,) = series(reconciled)
    assert 89 < float(line.split(" ")[1]) < 120
    topic.records.append(record(3, b"a checkpoint", None))
    reconciled._look()
    assert reconciled.last() is not None
    assert topic.starts == [0, 3]
    assert reconciled.conditions() == []


def test_a_statement_that_nothing_followed_for_a_quarter_of_an_hour_is_critical(topic: Topic) -> None:
    """A pass that found something ends without a statement, and each restart of it does so too."""
    at = int((time.time() - module.STALE_S) * 1000)
    reconciled = Reconciled({})
    for age_ms, expected in ((1000, [Condition(Event.RECONCILE_STALE, "critical")]), (-60_000, [])):
        topic.records = [record(2, statement(at - age_ms), at=at - age_ms)]
        reconciled._next = None
        reconciled._look()
        assert reconciled.conditions() == expected
    reconciled._seen -= module.SEEN_S + 1
    assert reconciled.conditions() == []


def test_it_looks_back_in_two_steps_and_then_goes_on_from_the_end(topic: Topic) -> None:
    near, far = module.BACK
    topic.records = [record(0, statement()), record(far + 5, b"a checkpoint", None)]
    reconciled = Reconciled({})
    reconciled._look()
    assert topic.starts == [far + 6 - near, 6]
    assert reconciled.last() is None  # older than what is looked through
    topic.records.append(record(far + 6, statement()))
    reconciled._look()
    assert topic.starts[-1] == far + 6
    assert reconciled.last() is not None


def test_what_was_seen_too_long_ago_is_not_told(topic: Topic) -> None:
    topic.records = [record(0, statement())]
    reconciled = Reconciled({})
    reconciled._look()
    assert reconciled.figures() is not None
    topic.records = None
    with pytest.raises(UnreachableError):
        reconciled._look()
    reconciled._seen -= module.SEEN_S + 1
    assert (reconciled.figures(), series(reconciled)) == (None, [])
