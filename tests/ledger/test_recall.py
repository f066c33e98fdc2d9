"""What must come back by itself: what a later decision refuses, and what was let out before a consent was withdrawn."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from services.kernel import ledger
from services.kernel.ledger import rfc3339
from services.kernel.record import Decision, Inbound, Message, Outcome
from services.kernel.vocabulary import OutcomeKind
from services.ledger import recall
from services.ledger.store import Store
from tests.ledger.helpers import NOW, append, key, record, url

SUBJECT = "ab" * 16


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(url(tmp_path)) as made:
        yield made


def routed(number: int, effects: dict[str, str], *, at: int, offset: int = 0) -> bytes:
    """The router's entry of a record, with its decision for each partner."""
    decisions = tuple(
        Decision(partner, "view", effect, ("p",), "basis", key(partner, number) if effect == "allow" else None)
        for partner, effect in effects.items()
    )
    outcome = Outcome(OutcomeKind.FORWARDED, record=record(number), decisions=decisions)
    source = Inbound("redacted", 1, offset, at, None, None)
    return ledger.entry(source, outcome, service="router", slot=0, previous=offset - 1, now=at).value or b""


def recalled(number: int, *partners: str) -> bytes:
    sent = [(partner, key(partner, number)) for partner in partners]
    made = ledger.recall(record(number), sent, source=("redacted", 1, 0), reference="due/1", by="A1", now=NOW)
    return made.value or b""


def overtaken(store: Store) -> list[tuple[str, str]]:
    with store.connection() as connection:
        return [(one.record, one.partner) for one in recall.overtaken(connection)]


def test_a_later_refusal_makes_it_due_and_a_later_permit_does_not(store: Store) -> None:
    append(store, [routed(1, {"idva-service": "allow", "housing-gm": "allow"}, at=NOW)])
    assert overtaken(store) == []
    append(store, [routed(1, {"idva-service": "allow", "housing-gm": "deny"}, at=NOW + 1, offset=1)])
    assert overtaken(store) == [(record(1), "housing-gm")]
    append(store, [routed(1, {"housing-gm": "allow"}, at=NOW + 2, offset=2)])
    assert overtaken(store) == []


def test_what_was_recalled_is_done_until_it_is_let_out_again(store: Store) -> None:
    append(store, [routed(1, {"housing-gm": "allow"}, at=NOW), routed(1, {"housing-gm": "deny"}, at=NOW + 1, offset=1)])
    append(store, [recalled(1, "housing-gm")])
    assert overtaken(store) == []
    with store.connection() as connection:
        assert recall.outstanding(connection, record(1)) == []
    append(store, [routed(1, {"housing-gm": "allow"}, at=NOW + 2, offset=2)])
    with store.connection() as connection:
        assert [one.partner for one in recall.outstanding(connection, record(1))] == ["housing-gm"]


def withdrawal(scope: str, *, recall_: bool) -> Message:
    return ledger.consent(
        subject=SUBJECT, recipient="housing-gm", purpose="housing", scope=scope, given=False, recall=recall_, by="A1",
        reference=None, now=NOW + 50,
    )  # fmt: skip


def test_a_withdrawal_of_coded_fields_asks_no_record_back(store: Store) -> None:
    append(store, [routed(1, {"housing-gm": "allow"}, at=NOW), withdrawal("f2", recall_=False).value or b""])
    append(store, [withdrawal("f2", recall_=True).value or b""])
    with store.connection() as connection:
        assert recall.withdrawn(connection) == []


def test_a_withdrawn_consent_asks_back_what_went_to_its_recipient_before(store: Store) -> None:
    said = withdrawal("record", recall_=True)
    append(
        store,
        [
            routed(1, {"housing-gm": "allow", "idva-service": "allow"}, at=NOW),
            routed(2, {"housing-gm": "allow"}, at=NOW, offset=1),
            said.value or b"",
            routed(3, {"housing-gm": "allow"}, at=NOW + 99, offset=2),
        ],
    )
    records = {SUBJECT: {record(1), record(3)}}
    with store.connection() as connection:
        asked = recall.withdrawn(connection)
        found = list(recall.without_consent(connection, asked, records))
    assert asked == [(SUBJECT, "housing-gm", rfc3339(NOW + 50))]
    assert [(one.record, one.partner) for one in found] == [(record(1), "housing-gm")]
    append(store, [recalled(1, "housing-gm")])
    with store.connection() as connection:
        assert list(recall.without_consent(connection, asked, records)) == []


def test_the_delivery_behind_a_message_is_found_by_partner_key_and_time(store: Store) -> None:
    append(store, [routed(1, {"housing-gm": "allow"}, at=NOW)])
    with store.connection() as connection:
        found = recall.behind(connection, "housing-gm", key("housing-gm", 1), NOW + 500)
        assert found is not None
        assert (found.record, found.source) == (record(1), ("redacted", 1, 0))
        assert recall.behind(connection, "housing-gm", "other", NOW) is None
        assert recall.behind(connection, "idva-service", key("housing-gm", 1), NOW) is None


def test_an_entry_that_names_less_than_ours_stops_no_recall(store: Store) -> None:
    """Who may write to the `ledger` topic must not be able to end a recall with an entry that fits the schema."""
    out = routed(1, {"housing-gm": "allow"}, at=NOW)
    keyless = orjson.loads(recalled(1, "housing-gm"))
    del keyless["decisions"][0]["key"]
    nowhere = orjson.loads(routed(1, {"housing-gm": "allow"}, at=NOW, offset=1)) | {"source": None}
    asked = withdrawal("record", recall_=True)
    nobody = {name: value for name, value in orjson.loads(asked.value or b"").items() if name != "recipient"}
    append(store, [out, *map(orjson.dumps, (keyless, nowhere, nobody))])
    with store.connection() as connection:
        assert [one.leaf for one in recall.outstanding(connection, record(1))] == [0]
        assert recall.withdrawn(connection) == []
    assert overtaken(store) == []
