"""Planting keeps nothing back: not the judging of copies, not the word that a canary is late, not the process."""

from __future__ import annotations

from collections.abc import Callable

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from prometheus_client import CollectorRegistry

from services.canary.plant import Planted, Planter
from services.canary.rounds import Rounds
from services.canary.watch import Watcher
from services.kernel import canary
from services.kernel.record import Inbound, Message
from services.kernel.sensitive import SensitiveBytes

NOW = 1_795_600_000_000
DEADLINE = 60_000


class Made(Planter):
    """Plants nothing but an id; the word `leak` must not show."""

    def __init__(self) -> None:
        super().__init__({}, {}, Ed25519PrivateKey.generate(), key_id="dev")
        self._planted = 0

    @property
    def producers(self) -> tuple[tuple[str, str], ...]:
        return ("a", "marac"), ("a", "nrm")

    def plant(self, agency: str, feed: str, *, now: int) -> Planted:
        self._planted += 1
        return self.make(f"{feed}-{NOW}-{self._planted:08x}")

    def make(self, id_: str) -> Planted:
        feed = id_.split("-")[0]
        return Planted(id_, feed, Message(f"agency.a.{feed}", None, b"{}"), ("leak",), ("", "nothing like it"))


class Case:
    """Rounds of which every step is written down, with an outbox from which nothing is ever acknowledged."""

    joined = True

    def __init__(self) -> None:
        self.now = NOW
        self.steps: list[str] = []
        self.waiting: list[Inbound] = []
        self.lost: list[Callable[[str], None]] = []
        self.planter = Made()
        self.watcher = Watcher(
            self.planter, slot=0, close=lambda _: self.steps.append("closed"), deadline_ms=DEADLINE,
            clock=lambda: self.now, tell=lambda message: self.steps.append(orjson.loads(message.value or b"")["event"]),
        )  # fmt: skip
        self.registry = CollectorRegistry()
        self.registry.register(self.watcher)
        partitions = {"agency.a.marac": 3, "agency.a.nrm": 3}
        self.rounds = Rounds(self.planter, self.watcher, self, self, partitions=partitions, every=0.0)

    def take(self, _: float) -> Inbound | None:
        return self.waiting.pop(0) if self.waiting else None

    def done(self) -> None:
        self.steps.append("judged")

    def send(self, message: Message, partition: int, lost: Callable[[str], None]) -> None:
        self.steps.append(f"{message.topic}/{partition}")
        self.lost.append(lost)

    def look(self) -> None:
        """Nothing is ever acknowledged."""

    def arrives(self, id_: str, value: bytes) -> None:
        headers = ((canary.HEADER, SensitiveBytes(id_.encode())),)
        self.waiting.append(Inbound(canary.TOPIC, 0, 0, self.now, None, SensitiveBytes(value), headers))

    def counted(self, feed: str, what: str) -> float | None:
        return self.registry.get_sample_value("safe_reporting_canaries_total", {"feed": feed, "what": what})


@pytest.fixture
def case() -> Case:
    return Case()


def test_copies_are_judged_before_anything_is_planted(case: Case) -> None:
    case.arrives(f"nrm-{NOW}-0000000a", b"fine")
    case.arrives(f"nrm-{NOW}-0000000b", b"a leak")
    case.rounds(lambda: False)
    assert case.steps == ["judged", "closed", "canary_leaked", "judged", "agency.a.marac/0", "agency.a.nrm/0"]


def test_what_is_never_acknowledged_is_late_and_keeps_nothing_back(case: Case) -> None:
    case.rounds(lambda: False)
    for _ in range(2):
        case.now += 20_000
        case.steps.clear()
        case.arrives(f"nrm-{NOW}-00000099", b"a leak")
        case.rounds(lambda: False)
        assert case.steps[-2:] == [f"agency.a.{feed}/{case.rounds._number - 1}" for feed in ("marac", "nrm")]
        assert "judged" in case.steps[:3]
    case.steps.clear()
    case.now += DEADLINE
    case.rounds(lambda: False)
    assert case.steps.count("canary_late") == 6


def test_what_the_broker_refuses_is_counted_and_late_no_more_than_that(case: Case) -> None:
    case.rounds(lambda: False)
    case.lost[0]("_MSG_TIMED_OUT")
    assert (case.counted("marac", "unsent"), case.counted("nrm", "unsent")) == (1, 0)
    case.arrives(f"nrm-{NOW}-00000002", b"fine")
    case.now += DEADLINE + 1
    case.rounds(lambda: False)
    assert (case.counted("marac", "late"), case.counted("nrm", "late")) == (1, 0)
    assert case.counted("marac", "planted") == 2


def test_nothing_is_planted_before_copies_can_be_read(case: Case) -> None:
    case.joined = False
    case.rounds(lambda: False)
    assert case.steps == []


def test_what_arrived_while_the_service_itself_was_away_is_not_late(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("services.canary.rounds.time.monotonic", lambda: now[0])
    case.rounds._looked = now[0]

    def passes(seconds: float) -> list[str]:
        case.steps.clear()
        now[0] += seconds
        case.now += int(seconds * 1000)
        case.rounds(lambda: False)
        return [step for step in case.steps if step.startswith("canary")]

    passes(0.2)
    case.rounds._due = float("inf")
    first = case.planter.make(f"marac-{NOW}-00000001")
    assert passes(90) == []  # stopped, and nothing was brought yet
    case.arrives(first.id, b"fine")
    assert passes(0.2) == []
    assert passes(9) == []
    assert passes(1.1) == ["canary_late"]  # the other one, which did not come
    assert case.counted("marac", "late") == 0
    assert case.counted("nrm", "late") == 1
