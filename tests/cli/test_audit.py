"""`audit` on a log in a file: found, proved, exported, witnessed; every fault said in one line."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
import sqlalchemy as sa
from typer.testing import CliRunner, Result

from services.cli import audit_retention, unlock
from services.cli.app import app
from services.kernel import keys, ledger
from services.kernel.errors import ConfigError, RefusedError, UnreachableError
from services.kernel.record import Decision, Inbound, Outcome
from services.kernel.vocabulary import OutcomeKind
from services.ledger import tables
from services.ledger.note import Checkpoint, sign
from services.ledger.store import Store
from services.ledger.tree import Frontier
from services.ledger.verify import Tampering
from tests.ledger import independent
from tests.ledger.helpers import NOW, ORIGIN, append, entries, record, url

COUNT = 600


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    keys.init_dev(tmp_path / "keys", [])
    monkeypatch.setenv("SR_KEYS_DIR", str(tmp_path / "keys"))
    monkeypatch.setenv("SR_LEDGER_DATABASE", url(tmp_path))
    monkeypatch.setenv("SR_LEDGER_ORIGIN", ORIGIN)
    with Store(url(tmp_path)) as store:
        append(store, [*entries(COUNT), b"{}"], signed=False)
        _sign(store, tmp_path)
    return tmp_path


def _sign(store: Store, folder: Path) -> None:
    state = store.state()
    key = keys.private_key(keys.load(folder / "keys", ["ledger"])["ledger"])
    statement = sign(Checkpoint(ORIGIN, state.size, state.frontier.root()), key)
    store.append(state, state, [], [], signed=statement, now=NOW)


def planted(number: int) -> Iterator[bytes]:
    """Entries of a canary as redactor and router write them: it would have gone to a partner, and did not."""
    about = {"record": record(number), "agency": "gmp", "feed": "police-crime", "canary": True}
    decided = (Decision("idva-service", "view", "allow", ("permit-idva-service",), "DPA 2018 s.35"),)
    outcomes = {
        "redactor": ("agency.gmp.police-crime", Outcome(OutcomeKind.REDACTED, **about)),
        "router": ("redacted", Outcome(OutcomeKind.FORWARDED, decisions=decided, **about)),
    }
    for service, (topic, outcome) in outcomes.items():
        source = Inbound(topic, 5, 0, NOW, None, None)  # a partition that no other entry names
        yield ledger.entry(source, outcome, service=service, slot=0, previous=-1, now=NOW).value or b""


def witness(folder: Path, name: str = "w-1") -> list[str]:
    """The command of a witness, with its key."""
    (folder / "w.key").write_text("aa" * 32)
    return ["witness", "--state", str(folder / "seen"), "--key", str(folder / "w.key"), "--name", name]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["audit", *arguments])


def found(*arguments: str) -> list[dict[str, object]]:
    done = run("search", "--json", "--limit", "10000", *arguments)
    assert done.exit_code == 0, (done.output, done.exception)
    return [json.loads(line) for line in done.output.splitlines()]


def test_search_finds_by_what_the_open_part_says(folder: Path) -> None:
    assert len(found()) == COUNT + 1
    assert {one["leaf"] for one in found("--record", record(7))} == {14, 15}
    assert len(found("--partner", "idva-service")) == COUNT // 20 * 9
    assert len(found("--outcome", "withheld", "--reason", "policy")) == COUNT // 20
    assert len(found("--policy", "permit-idva-service")) == COUNT // 20 * 9
    assert len(found("--service", "router", "--agency", "gmp")) > COUNT // 3
    assert found("--partner", "housing-gm") == found("--record", "00" * 16) == found("--version", "none") == []
    first = "2026-11-18T11:06:40Z"
    assert NOW == 1_795_000_000_000
    assert [one["leaf"] for one in found("--since", first, "--until", "2026-11-18T11:06:43Z")] == [0, 1, 2, 600]
    assert found("--until", "2026-11-18") == []
    shown = run("search", "--partner", "idva-service", "--limit", "2")
    assert "2 entries; there are more" in shown.output


@pytest.mark.parametrize("arguments", [["--since", "yesterday"], ["--record", "xyz"]])
def test_a_question_that_is_none_is_said(folder: Path, arguments: list[str]) -> None:
    assert isinstance(run("search", *arguments).exception, ConfigError)


def test_verify_says_whole_or_names_the_first_difference(folder: Path) -> None:
    done = run("verify")
    assert done.exit_code == 0, done.output
    assert f"whole: {COUNT + 1} leaves, 1 checkpoints, 0 erased, 1 kept aside" in done.output
    with Store(url(folder)) as store, store.connection(write=True) as connection:
        connection.execute(sa.update(tables.leaf).where(tables.leaf.c.idx == 12).values(body=b"{}"))
    done = run("verify")
    assert done.exit_code == 1
    assert done.output.strip().startswith("leaf 12: content changed")
    (line,) = run("verify", "--json").output.splitlines()
    assert json.loads(line)["findings"][0]["what"] == "changed"


def roll_back(store: Store, size: int) -> None:
    """Make the log what it was at `size` leaves, tidily, as who owns the database can without any key."""
    kept = Frontier()
    with store.connection(write=True) as connection:
        for digest in connection.execute(
            sa.select(tables.leaf.c.hash).order_by(tables.leaf.c.idx).limit(size)
        ).scalars():
            kept.append(digest)
        for column in (tables.leaf.c.idx, tables.seen.c.idx, tables.delivery.c.idx):
            connection.execute(sa.delete(column.table).where(column >= size))
        connection.execute(sa.delete(tables.checkpoint).where(tables.checkpoint.c.size > size))
        subtree = tables.subtree.c
        connection.execute(sa.delete(tables.subtree).where(subtree.number >= size // 256, subtree.height == 8))
        connection.execute(sa.update(tables.log).values(size=size, frontier=b"".join(kept.hashes)))


def test_only_a_checkpoint_kept_elsewhere_shows_that_the_log_was_rolled_back(folder: Path) -> None:
    with Store(url(folder)) as store:
        append(store, list(entries(300, COUNT)), signed=False)
        _sign(store, folder)
    (folder / "note").write_text(run(*witness(folder)).output)
    public = keys.private_key(keys.Key("w", "1", b"aa" * 32)).public_key().public_bytes_raw().hex()
    against = ["verify", "--checkpoint", str(folder / "note"), "--witness"]
    assert run(*against, f"w-1={public}").output.startswith("whole")
    assert isinstance(run(*against, f"w-2={public}").exception, RefusedError)
    assert isinstance(run(*against, f"w-1={'bb' * 32}").exception, RefusedError)
    assert isinstance(run("verify", "--witness", f"w-1={public}").exception, ConfigError)
    assert isinstance(run("verify", "--checkpoint", str(folder / "none")).exception, ConfigError)
    with Store(url(folder)) as store:
        roll_back(store, COUNT + 1)
    assert run("verify").exit_code == 0  # by itself it looks sound
    done = run(*against, f"w-1={public}")
    assert done.exit_code == 1
    assert f"leaf {COUNT + 1}: truncated" in done.output
    with Store(url(folder)) as store:
        append(store, list(entries(310, COUNT, feed="agency.other.marac")), signed=False)
        _sign(store, folder)
    done = run("verify", "--checkpoint", str(folder / "note"))
    assert f"leaf {COUNT + 1}: changed, inserted, removed or reordered" in done.output


def test_a_log_of_another_name_is_not_this_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "note").write_text(run(*witness(folder)).output)
    monkeypatch.setenv("SR_LEDGER_ORIGIN", "other.example/log")
    done = run("verify")
    assert done.exit_code == 1
    assert f"of the log `{ORIGIN}`, not of `other.example/log`" in done.output
    assert isinstance(run("verify", "--checkpoint", str(folder / "note")).exception, RefusedError)


def test_an_empty_log_is_not_whole_and_no_question_makes_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Store(url(folder).replace("ledger.db", "empty.db")).__exit__()
    monkeypatch.setenv("SR_LEDGER_DATABASE", url(folder).replace("ledger.db", "empty.db"))
    done = run("verify")
    assert (done.exit_code, done.output.splitlines()[0]) == (1, f"the log: {Tampering.EMPTY}")
    (folder / "blank.db").touch()
    for name in ("typo.db", "blank.db"):
        monkeypatch.setenv("SR_LEDGER_DATABASE", url(folder).replace("ledger.db", name))
        for command in (["verify"], ["search"], ["statement", record(7)], ["holds"]):
            assert "holds no ledger" in str(run(*command).exception)
    assert not (folder / "typo.db").exists()
    with Store(url(folder)) as store, store.connection(write=True) as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    monkeypatch.setenv("SR_LEDGER_DATABASE", url(folder))
    assert "another version" in str(run("search").exception)


def test_an_export_is_verified_by_its_readme_alone(folder: Path) -> None:
    out = folder / "export"
    done = run("export", str(out), "--partner", "idva-service")
    assert done.exit_code == 0, (done.output, done.exception)
    assert run("verify", str(out)).output.startswith("whole: 270 leaves")
    public = keys.load(folder / "keys", ["ledger-pub"])["ledger-pub"].material.decode()
    assert independent.verify(out, public) == COUNT // 20 * 9
    assert len((out / "entries.csv").read_text().splitlines()) == COUNT // 20 * 9 + 1
    assert isinstance(run("export", str(out)).exception, ConfigError)
    lines = (out / "entries.jsonl").read_text()
    (out / "entries.jsonl").write_text(lines.replace("gmp", "xxx", 1))
    with pytest.raises(AssertionError):
        independent.verify(out, public)


def test_statement_is_in_the_words_of_section_62(folder: Path) -> None:
    rows = [json.loads(line) for line in run("statement", record(7), "--json").output.splitlines()]
    assert [(row["operation"], row["to"]) for row in rows] == [
        ("alteration", ""), ("disclosure", "victim-support-gm"), ("disclosure", "idva-service"),
    ]  # fmt: skip
    assert rows[1]["basis"] == "DPA 2018 s.35"
    assert "DPA 2018" in run("statement", record(7)).output


def test_what_is_said_of_a_person_names_what_it_covers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def held(_: object, subjects: set[str], *, name: str) -> dict[str, set[str]]:
        return {subject: {record(0)} for subject in subjects}

    monkeypatch.setattr(audit_retention, "records_of", held)
    done = CliRunner().invoke(app, ["audit", "subject", "--agency", "gmp", "--json"], input="P-7\n")
    assert done.exit_code == 0, (done.output, done.exception)
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert {row["record"] for row in rows} == {record(0)}
    assert "1 records of the last 14 days" in done.stderr


def test_a_consent_that_names_no_recipient_is_told_all_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_retention, "records_of", lambda *_, **__: {})
    secret = keys.secret(keys.load(folder / "keys", ["pseudonym"])["pseudonym"])
    made = ledger.consent(
        subject=keys.pseudonym(secret, "gmp", "P-7"), recipient="idva-service", purpose="support", scope="record",
        given=True, recall=False, by="A1", reference=None, now=NOW,
    )  # fmt: skip
    entry = orjson.loads(made.value or b"")
    del entry["recipient"]
    with Store(url(folder)) as store:
        append(store, [orjson.dumps(entry)], signed=False)
    done = CliRunner().invoke(app, ["audit", "subject", "--agency", "gmp"], input="P-7\n")
    assert done.exit_code == 0, (done.output, done.exception)
    assert "1 operations" in done.stdout


def test_no_partner_got_what_was_planted(folder: Path) -> None:
    number = COUNT
    got = found("--partner", "idva-service")
    with Store(url(folder)) as store:
        append(store, list(planted(number)), signed=False)
        _sign(store, folder)
    routed = COUNT + 2
    assert [one["leaf"] for one in found("--record", record(number))] == [routed - 1, routed]
    assert found("--partner", "idva-service") == got
    assert found("--partner", "idva-service", "--policy", "permit-idva-service") == got
    assert "idva" not in run("search", "--record", record(number)).output
    rows = [json.loads(line) for line in run("statement", record(number), "--json").output.splitlines()]
    assert [(row["operation"], row["to"], row["basis"]) for row in rows] == [
        ("alteration", "", "canary"), ("disclosure", "", "canary"),
    ]  # fmt: skip
    out = folder / "export"
    assert run("export", str(out), "--record", record(number)).exit_code == 0
    with (out / "entries.csv").open(newline="") as table:
        assert [(row["leaf"], row["partners"]) for row in csv.DictReader(table)] == [
            (str(routed - 1), ""),
            (str(routed), ""),
        ]
    assert "canary" in (out / "README.txt").read_text()
    assert run("verify", str(out)).output.startswith("whole: 2 leaves")
    assert run("verify").exit_code == 0  # the index of deliveries is as it always was


def test_a_record_is_asked_for_with_its_partner(folder: Path) -> None:
    assert {one["leaf"] for one in found("--record", record(7), "--partner", "idva-service")} == {15}
    assert found("--record", record(7), "--partner", "housing-gm") == []


def test_the_witness_cosigns_what_grew_and_refuses_what_shrank(folder: Path) -> None:
    arguments = witness(folder)
    done = run(*arguments)
    assert done.exit_code == 0, (done.output, done.exception)
    assert done.output.count("\u2014 ") == 2
    with Store(url(folder)) as store:
        append(store, list(entries(30, COUNT)), signed=False)
        _sign(store, folder)
    assert run(*arguments).exit_code == 0
    with Store(url(folder)) as store, store.connection(write=True) as connection:
        connection.execute(sa.delete(tables.checkpoint).where(tables.checkpoint.c.size > COUNT + 1))
    assert isinstance(run(*arguments).exception, RefusedError)
    for held in (b"\xff", b"no checkpoint"):
        (folder / "seen").write_bytes(held)
        said = run(*arguments).exception
        assert isinstance(said, ConfigError)
        assert f"`{folder / 'seen'}` holds no checkpoint" in str(said)


def test_a_log_that_somebody_damaged_is_said_in_one_line(folder: Path) -> None:
    assert run(*witness(folder)).exit_code == 0
    with Store(url(folder)) as store:
        append(store, list(entries(30, COUNT)), signed=False)
        _sign(store, folder)
        with store.connection(write=True) as connection:
            connection.execute(sa.delete(tables.leaf).where(tables.leaf.c.idx == COUNT + 2))
    for command in (["export", str(folder / "e")], witness(folder)):
        said = run(*command).exception
        assert isinstance(said, RefusedError)
        assert "damaged" in str(said)
    with Store(url(folder)) as store, store.connection(write=True) as connection:
        connection.execute(sa.text("UPDATE leaf SET body = 'x' WHERE idx = 3"))
    for command in (["search"], ["statement", record(1)]):
        assert "damaged" in str(run(*command).exception)


def test_an_entry_that_was_changed_as_text_is_exported_and_named(folder: Path) -> None:
    with Store(url(folder)) as store, store.connection(write=True) as connection:
        connection.execute(sa.text("UPDATE leaf SET body = replace(body, 'gmp', 'gmx') WHERE idx = 3"))
    assert run("export", str(folder / "e")).exit_code == 0
    for arguments in ([], [str(folder / "e")]):
        assert run("verify", *arguments).output.startswith("leaf 3: content changed")


def test_the_keys_folder_keeps_the_keys_that_the_log_had(folder: Path) -> None:
    assert run("export", str(folder / "before")).exit_code == 0
    old = folder / "keys" / "ledger-pub.dev"
    keys.init_dev(folder / "new", [])
    for name in ("ledger", "ledger-pub"):
        (folder / "new" / f"{name}.dev").rename(folder / "keys" / f"{name}.next")
    assert run("export", str(folder / "between")).exit_code == 0  # the service does not sign with it yet
    assert independent.verify(folder / "between", old.read_text().strip()) > 0
    with Store(url(folder)) as store:
        append(store, list(entries(30, COUNT)), signed=False)
        _sign(store, folder)
    assert run("export", str(folder / "after")).exit_code == 0
    for arguments in ([], [str(folder / "before")], [str(folder / "between")], [str(folder / "after")]):
        assert run("verify", *arguments).exit_code == 0
    new = str(folder / "keys" / "ledger-pub.next")
    assert run("verify", "--log-key", new).exit_code == 1
    assert run("verify", "--log-key", str(old), "--log-key", new).exit_code == 0


def test_what_is_missing_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(run("verify", str(folder / "none")).exception, ConfigError)
    assert isinstance(run("verify", "--log-key", str(folder / "none.pub")).exception, ConfigError)
    for part in ("", record(1)[:8], record(1)[:-1], "zz" * 16):  # "nothing was done with it" would be no answer
        assert "is no pseudonym" in str(run("statement", part).exception)
    assert isinstance(run("search", "--agency", "\udcff").exception, UnicodeEncodeError)  # the log is not damaged
    monkeypatch.setenv("SR_LEDGER_DATABASE", url(folder).replace("ledger.db", "empty.db"))
    assert isinstance(run("export", str(folder / "e")).exception, ConfigError)
    monkeypatch.setenv("SR_LEDGER_DATABASE", "")
    assert "SR_LEDGER_DATABASE" in str(run("search").exception)


@pytest.fixture
def sealed(folder: Path) -> str:
    """Number of a leaf that has a sealed detail."""
    source = Inbound("agency.gmp.police-crime", 6, 0, NOW, None, None)
    made = ledger.entry(
        source, Outcome(OutcomeKind.WITHHELD, detail=b"age"), service="redactor", slot=0, previous=-1, now=NOW
    )
    with Store(url(folder)) as store:
        append(store, [made.value or b""], signed=False)
        return str(store.state().size - 1)


def test_nothing_is_opened_before_the_ledger_took_the_entry(
    folder: Path, sealed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[object] = []

    def away(_: object, messages: list[object]) -> None:
        sent.extend(messages)
        raise UnreachableError("sending: no broker")

    monkeypatch.setattr(unlock, "send", away)
    asked = ("--by", "A1", "--why", "audit", "--identity")
    identity = str(folder / "keys" / "compliance" / "seal-identity.dev")
    for command in (("open", sealed), ("totals", "2026-11-01")):
        no_setting = run(*command, *asked, identity).exception
        assert isinstance(no_setting, ConfigError)
        assert "`SR_KAFKA_BOOTSTRAP` is not set" in str(no_setting)
        with monkeypatch.context() as changed:
            changed.setenv("SR_KAFKA_BOOTSTRAP", "127.0.0.1:1")
            changed.setenv("SR_KAFKA_SECURITY_PROTOCOL", "PLAINTEXT")
            assert isinstance(run(*command, *asked, str(folder / "gone")).exception, ConfigError)
            assert sent == [], "an entry says that somebody looked who could not"
            refused = run(*command, *asked, identity).exception
            assert isinstance(refused, UnreachableError)
            assert "not opened, because the ledger did not take the entry: sending" in str(refused)
            assert len(sent) == 1
            sent.clear()


def test_a_leaf_beyond_any_log_is_a_usage_error(folder: Path) -> None:
    done = run("open", "99999999999999999999", "--identity", "x", "--by", "A1", "--why", "audit")
    assert done.exit_code == 2
