"""What the watcher says of canaries that do not come: late, and well again once a later one of the feed is there."""

from __future__ import annotations

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from prometheus_client import CollectorRegistry, generate_latest

from services.canary import watch
from services.canary.plant import Planted, Planter, Seen
from services.canary.watch import WHATS, Watcher
from services.kernel import canary
from services.kernel.errors import RefusedError
from services.kernel.record import Inbound, Message
from services.kernel.sensitive import SensitiveBytes

NOW = 1_795_600_000_000
DEADLINE = 60_000


class Made(Planter):
    """Makes any id: what is in a record is not looked at here."""

    def __init__(self) -> None:
        super().__init__({}, {}, Ed25519PrivateKey.generate(), key_id="dev")

    @property
    def feeds(self) -> tuple[str, ...]:
        return "marac", "nrm"

    def make(self, id_: str) -> Planted | None:
        agency, _, feed = id_.split("-")[0].rpartition("_")
        return Planted(id_, feed, Message(f"agency.{agency}.{feed}", None, b"{}"), (), ("", ""))


class Case:
    """A watcher, the time, and what it told."""

    def __init__(self) -> None:
        self.now = NOW
        self.told: list[str] = []
        self.watcher = Watcher(
            Made(), slot=0, close=lambda _: None, deadline_ms=DEADLINE, clock=lambda: self.now,
            tell=lambda message: self.told.append(orjson.loads(message.value or b"")["event"]),
        )  # fmt: skip
        self.registry = CollectorRegistry()
        self.registry.register(self.watcher)

    def plant(self, feed: str, agency: str = "a") -> str:
        made = self.watcher._planter.make(f"{agency}_{feed}-{self.now}-0000000a")
        assert made is not None
        self.watcher.planted(made)
        return made.id

    def arrives(self, id_: str) -> None:
        headers = ((canary.HEADER, SensitiveBytes(id_.encode())),)
        self.watcher.judge(Inbound(canary.TOPIC, 0, 0, self.now, None, SensitiveBytes(b"{}"), headers))

    def passes(self, seconds: int) -> None:
        self.now += seconds * 1000
        self.watcher.overdue()

    def late(self) -> float:
        (line,) = [line for line in self._lines() if line.startswith("safe_reporting_canaries_late ")]
        return float(line.split(" ")[1])

    def counted(self, feed: str) -> float:
        start = f'safe_reporting_canaries_total{{feed="{feed}",what="late"}}'
        (line,) = [line for line in self._lines() if line.startswith(start)]
        return float(line.split(" ")[1])

    def _lines(self) -> list[str]:
        return generate_latest(self.registry).decode().splitlines()


@pytest.fixture
def case() -> Case:
    return Case()


def test_a_leak_is_told_of_also_where_the_closing_fails(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: str) -> None:
        raise RefusedError("fencing `router-3`: the broker refuses this principal")

    monkeypatch.setattr(watch, "look", lambda *_: Seen(1, None))
    case.watcher._close = refused
    id_ = case.plant("marac")
    for _ in range(2):  # judged again by the next process, which knows nothing of this one
        with pytest.raises(RefusedError):
            case.arrives(id_)
    case.watcher._close = lambda _: None
    case.arrives(id_)
    case.arrives(id_)
    assert case.told == ["canary_leaked"] * 3


def test_everything_is_counted_from_nought_so_that_the_first_leak_is_a_rise(case: Case) -> None:
    for what in WHATS:
        assert f'safe_reporting_canaries_total{{feed="marac",what="{what}"}} 0.0' in case._lines(), what


def test_one_that_does_not_come_is_late_once(case: Case) -> None:
    case.plant("marac")
    case.passes(60)
    assert (case.late(), case.told) == (0, [])
    case.passes(1)
    case.passes(500)
    assert (case.late(), case.told, case.counted("marac"), case.counted("nrm")) == (1, ["canary_late"], 1, 0)


def test_one_that_was_set_aside_for_good_is_over_when_a_later_one_of_its_feed_arrives(case: Case) -> None:
    case.plant("marac")
    case.passes(61)
    other = case.plant("nrm")
    case.arrives(other)
    assert case.late() == 1  # another feed says nothing of this one
    case.arrives(case.plant("marac"))
    assert (case.late(), case.counted("marac")) == (0, 1)


def test_one_of_another_agency_does_not_make_a_feed_well(case: Case) -> None:
    case.plant("marac")
    case.passes(61)
    case.arrives(case.plant("marac", "b"))
    assert (case.late(), case.counted("marac")) == (1, 1)


def test_an_earlier_one_that_arrives_does_not_make_a_feed_well(case: Case) -> None:
    earlier = case.plant("marac")
    case.now += 1000
    case.plant("marac")
    case.passes(62)
    assert case.late() == 2
    case.arrives(earlier)
    assert case.late() == 1


def test_one_that_is_late_behind_a_later_one_is_told_and_counted_and_not_awaited(case: Case) -> None:
    case.plant("marac")
    case.now += 1000
    case.arrives(case.plant("marac"))
    case.passes(60)
    assert (case.late(), case.told, case.counted("marac")) == (0, ["canary_late"], 1)


def test_one_that_comes_after_all_is_over(case: Case) -> None:
    late = case.plant("marac")
    case.passes(61)
    case.arrives(late)
    assert case.late() == 0
