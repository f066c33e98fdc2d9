"""The loop's contract: whatever error comes at whatever step, each offset commits exactly once or the process ends.

Kafka's own faults of each class cannot be made at will on a real broker, so broker, consumer and
producer are modelled here; the kill test does the same on a real one.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from msgspec.structs import replace

from services.kernel import telemetry
from services.kernel.errors import SafeReportingError
from services.kernel.kafka import loop as module
from services.kernel.kafka.client import ClockError, FloodError
from services.kernel.kafka.loop import Limits, Loop
from services.kernel.progress import START_S, STILL_S, Progress
from services.kernel.record import Batch, Inbound, Message, Outcome
from services.kernel.vocabulary import OutcomeKind, Reason

TOPIC, RECORDS = "agency.gmp.police-crime", 7


def kafka_error(kind: str) -> KafkaException:
    code = KafkaError.INVALID_PRODUCER_EPOCH if kind == "fatal" else KafkaError._TIMED_OUT
    return KafkaException(KafkaError(code, kind, kind == "fatal", kind == "retriable", kind == "abortable"))


class FakeMessage:
    def __init__(self, offset: int) -> None:
        self._offset = offset

    def topic(self) -> str:
        return TOPIC

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self._offset

    def key(self) -> None:
        return None

    def value(self) -> bytes:
        return b"%d" % self._offset

    def headers(self) -> None:
        return None

    def timestamp(self) -> tuple[int, int]:
        return 1, 0

    def error(self) -> None:
        return None


class FakeBroker:
    """Committed messages and one group's offset: what a read_committed reader sees."""

    def __init__(self) -> None:
        self.committed: list[tuple[str, bytes]] = []
        self.offset = 0
        self.faults: dict[str, Iterator[KafkaException | None]] = {}
        self.stuck: set[str] = set()
        self.ended: list[tuple[FakeProducer, bool]] = []
        self.forgets = False  # the next commit is answered, and its markers are never written
        self.released = threading.Event()

    def fault(self, step: str) -> None:
        error = next(self.faults.get(step, iter(())), None)
        if error is not None:
            raise error
        if step in self.stuck:
            self.stuck.remove(step)
            self.released.wait(10)
            raise kafka_error("fatal")  # what a fenced producer is told in the end


