"""The outer lock opens for an entry with a second person's signature over exactly it, and for nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pyrage
import pytest

from services.kernel import consult
from services.kernel.approval import Approval, sign
from services.kernel.errors import ConfigError, UnreachableError
from services.kernel.record import Inbound, Message
from services.kernel.sealing import Sealer, open_sealed
from services.kernel.sensitive import SensitiveBytes
from services.ledger.store import Store
from services.ledger.unlock import Book, Unlocker
from services.ledger.used import Used
from tests.kernel.test_approval import KEYS, NOW, approver
from tests.ledger.helpers import url
from tests.locks import LOCK, LOCK_IDENTITY

IDENTITY = pyrage.x25519.Identity.generate()
SOURCE = ("quarantine", 2, 7)
SECRET = b"a whole record"
SEALED = Sealer(str(IDENTITY.to_public()), key_id="test", lock=LOCK).seal_twice(SECRET)
FIRST, SECOND = sorted(KEYS)[:2]
APPROVERS = {name: approver(name, actions=("consult",)) for name in (FIRST, SECOND)}


class Outbox:
    def __init__(self) -> None:
        self.sent: list[Message] = []

    def send(self, message: Message, partition: int) -> None:
        self.sent.append(message)

    def flush(self) -> None:
        pass


def approval(by: str = SECOND, *, source: consult.Source = SOURCE, person: str = FIRST, at: int = NOW) -> Approval:
    request = consult.request(source, by=person, why="audit")
    return sign(request, KEYS[by], by=by, reason="audit", reference="R-1", now=at)


def asked(given: Approval | None, *, source: consult.Source = SOURCE) -> Inbound:
    id_, message = consult.ask(source, given or approval(), by=FIRST, why="audit", now=NOW)
    headers = tuple((name, SensitiveBytes(value)) for name, value in message.headers) if given is not None else ()
    return Inbound("ledger", 0, 1, NOW, SensitiveBytes(id_.encode()), SensitiveBytes(message.value or b""), headers)


class Nothing:
    """No approval was used before."""

    def ids(self) -> frozenset[str]:
        return frozenset()

    def add(self, id_: str, *, until: int, now: int) -> None:
        pass


def answers(
    *records: Inbound, fetch: Any = lambda _: SEALED, used: Book | None = None, now: int = NOW
) -> list[Message]:
    outbox = Outbox()
    unlocker = Unlocker(
        fetch, outbox, identity=LOCK_IDENTITY, approvers=APPROVERS, used=used or Nothing(), clock=lambda: now / 1000
    )
    unlocker.appended(records)
    return outbox.sent


def refusal(message: Message) -> str:
    assert message.value == b""
    return dict(message.headers)[consult.REFUSED].decode()


def test_an_entry_with_a_second_person_gets_what_its_own_identity_opens() -> None:
    record = asked(approval())
    (answer,) = answers(record)
    assert record.key is not None
    assert (answer.topic, answer.key) == ("unlocked", record.key.reveal())
    assert open_sealed(answer.value or b"", str(IDENTITY)) == SECRET
    assert SECRET not in (answer.value or b"")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (None, "no second person"),
        (approval(FIRST), "the second person is the first"),
        (approval(source=("quarantine", 2, 8)), "other content"),
        (approval(person=SECOND), "other content"),
        (approval(at=NOW - 20 * 86_400_000), "not within its time"),
        (msgspec.structs.replace(approval(), signature="A" * 86), "does not verify"),
        (msgspec.structs.replace(approval(), by="nobody"), "nobody who may approve"),
    ],
)
def test_anything_else_is_refused_with_the_reason(given: Approval | None, says: str) -> None:
    (answer,) = answers(asked(given))
    assert says in refusal(answer)


def test_what_is_gone_or_sealed_to_another_lock_is_refused_and_keeps_no_other_waiting() -> None:
    other = Sealer(str(IDENTITY.to_public()), key_id="t", lock=str(pyrage.x25519.Identity.generate().to_public()))
    values: dict[int, Any] = {7: None, 8: other.seal_twice(SECRET), 9: SEALED}

    def fetch(source: consult.Source) -> bytes | None:
        if source[2] == 10:
            raise UnreachableError("away")
        found: bytes | None = values[source[2]]
        return found

    places = [("quarantine", 2, offset) for offset in (7, 8, 10, 9)]
    made = answers(*(asked(approval(source=place), source=place) for place in places), fetch=fetch)
    assert [bool(message.value) for message in made] == [False, False, True]
    assert "not there any more" in refusal(made[0]) or "nothing is there" in refusal(made[0])


def test_entries_of_other_things_open_nothing() -> None:
    assert answers(asked(approval(source=("agency.gmp.marac", 0, 1)), source=("agency.gmp.marac", 0, 1))) == []
    for body in (b"", b"{}", b'{"id": "x", "operation": "disclosure", "source": null}', b"\xff"):
        assert answers(Inbound("ledger", 0, 1, NOW, None, SensitiveBytes(body))) == []


def test_a_second_signature_opens_once_also_after_a_restart(tmp_path: Path) -> None:
    given = approval()
    with Store(url(tmp_path)) as store:
        gone, opened, again = (
            answers(asked(given), fetch=lambda _, value=value: value, used=Used(store))[0]  # type: ignore[misc]
            for value in (None, SEALED, SEALED)
        )
        assert "nothing is there" in refusal(gone)  # and the signature is still good
        assert opened.value
        assert "was used before" in refusal(again)
    with Store(url(tmp_path)) as store:
        (again,) = answers(asked(given), used=Used(store))
        assert "was used before" in refusal(again)
        (other,) = answers(asked(approval(at=NOW + 1)), used=Used(store), now=NOW + 1)
        assert other.value
        later = NOW + 20 * 86_400_000
        assert answers(asked(approval(at=later)), used=Used(store), now=later)[0].value
        assert len(Used(store).ids()) == 1  # what is over anyway is forgotten


def test_a_database_of_the_version_before_is_brought_up_to_date_by_the_service_alone(tmp_path: Path) -> None:
    with Store(url(tmp_path)) as store, store.connection(write=True) as connection:
        connection.exec_driver_sql("DROP TABLE used")
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")
    with pytest.raises(ConfigError, match="another version"):
        Store(url(tmp_path), create=False)
    with Store(url(tmp_path)) as store:
        assert Used(store).ids() == frozenset()
    Store(url(tmp_path), create=False).__exit__()
