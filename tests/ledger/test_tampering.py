"""Whatever is done to a log is found and named: in the store, in an export, by a witness."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.kernel.errors import ConfigError, RefusedError
from services.ledger import export, tables, tree
from services.ledger.entries import HOUR_MS
from services.ledger.note import Checkpoint, read, sign
from services.ledger.search import Query, search
from services.ledger.store import Hashes, Store
from services.ledger.verify import Report, Tampering, verify
from services.ledger.witness import Witness
from tests.ledger.helpers import KEY, NOW, ORIGIN, READER, Meanwhile, append, entries, leaves, url

PUBLIC = KEY.public_key()
COUNT = 900
#: The first leaf of the last hour: entries are a second apart.
HOUR = next(n for n in range(COUNT) if (NOW + n * 1000) // HOUR_MS == (NOW + (COUNT - 1) * 1000) // HOUR_MS)
#: As who edits SQLite by hand would: what comes out of `replace` is a text.
AS_TEXT = "UPDATE leaf SET body = replace(body, 'gmp', 'gmx') WHERE idx = 412"
ALL = Query()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A log of three batches, each with its checkpoint."""
    made = Store(url(tmp_path))
    bodies = list(entries(COUNT))
    for at in range(0, COUNT, 300):
        append(made, bodies[at : at + 300])
    return made


def run(store: Store, *statements: Any) -> None:
    with store.connection(write=True) as connection:
        for statement in statements:
            connection.execute(statement)


def body_of(store: Store, idx: int) -> dict[str, Any]:
    with store.connection() as connection:
        found: dict[str, Any] = orjson.loads(
            connection.execute(sa.select(tables.leaf.c.body).where(tables.leaf.c.idx == idx)).scalar_one()
        )
    return found


def found(report: Report) -> set[Tampering]:
    return {finding.what for finding in report.findings}


def change(store: Store, idx: int, *, rehash: bool) -> None:
    body = orjson.dumps(body_of(store, idx) | {"area": "E08000005"})
    values: dict[str, Any] = {"body": body}
    if rehash:
        values["hash"] = tree.leaf_hash(body)
    run(store, sa.update(tables.leaf).where(tables.leaf.c.idx == idx).values(values))


def delete(store: Store, idx: int, *, close: bool) -> None:
    held = tables.leaf
    run(store, sa.delete(held).where(held.c.idx == idx))
    if close:
        for at in range(idx + 1, COUNT):
            run(store, sa.update(held).where(held.c.idx == at).values(idx=at - 1))


def forge(store: Store) -> None:
    """Hide a record from the search, and add rows so that sums which anybody can compute stay what they were."""

    def mix(made: bytes, at: int) -> int:
        digest = hashlib.blake2b(b"seen" + made + at.to_bytes(8, "big"), digest_size=8).digest()
        return int.from_bytes(digest, "big")

    held, at = tables.seen, 8
    with store.connection() as connection:
        hidden = connection.execute(sa.select(held.c.record).where(held.c.idx == at)).scalar_one()
    made = [number.to_bytes(16, "big") for number in range(200)]
    basis: dict[int, tuple[int, int]] = {}  # by highest bit: a sum, and which rows it is made of

    def reduce(value: int, rows: int) -> tuple[int, int]:
        while value and value.bit_length() in basis:
            other, more = basis[value.bit_length()]
            value, rows = value ^ other, rows ^ more
        return value, rows

    for number, record in enumerate(made):
        value, rows = reduce(mix(record, at), 1 << number)
        if value:
            basis[value.bit_length()] = value, rows
    left, rows = reduce(mix(hidden, at), 0)
    assert left == 0
    added = [{"bucket": 0, "record": record, "idx": at} for number, record in enumerate(made) if rows >> number & 1]
    run(store, sa.delete(held).where(held.c.idx == at), sa.insert(held).values(added))


def swap(store: Store, first: int, second: int) -> None:
    held = tables.leaf
    with store.connection(write=True) as connection:
        rows = {
            row["idx"]: dict(row)
            for row in connection.execute(sa.select(held).where(held.c.idx.in_([first, second]))).mappings()
        }
        for here, there in ((first, second), (second, first)):
            other = {name: value for name, value in rows[there].items() if name != "idx"}
            connection.execute(sa.update(held).where(held.c.idx == here).values(other))