class FakeConsumer:
    def __init__(self, broker: FakeBroker) -> None:
        self._broker = broker
        self._position = -1

    def subscribe(self, topics: list[str], *, on_assign: Callable[..., None], **_: Any) -> None:
        self._on_assign = on_assign

    def committed(self, partitions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        self._broker.fault("position")
        return [TopicPartition(p.topic, p.partition, self._broker.offset) for p in partitions]

    def assign(self, partitions: list[TopicPartition]) -> None:
        self._position = partitions[0].offset

    def unassign(self) -> None:
        pass

    def seek(self, partition: TopicPartition) -> None:
        self._position = partition.offset

    def poll(self, _: float) -> FakeMessage | None:
        self._broker.fault("poll")
        if self._position < 0:
            self._on_assign(self, [TopicPartition(TOPIC, 0)])
        if self._position >= RECORDS:
            return None
        self._position += 1
        return FakeMessage(self._position - 1)

    def consumer_group_metadata(self) -> str:
        return "generation"


class FakeProducer:
    def __init__(self, broker: FakeBroker) -> None:
        self._broker = broker
        self._open: list[tuple[str, bytes]] | None = None
        self._offset: int | None = None
        self.ready = False

    def init_transactions(self, _: float) -> None:
        self._broker.fault("init")
        self.ready = True

    def poll(self, _: float) -> int:
        return 0

    def begin_transaction(self) -> None:
        self._broker.fault("begin")
        assert (self, False) in self._broker.ended, "leftovers are ended before anything is begun"
        assert self._open is None
        self._open, self._offset = [], None

    def produce(self, topic: str, *, value: bytes, **_: Any) -> None:
        self._broker.fault("produce")
        assert self._open is not None
        assert self._offset is not None, "the position is sent before any record"
        self._open.append((topic, value))

    def send_offsets_to_transaction(self, offsets: list[TopicPartition], group: str, _: float) -> None:
        self._broker.fault("offsets")
        assert group == "generation"
        self._offset = offsets[0].offset

    def commit_transaction(self, _: float) -> None:
        self._broker.fault("commit")
        assert self._open is not None
        assert self._offset is not None
        if not self._broker.forgets:
            self._broker.committed += self._open
            self._broker.offset = self._offset
        self._broker.forgets = False
        self._open = None
        self._broker.fault("commit answer")


class Echo:
    """Forwards each record as it is; the wanted number of outcomes a batch."""

    def __init__(self, at_most: int = 100, *, canary: bool = False) -> None:
        self._at_most = at_most
        self._canary = canary

    def process(self, records: list[Inbound], batch: Batch) -> list[Outcome]:
        return [
            Outcome(OutcomeKind.REDACTED, messages=(Message("redacted", None, r.value.reveal()),), canary=self._canary)
            for r in records[: self._at_most]
            if r.value is not None
        ]

    def quarantine(self, record: Inbound, reason: Reason) -> Outcome:
        return Outcome(OutcomeKind.QUARANTINED, reason, (Message("quarantine", None, b"sealed"),))


class Closed:
    def facts(self, now: int) -> dict[str, str] | None:
        return None

    def close(self) -> None:
        """It has no connection."""


class Closes(Closed):
    """Open when it is asked first, closed when it is asked again."""

    def __init__(self) -> None:
        self.answers: list[dict[str, str] | None] = [{}, None]

    def facts(self, now: int) -> dict[str, str] | None:
        return self.answers.pop(0)


class FakeLeftovers:
    """What is undecided is no part of the model; who is asked to end it, and when, is."""

    def __init__(self, broker: FakeBroker) -> None:
        self._broker = broker

    def end(self, producer: Any, ask: Callable[..., None], *, certain: bool = False) -> None:
        assert producer.ready
        self._broker.fault("leftovers")
        self._broker.ended.append((producer, certain))


def make(broker: FakeBroker, processor: Any = None, **limits: Any) -> Loop:
    loop = Loop(
        service="redactor",
        slot=0,
        consumer=FakeConsumer(broker),  # type: ignore[arg-type]  # the model above
        make_producer=lambda: FakeProducer(broker),  # type: ignore[arg-type, return-value]
        leftovers=FakeLeftovers(broker),
        processor=processor or Echo(),
        limits=Limits(
            **{
                "batch_records": 3, "batch_wait": 1.0, "batch_bytes": 10_000, "commit_deadline": 1.0,
                "answer": 2.0, "flood": 100,
                "message_bytes": lambda _: 1000,
            } | limits
        ),
    )  # fmt: skip
    loop._pace._share = 1.0  # whole batches from the first
    loop.start([TOPIC])
    return loop


def run_to_the_end(broker: FakeBroker) -> int:
    """Run, starting a new process whenever one ends with an error; return how many were started."""
    starts = 0
    while broker.offset < RECORDS:
        starts += 1
        assert starts < 10, "no progress"
        try:
            loop = make(broker)
            while broker.offset < RECORDS:
                loop.cycle()
        except (SafeReportingError, KafkaException):
            continue
    return starts


def entries(broker: FakeBroker) -> list[dict[str, Any]]:
    return [json.loads(value) for topic, value in broker.committed if topic == "ledger"]


@pytest.mark.parametrize("step", ["poll", "init", "leftovers", "begin", "produce", "offsets", "commit"])
@pytest.mark.parametrize("kind", ["retriable", "abortable", "fatal", "other"])
@pytest.mark.parametrize("times", [1, 2])
def test_every_error_at_every_step_leaves_each_record_committed_once(step: str, kind: str, times: int) -> None:
    broker = FakeBroker()
    errors = [kafka_error(kind)] * times
    broker.faults[step] = iter(errors)
    if step in {"init", "leftovers"}:  # of the producer that takes another's place
        broker.faults[step] = iter([None, *errors])
        broker.faults["offsets"] = iter([kafka_error("abortable")])
    run_to_the_end(broker)
    assert next(broker.faults[step], "used up") == "used up"
    assert [value for topic, value in broker.committed if topic == "redacted"] == [b"%d" % i for i in range(RECORDS)]
    sources = [entry["source"] for entry in entries(broker)]
    assert [source["offset"] for source in sources] == list(range(RECORDS))
    assert [source["previous"] for source in sources] == list(range(-1, RECORDS - 1))


@pytest.mark.parametrize(("step", "kind", "starts"), [("commit", "retriable", 1), ("offsets", "abortable", 1),
                                                      ("commit", "fatal", 2), ("begin", "other", 2)])  # fmt: skip
def test_only_fatal_and_unclassified_errors_end_the_process(step: str, kind: str, starts: int) -> None:
    broker = FakeBroker()
    broker.faults[step] = iter([kafka_error(kind)])
    assert run_to_the_end(broker) == starts


def test_an_unanswered_commit_is_asked_again_and_then_ends_the_process_without_an_abort() -> None:
    broker = FakeBroker()
    broker.faults["commit"] = iter([kafka_error("retriable")] * 100_000_000)
    loop = make(broker, commit_deadline=0.05)
    broker.faults["init"] = iter([AssertionError("aborted")])  # type: ignore[list-item]
    with pytest.raises(SafeReportingError, match="no answer from the broker"):
        loop.cycle()


def test_endless_aborts_end_the_process() -> None:
    broker = FakeBroker()
    broker.faults["offsets"] = iter([kafka_error("abortable")] * 100)
    loop = make(broker)
    for _ in range(19):
        assert loop.cycle() == 0
    with pytest.raises(SafeReportingError, match="twenty transactions aborted"):
        loop.cycle()


def test_what_a_batch_did_not_reach_is_read_again() -> None:
    broker = FakeBroker()
    loop = make(broker, Echo(at_most=2))
    handled = [loop.cycle() for _ in range(4)]
    assert handled == [2, 2, 2, 1]
    assert [entry["source"]["offset"] for entry in entries(broker)] == list(range(RECORDS))


def test_without_the_lease_nothing_is_published_and_nothing_is_skipped() -> None:
    broker = FakeBroker()
    loop = make(broker)
    loop._lease = Closed()
    assert loop.cycle() == 0
    assert broker.committed == []
    loop._lease = None
    while loop.cycle():
        pass
    assert [entry["source"]["offset"] for entry in entries(broker)] == list(range(RECORDS))


def test_a_lease_that_closes_during_a_long_step_keeps_the_batch_back(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = FakeBroker()
    loop = make(broker)
    loop._lease = lease = Closes()
    monkeypatch.setattr(module, "_GOOD", -1.0)  # every step is a long one
    assert loop.cycle() == 0
    assert broker.committed == []
    lease.answers = [{}, {}] * RECORDS
    while loop.cycle():
        pass
    assert [entry["source"]["offset"] for entry in entries(broker)] == list(range(RECORDS))


def test_what_is_heard_during_a_long_step_decides_the_batch_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """A consent that was withdrawn, a partner that was revoked: what was decided without it does not go out."""
    broker = FakeBroker()
    loop = make(broker)
    loop._lease = lease = Closes()
    monkeypatch.setattr(module, "_GOOD", -1.0)  # every step is a long one
    before, after = {"closed": "", "sequence": "1"}, {"closed": "housing-gm", "sequence": "1"}
    lease.answers = [before, after]
    assert loop.cycle() == 0
    assert broker.committed == []
    lease.answers = [after, dict(after)] * RECORDS
    while loop.cycle():
        pass
    assert [entry["source"]["offset"] for entry in entries(broker)] == list(range(RECORDS))


def test_news_that_never_ends_does_not_stop_the_flow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A consent is recorded every second and a half, and a record takes a second: batches become small enough."""
    now = [100.0]

    class Slow(Echo):
        def process(self, records: list[Inbound], batch: Batch) -> list[Outcome]:
            now[0] += len(records)
            return super().process(records, batch)

    class News(Closed):
        def facts(self, now_: int) -> dict[str, str] | None:
            return {"book": str(int(now[0] / 1.5))}

    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    broker = FakeBroker()
    loop = make(broker, Slow())
    loop._lease = News()
    cycles = 0
    while broker.offset < RECORDS:
        loop.cycle()
        cycles += 1
        assert cycles < 60, f"{broker.offset} of {RECORDS}"
    assert [entry["source"]["offset"] for entry in entries(broker)] == list(range(RECORDS))


def test_canaries_are_no_records_in_the_metrics() -> None:
    def counted() -> float:
        return sum(s.value for m in telemetry.RECORDS.collect() for s in m.samples if s.name.endswith("_total"))

    broker, before = FakeBroker(), counted()
    loop = make(broker, Echo(canary=True))
    assert loop.cycle()
    assert entries(broker)
    assert counted() == before


def test_progress_is_a_commit_or_an_end_that_was_reached_and_being_closed_is_none_the_worse() -> None:
    broker = FakeBroker()
    loop = make(broker)
    now = [0.0]
    progress = loop._progress = Progress("redactor", clock=lambda: now[0])
    assert not progress.joined
    loop._rest()
    now[0] += START_S
    assert progress.health()[0] == 503  # not joined: that nothing came is no progress
    assert loop.cycle() == 3
    assert (progress.joined, progress.still, progress.open) == (True, 0.0, True)
    now[0] += STILL_S
    loop._rest()
    assert progress.health()[0] == 503  # nothing was committed and the end was not seen
    loop._ends[TOPIC, 0] = 9
    assert loop.positions() == {(TOPIC, 0): 9}
    loop._rest()
    assert progress.health()[0] == 200
    now[0] += STILL_S
    loop._lease = Closed()
    loop.cycle()
    assert progress.health() == (200, {"progress": True, "still_seconds": 0.0, "open": False})
    assert loop.positions() == {(TOPIC, 0): 3}  # what came was no end any more
    loop._revoked(loop._consumer, [TopicPartition(TOPIC, 0)])
    assert not progress.joined


def test_what_was_read_again_was_not_read_to_the_end() -> None:
    loop = make(FakeBroker())
    loop.cycle()
    loop._lease = Closed()
    read = loop._poll()
    loop._ends[TOPIC, 0] = 9  # its end came behind them
    loop._rewind(read)
    assert loop.positions() == {(TOPIC, 0): 3}
    assert [record.offset for record in loop._poll()] == [record.offset for record in read]


def test_a_note_of_a_partition_whose_records_are_at_hand_is_not_written() -> None:
    broker = FakeBroker()
    loop = make(broker)
    loop.cycle()
    loop._notes._last -= 601
    told: list[str] = []
    due = loop._notes.due
    loop._notes.due = lambda *about, but: told.extend(map(str, but)) or due(*about, but=but)  # type: ignore
    loop.cycle()
    assert told == [str((TOPIC, 0))]


def test_an_outcome_larger_than_its_topic_allows_is_quarantined_as_oversize() -> None:
    broker = FakeBroker()
    loop = make(broker, message_bytes=lambda topic: 10 if topic == "redacted" else 1000)
    loop.cycle()
    assert {topic for topic, _ in broker.committed} == {"quarantine", "ledger"}
    assert {entry["reason"] for entry in entries(broker)} == {"format"}


def test_an_outcome_whose_ledger_entry_is_too_large_is_quarantined_as_oversize() -> None:
    class Wordy(Echo):
        def process(self, records: list[Inbound], batch: Batch) -> list[Outcome]:
            made = super().process(records, batch)
            return [replace(outcome, detail=b"x" * 900) if n == 1 else outcome for n, outcome in enumerate(made)]

    broker = FakeBroker()
    make(broker, Wordy()).cycle()
    assert [entry["outcome"] for entry in entries(broker)] == ["redacted", "quarantined", "redacted"]
    assert all(len(value) < 1000 for _, value in broker.committed)


def test_a_flood_of_quarantines_stops_before_the_flood_is_committed() -> None:
    broker = FakeBroker()
    loop = make(broker, message_bytes=lambda topic: 10 if topic == "redacted" else 1000, flood=3)
    with pytest.raises(FloodError):
        loop.cycle()
    assert broker.committed == []


def test_a_group_without_a_position_is_refused() -> None:
    broker = FakeBroker()
    broker.offset = -1001
    loop = make(broker)
    with pytest.raises(SafeReportingError, match="topology apply"):
        loop.cycle()


def test_a_clock_that_goes_back_stops_the_service() -> None:
    broker = FakeBroker()
    loop = make(broker)
    times = iter([1000.0, 997.0, 994.9])
    loop._clock = lambda: next(times)
    assert loop.cycle() == 3
    assert loop.cycle() == 3
    with pytest.raises(ClockError):
        loop.cycle()
    assert {entry["time"] for entry in entries(broker)} == {"1970-01-01T00:16:40.000Z"}


@pytest.mark.parametrize("step", ["offsets", "commit", "commit answer"])
def test_a_call_that_never_comes_back_is_fenced_by_a_new_producer(step: str) -> None:
    broker = FakeBroker()
    broker.stuck.add(step)
    loop = make(broker, answer=-0.9)  # a tenth of a second for each call
    while broker.offset < RECORDS:
        loop.cycle()
    broker.released.set()
    assert broker.stuck == set()
    assert [value for topic, value in broker.committed if topic == "redacted"] == [b"%d" % i for i in range(RECORDS)]
    assert [entry["source"]["previous"] for entry in entries(broker)] == list(range(-1, RECORDS - 1))


@pytest.mark.parametrize("where", ["next batch", "at rest"])
def test_a_commit_that_was_answered_and_taken_back_is_done_again_and_its_leftovers_ended(where: str) -> None:
    broker = FakeBroker()
    loop = make(broker)
    broker.forgets = True
    assert loop.cycle() == 3
    if where == "at rest":
        loop._rest()
    while broker.offset < RECORDS:
        loop.cycle()
    assert [value for topic, value in broker.committed if topic == "redacted"] == [b"%d" % i for i in range(RECORDS)]
    assert [entry["source"]["previous"] for entry in entries(broker)] == list(range(-1, RECORDS - 1))
    assert [certain for _, certain in broker.ended] == [False, False, True]


def test_a_position_that_is_not_told_is_no_reason_to_commit_more() -> None:
    broker = FakeBroker()
    loop = make(broker)
    assert loop.cycle() == 3
    broker.faults["position"] = iter([kafka_error("retriable")])
    assert loop.cycle() == 0
    assert len(broker.ended) == 2
    while broker.offset < RECORDS:
        loop.cycle()
    assert [entry["source"]["offset"] for entry in entries(broker)] == list(range(RECORDS))
