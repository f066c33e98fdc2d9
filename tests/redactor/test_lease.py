"""The redactor's lease: no batch without a reading of the consents, and the step finds what was read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from services.kernel import reading
from services.kernel.consent import TOPIC, Book
from services.kernel.errors import UnreachableError
from services.kernel.record import Inbound
from services.kernel.sensitive import SensitiveBytes
from services.redactor.lease import ConsentLease
from tests.kernel.test_consent import FIELDS
from tests.router.helpers import NOW, PERSON


class FakeWatch:
    """Tells what the test puts in; `broken` as if the broker did not answer."""

    def __init__(self, told: Callable[[Inbound], None]) -> None:
        self.told = told
        self.waiting: list[bytes] = []
        self.broken = False
        self.offset = 0

    def fresh(self) -> bool:
        for value in self.waiting:
            self.told(Inbound(TOPIC, 0, self.offset, NOW, None, SensitiveBytes(value)))
            self.offset += 1
        self.waiting.clear()
        return not self.broken


def make(tmp_path: Path) -> tuple[ConsentLease, FakeWatch]:
    made: list[FakeWatch] = []

    def watch(told: Callable[[Inbound], None]) -> FakeWatch:
        made.append(FakeWatch(told))
        return made[0]

    return ConsentLease(watch, folder=tmp_path), made[0]  # type: ignore[arg-type]  # all that it asks of a watch


def held(facts: dict[str, str] | None) -> Book:
    assert facts is not None
    return Book.read(Path(facts["consents"]))


def test_the_step_finds_each_consent_once_it_was_read(tmp_path: Path) -> None:
    lease, watch = make(tmp_path)
    assert not held(lease.facts(NOW)).asks_for_fields
    watch.waiting += [b"no consent", msgspec.json.encode(FIELDS)]
    assert len(held(lease.facts(NOW)).fields(PERSON, now=NOW)) == 1
    assert len(list(tmp_path.iterdir())) == 1


def test_what_is_unread_holds_the_batch_and_at_last_ends_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease, watch = make(tmp_path)
    watch.broken = True
    now = [1000.0]
    monkeypatch.setattr(reading.time, "monotonic", lambda: now[0])
    assert lease.facts(NOW) is None
    now[0] += reading.PATIENCE + 1
    with pytest.raises(UnreachableError, match="`consent`"):
        lease.facts(NOW)
    watch.broken = False
    assert lease.facts(NOW) is not None
    watch.broken = True
    assert lease.facts(NOW) is None