def insert(store: Store, body: bytes) -> None:
    """Put a made-up entry at the end, with its hash and tree, but without the log's key."""
    append(store, [body], signed=False)


def truncate(store: Store, size: int) -> None:
    held = tables.leaf
    run(store, sa.delete(held).where(held.c.idx >= size))


def test_a_log_that_nobody_touched_passes(store: Store) -> None:
    report = verify(store, PUBLIC, READER)
    assert report.findings == []
    assert (report.leaves, report.checkpoints, report.erased, report.kept_aside) == (COUNT, 3, 0, 0)


def test_what_was_appended_this_minute_waits_for_its_checkpoint_and_is_no_fault(store: Store) -> None:
    append(store, list(entries(7, COUNT)), signed=False)
    first = NOW / 1000 + COUNT
    report = verify(store, PUBLIC, READER, clock=lambda: first + 8)
    assert (report.findings, report.waiting) == ([], 7)
    run(store, sa.update(tables.checkpoint).values(time=int((first + 600) * 1000)))
    behind = verify(store, PUBLIC, READER, clock=lambda: first + 630)  # it works off what waited for ten minutes
    assert (behind.findings, behind.waiting) == ([], 7)
    for stale in (first + 61, first - 61):  # nobody signed it, or it says that it is not written yet
        assert found(verify(store, PUBLIC, READER, clock=lambda at=stale: at)) == {Tampering.NO_CHECKPOINT}  # type: ignore[misc]


def test_a_log_is_verified_as_it_stood_when_the_service_goes_on_appending(store: Store, tmp_path: Path) -> None:
    beside: Any = Meanwhile(url(tmp_path), list(entries(600, COUNT)))
    report = verify(store, PUBLIC, beside)
    assert (report.findings, report.leaves, report.waiting) == ([], COUNT, 0)
    assert store.state().size == COUNT + 600


@pytest.mark.parametrize(
    ("tamper", "named", "leaf"),
    [
        (lambda s: change(s, 412, rehash=False), Tampering.CHANGED, 412),
        (lambda s: change(s, 412, rehash=True), Tampering.REHASHED, 300),
        (lambda s: delete(s, 500, close=False), Tampering.MISSING, 500),
        (lambda s: delete(s, 500, close=True), Tampering.REHASHED, None),
        (lambda s: swap(s, 100, 104), Tampering.REORDERED, None),
        (lambda s: insert(s, next(entries(1, COUNT))), Tampering.NO_CHECKPOINT, COUNT),
        (lambda s: insert(s, orjson.dumps(body_of(s, 7))), Tampering.DOUBLED, COUNT),
        (lambda s: insert(s, list(entries(60, COUNT))[-1]), Tampering.CHAIN, COUNT),
        (lambda s: truncate(s, 700), Tampering.TRUNCATED, 700),
        (
            lambda s: run(s, sa.update(tables.leaf).where(tables.leaf.c.idx == 8).values(outcome="withheld")),
            Tampering.SEARCH,
            8,
        ),
        (lambda s: run(s, sa.delete(tables.seen).where(tables.seen.c.idx == 8)), Tampering.SEARCH, None),
        (lambda s: run(s, sa.delete(tables.delivery).where(tables.delivery.c.idx == 3)), Tampering.SEARCH, None),
        (lambda s: forge(s), Tampering.SEARCH, None),
        (lambda s: run(s, sa.delete(tables.hour)), Tampering.SEARCH, 0),
        (
            lambda s: run(s, sa.update(tables.hour).where(tables.hour.c.last == COUNT - 1).values(last=COUNT - 2)),
            Tampering.SEARCH,
            HOUR,
        ),
        (lambda s: run(s, sa.text(AS_TEXT)), Tampering.CHANGED, 412),
        (lambda s: run(s, sa.text("UPDATE leaf SET hash = hex(hash) WHERE idx = 412")), Tampering.CHANGED, 412),
        (lambda s: run(s, sa.update(tables.subtree).values(hash=b"x" * 32)), Tampering.TREE, 0),
        (
            lambda s: run(s, sa.update(tables.leaf).where(tables.leaf.c.idx == 8).values(body=None)),
            Tampering.ERASED,
            8,
        ),
        (
            lambda s: run(s, sa.update(tables.checkpoint).values(note=tables.checkpoint.c.note + "x")),
            Tampering.CHECKPOINT,
            None,
        ),
        (lambda s: rewrite(s, Ed25519PrivateKey.generate()), Tampering.CHECKPOINT, None),
    ],
    ids=[
        "change", "change with its hash", "delete", "delete and close the gap", "reorder", "insert", "replay",
        "insert out of the chain", "truncate", "edit a search column", "hide from the search by record",
        "hide from the search by partner", "hide from the search and add rows of the same sum",
        "hide hours from the search by time", "shorten an hour", "change as text", "write a hash as text",
        "edit the tree", "empty an entry", "edit a checkpoint", "swap the key",
    ],
)  # fmt: skip
def test_what_was_done_to_the_store_is_named(
    store: Store, tamper: Callable[[Store], None], named: Tampering, leaf: int | None
) -> None:
    tamper(store)
    report = verify(store, PUBLIC, READER)
    assert named in found(report)
    if leaf is not None:
        assert next(finding.leaf for finding in report.findings if finding.what is named) == leaf


