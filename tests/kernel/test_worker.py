"""What the parent makes of a child that dies, hangs, raises or eats all memory."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from services.kernel import telemetry
from services.kernel.errors import ConfigError, UnreachableError
from services.kernel.kafka.worker import Worker
from services.kernel.record import Batch, Inbound
from services.kernel.sensitive import SensitiveBytes
from services.kernel.vocabulary import Reason


def make(folder: Path, factory: str = "build") -> Worker:
    return Worker(
        f"tests.kernel.hostile_step:{factory}",
        folder,
        service="redactor",
        record_deadline=1.0,
        batch_deadline=20.0,
        memory_mib=1024,
    )


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    worker = make(tmp_path)
    worker.start()
    yield worker
    worker.stop()


def records(*words: bytes) -> list[Inbound]:
    return [Inbound("t", 0, i, 0, None, SensitiveBytes(word)) for i, word in enumerate(words)]


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        (b"die", Reason.CRASHED),
        (b"hang", Reason.TIMEOUT),
        (b"raise", Reason.FAULT),
        (b"recurse", Reason.FAULT),
        (b"eat", Reason.FAULT),
    ],
)
def test_the_bad_record_alone_is_quarantined(worker: Worker, word: bytes, reason: Reason) -> None:
    outcomes = worker.process(records(b"a", word, b"c"), Batch(now=1))
    assert [outcome.reason for outcome in outcomes] == [None, reason, None]
    assert [outcome.record for outcome in outcomes] == ["0", None, "2"]


def test_a_child_killed_from_outside_quarantines_nothing(worker: Worker) -> None:
    outcomes = worker.process(records(b"a", b"die once", b"c"), Batch(now=1))
    assert [outcome.record for outcome in outcomes] == ["0", "1", "2"]


def test_a_frozen_child_that_takes_no_batch_is_replaced_and_nothing_is_quarantined(tmp_path: Path) -> None:
    """More than a socket holds: the sender would wait for ever."""
    worker = small(tmp_path, batch_deadline=1.0)
    worker.start()
    try:
        assert worker._process is not None
        worker._process.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        many = records(*[b"%d" % n + b" " * 50_000 for n in range(40)])
        outcomes = worker.process(many, Batch(now=1))
        assert outcomes
        assert time.monotonic() - began < 60
        assert {outcome.reason for outcome in outcomes} == {None}
    finally:
        worker.stop()


def test_the_batch_deadline_leaves_a_finished_prefix(tmp_path: Path) -> None:
    worker = Worker(
        "tests.kernel.hostile_step:build",
        tmp_path,
        service="r",
        record_deadline=1.0,
        batch_deadline=2.5,
        memory_mib=1024,
    )
    outcomes = worker.process(records(b"a", b"hang", *[b"hang"] * 10), Batch(now=1))
    worker.stop()
    assert 1 <= len(outcomes) < 12
    assert outcomes[0].record == "0"


def test_a_refused_start_says_all_faults(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="first fault\n  - second fault"):
        make(tmp_path / "refuse").start()


def test_a_factory_that_fails_is_not_waited_for(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match="did not become ready"):
        make(tmp_path, "missing").start()


def small(folder: Path, batch_deadline: float) -> Worker:
    return Worker(
        "tests.kernel.hostile_step:build",
        folder,
        service="r",
        record_deadline=1.0,
        batch_deadline=batch_deadline,
        memory_mib=1024,
    )


def test_a_slow_start_is_no_part_of_the_batch(tmp_path: Path) -> None:
    worker = small(tmp_path / "slow start", 1.0)
    outcomes = worker.process(records(b"a", b"b", b"c"), Batch(now=1))
    worker.stop()
    assert [outcome.record for outcome in outcomes] == ["0", "1", "2"]


@pytest.mark.parametrize("first", [b"slow", b"die", b"die once"])
def test_the_batch_deadline_holds_after_a_lost_child(tmp_path: Path, first: bytes) -> None:
    worker = small(tmp_path, 1.5)
    worker.start()
    started = time.monotonic()
    outcomes = worker.process(records(first, *[b"slow"] * 99), Batch(now=1))
    assert time.monotonic() - started < 1.5 + 6.0  # and the start of two children, and the record tried alone
    worker.stop()
    assert 1 <= len(outcomes) < 50
    expected = [None if first == b"die" and n == 0 else str(n) for n in range(len(outcomes))]
    assert [outcome.record for outcome in outcomes] == expected


def test_what_a_child_still_answers_after_the_deadline_is_nobody_elses_outcome(tmp_path: Path) -> None:
    worker = small(tmp_path, 0.5)
    worker.start()
    assert len(worker.process(records(*[b"slow"] * 9), Batch(now=1))) < 9
    others = [replace(record, offset=record.offset + 100) for record in records(b"a", b"b")]
    assert [outcome.record for outcome in worker.process(others, Batch(now=1))] == ["100", "101"]
    worker.stop()


def restarts(service: str) -> dict[str, float]:
    """Counts by cause, for a service that no other test names."""
    found = {cause: telemetry.STEP_RESTARTS.labels(service, cause) for cause in telemetry.RestartCause}
    return {cause.value: counter._value.get() for cause, counter in found.items()}


@pytest.mark.parametrize(
    ("words", "cause", "times", "place"),
    [
        ([b"a", *[b"slow"] * 99], "batch_deadline", 1, None),
        ([b"a", b"hang"], "record_deadline", 2, (1, 1)),
        ([b"a", b"die"], "died", 2, (1, 1)),
        ([b"a", b"die once"], "died", 1, (1, 1)),
    ],
    ids=["batch", "record", "died", "died once"],
)
def test_a_lost_child_is_counted_by_cause_and_said_with_its_place_and_nothing_else(
    tmp_path: Path, words: list[bytes], cause: str, times: int, place: tuple[int, int] | None
) -> None:  # fmt: skip
    service = f"test-{tmp_path.name}"
    worker = Worker(
        "tests.kernel.hostile_step:build", tmp_path, service=service, record_deadline=1.0, batch_deadline=4.0,
        memory_mib=1024,
    )  # fmt: skip
    worker.start()
    with capture_logs() as said:
        outcomes = worker.process(records(*words), Batch(now=1))
    worker.stop()
    assert restarts(service) == dict.fromkeys(telemetry.RestartCause, 0.0) | {cause: times}
    lost = [line for line in said if line["event"] == "step_process_lost"]
    assert len(lost) == times
    place = place or (len(outcomes), len(words) - len(outcomes))
    for line in lost:
        assert (line["offset"], line["count"]) == place
        assert line.keys() == {"service", "reason", "topic", "partition", "offset", "count", "event", "log_level"}
        assert line.keys() - {"log_level"} <= telemetry.LOG_KEYS
        assert (line["reason"], line["topic"], line["partition"]) == (cause, "t", 0)


@pytest.mark.parametrize(
    ("word", "reason"),
    [(b"shout canary-7f3a", None), (b"panic canary-7f3a", Reason.CRASHED), (b"raise", Reason.FAULT)],
)
def test_nothing_that_a_step_prints_or_dies_of_reaches_a_log(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], word: bytes, reason: Reason | None
) -> None:
    worker = make(tmp_path)
    outcomes = worker.process(records(b"a", word, b"c"), Batch(now=1))
    worker.stop()
    assert [outcome.reason for outcome in outcomes] == [None, reason, None]
    printed = "".join(capfd.readouterr())
    assert "canary" not in printed
    assert "Traceback" not in printed
    assert ("unhandled_exception" in printed) is (reason is Reason.CRASHED)
    if reason is Reason.CRASHED:
        assert '"code": "Panic"' in printed
        assert "hostile_step.py" in printed
