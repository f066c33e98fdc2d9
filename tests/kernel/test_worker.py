"""What the parent makes of a child that dies, hangs, raises or eats all memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

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