def rewrite(store: Store, key: Ed25519PrivateKey, change_at: int | None = None) -> None:
    """Make the whole log anew, as who owns the database can, and sign it with `key`."""
    bodies = [orjson.dumps(body_of(store, idx)) for idx in range(COUNT)]
    if change_at is not None:
        bodies[change_at] = orjson.dumps(orjson.loads(bodies[change_at]) | {"area": "E08000005"})
    run(store, *(sa.delete(table) for table in tables.metadata.sorted_tables if table is not tables.log))
    run(store, sa.update(tables.log).values(next_offset=0, size=0, frontier=b""))
    append(store, bodies, signed=False)
    state = store.state()
    statement = sign(Checkpoint(ORIGIN, state.size, state.frontier.root()), key)
    store.append(state, state, [], [], signed=statement, now=NOW)


def last(store: Store) -> Any:
    return read(store.checkpoints()[-1])


def proof(store: Store, first: int, second: int) -> list[bytes]:
    with store.connection() as connection:
        return tree.consistency(Hashes(connection), first, second)


def test_a_log_rewritten_with_its_own_key_is_found_by_the_witness(store: Store, tmp_path: Path) -> None:
    witness = Witness(tmp_path / "witness", Ed25519PrivateKey.generate(), name="w", log_key=PUBLIC)
    witness.look(last(store), [], seconds=1)
    append(store, list(entries(50, COUNT)))
    witness.look(last(store), proof(store, COUNT, COUNT + 50), seconds=2)
    rewrite(store, KEY, change_at=400)
    assert verify(store, PUBLIC, READER).findings == []  # by itself it looks sound
    with pytest.raises(RefusedError, match="shrank"):
        witness.look(last(store), [], seconds=3)
    append(store, list(entries(100, COUNT)))
    with pytest.raises(RefusedError, match="forked"):
        witness.look(last(store), proof(store, COUNT + 50, COUNT + 100), seconds=4)
    assert witness.last is not None
    assert witness.last.size == COUNT + 50


def test_the_witness_refuses_another_log_and_another_key(store: Store, tmp_path: Path) -> None:
    witness = Witness(tmp_path / "witness", Ed25519PrivateKey.generate(), name="w", log_key=PUBLIC)
    witness.look(last(store), [], seconds=1)
    other = sign(Checkpoint("other.example/log", COUNT, b"r" * 32), KEY)
    with pytest.raises(RefusedError, match="other"):
        witness.look(other, [], seconds=2)
    with pytest.raises(RefusedError, match="no signature"):
        witness.look(sign(last(store).checkpoint, Ed25519PrivateKey.generate()), [], seconds=2)


def written(store: Store, folder: Path, query: Query = ALL) -> Path:
    with store.connection() as connection:
        export.write(folder, search(connection, query), hashes=Hashes(connection), signed=last(store), key=PUBLIC)
    return folder


