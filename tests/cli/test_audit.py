"""`audit` on a log in a file: found, proved, exported, witnessed; every fault said in one line."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner, Result

from services.cli import unlock
from services.cli.app import app
from services.kernel import keys, ledger
from services.kernel.errors import ConfigError, RefusedError, UnreachableError
from services.kernel.record import Decision, Inbound, Outcome
from services.kernel.vocabulary import OutcomeKind
from services.ledger import tables
from services.ledger.note import Checkpoint, sign
from services.ledger.store import Store
from tests.ledger import independent
from tests.ledger.helpers import NOW, ORIGIN, append, entries, record, url

COUNT = 600


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    keys.init_dev(tmp_path / "keys", [])
    monkeypatch.setenv("SR_KEYS_DIR", str(tmp_path / "keys"))
    monkeypatch.setenv("SR_LEDGER_DATABASE", url(tmp_path))
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
    (folder / "w.key").write_text("aa" * 32)
    arguments = ["witness", "--state", str(folder / "seen"), "--key", str(folder / "w.key"), "--name", "witness-1"]
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


def test_what_is_missing_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(run("verify", str(folder / "none")).exception, ConfigError)
    assert isinstance(run("verify", "--log-key", str(folder / "none.pub")).exception, ConfigError)
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