def edit(folder: Path, change: Callable[[list[Any]], None]) -> None:
    file = folder / export.ENTRIES
    lines = [orjson.loads(line) for line in file.read_bytes().splitlines()]
    change(lines)
    file.write_bytes(b"\n".join(orjson.dumps(line) for line in lines) + b"\n")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda lines: lines[3].update(entry=lines[3]["entry"].replace("gmp", "gmx")), Tampering.CHANGED),
        (lambda lines: lines[3].update(entry=lines[4]["entry"], hash=lines[4]["hash"]), Tampering.REHASHED),
        (lambda lines: lines[3].update(hash="00" * 32), Tampering.REHASHED),
        (lambda lines: lines[3]["proof"].pop(), Tampering.REHASHED),
        (lambda lines: lines.reverse(), Tampering.REORDERED),
        (lambda lines: lines.append(lines[0]), Tampering.DOUBLED),
        (lambda lines: lines[3].update(leaf=COUNT + 5), Tampering.REHASHED),
    ],
)
def test_an_edited_export_is_found(
    store: Store, tmp_path: Path, change: Callable[[list[Any]], None], named: Tampering
) -> None:
    folder = written(store, tmp_path / "export")
    assert export.verify(folder, PUBLIC, READER).findings == []
    edit(folder, change)
    assert named in found(export.verify(folder, PUBLIC, READER))


def test_an_export_with_an_edited_checkpoint_or_another_key_is_found(store: Store, tmp_path: Path) -> None:
    folder = written(store, tmp_path / "export", Query(partner="idva-service"))
    report = export.verify(folder, PUBLIC, READER)
    assert (report.findings, report.leaves) == ([], COUNT // 20 * 9)
    other = export.verify(folder, Ed25519PrivateKey.generate().public_key(), READER)
    assert found(other) == {Tampering.CHECKPOINT}
    note = (folder / export.CHECKPOINT).read_text()
    (folder / export.CHECKPOINT).write_text(note.replace(f"\n{COUNT}\n", f"\n{COUNT + 1}\n"))
    assert Tampering.CHECKPOINT in found(export.verify(folder, PUBLIC, READER))
    (folder / export.CHECKPOINT).write_text("none")
    assert found(export.verify(folder, PUBLIC, READER)) == {Tampering.CHECKPOINT}
    (folder / export.CHECKPOINT).unlink()
    with pytest.raises(ConfigError):
        export.verify(folder, PUBLIC, READER)
    with pytest.raises(ConfigError, match="not empty"):
        written(store, folder)


def test_what_is_no_entry_is_in_the_tree_and_told_of(store: Store, tmp_path: Path) -> None:
    append(store, [b"\xff\xfe not JSON", b"{}", b""])
    report = verify(store, PUBLIC, READER)
    assert (report.findings, report.kept_aside) == ([], 3)
    assert [leaf.fault for leaf in leaves([b"\xff", b"{}", b""])] == ["not_json", "schema", "not_json"]
    shown = export.verify(written(store, tmp_path / "export"), PUBLIC, READER)
    assert (shown.findings, shown.kept_aside) == ([], 3)


def sign_again(store: Store, key: Ed25519PrivateKey) -> None:
    state = store.state()
    store.append(state, state, [], [], signed=sign(Checkpoint(ORIGIN, state.size, state.frontier.root()), key), now=NOW)


def test_a_log_is_whole_over_the_change_of_its_key_and_the_old_one_signs_no_more(store: Store, tmp_path: Path) -> None:
    fresh = Ed25519PrivateKey.generate()
    before = written(store, tmp_path / "before")
    append(store, list(entries(10, COUNT)), signed=False)
    sign_again(store, fresh)
    assert found(verify(store, fresh.public_key(), READER)) == {Tampering.CHECKPOINT}
    assert verify(store, fresh.public_key(), READER, older=[PUBLIC]).findings == []
    assert export.verify(before, fresh.public_key(), READER, older=[PUBLIC]).findings == []
    append(store, list(entries(10, COUNT + 10)))  # signed with the old key, which got out
    assert Tampering.CHECKPOINT in found(verify(store, fresh.public_key(), READER, older=[PUBLIC]))


@pytest.mark.parametrize("name", ["", "Jane Doe", "a+b", "a\tb", "a\u202eb", "a\x1b[2J"])
def test_a_name_that_would_break_a_note_or_a_terminal_is_no_witness(store: Store, tmp_path: Path, name: str) -> None:
    witness = Witness(tmp_path / "witness", Ed25519PrivateKey.generate(), name=name, log_key=PUBLIC)
    with pytest.raises(ConfigError, match="no name of a witness"):
        witness.look(last(store), [], seconds=1)
    assert witness.last is None
    if "+" not in name:
        with pytest.raises(RefusedError, match="no checkpoint"):
            read(last(store).note + f"\u2014 {name} AAAA\n")
