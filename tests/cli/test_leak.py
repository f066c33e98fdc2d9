"""What `leak` says of itself: the trace knows what was recalled, whatever interrupted it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner, Result

from services.cli import leak, leak_pack, leak_trace, log_wait
from services.cli.app import app
from services.cli.leak_trace import Trace
from services.evaluation import gold
from services.kernel import keys
from services.kernel.errors import ConfigError, RefusedError, UnreachableError
from services.kernel.ledger import TOPIC
from services.kernel.record import Inbound
from services.kernel.sensitive import SensitiveBytes
from services.ledger.search import Query, search
from services.ledger.store import Store
from tests.ledger import independent
from tests.ledger.helpers import KEY, NOW, append, entries, key, record, url

RECORDS = 8
Run = Callable[..., Result]


class Broker:
    """Takes transactions and appends their entries to the log, as the ledger service does; some are refused.

    Attributes:
        sent: topics of what it took.
        refuse_from: the number of the transaction from which on it refuses.
        late: offsets of the `ledger` topic that the log never takes.
    """

    def __init__(self, database: str) -> None:
        self.sent: list[str] = []
        self.refuse_from = 1 << 30
        self.late = 0
        self._database = database
        self._transactions = 0

    def send(self, _: object, messages: list[tuple[Any, int]], **__: object) -> None:
        if self._transactions >= self.refuse_from:
            raise UnreachableError("sending: the broker is away")
        self._transactions += 1
        self.sent += [message.topic for message, _ in messages]
        with Store(self._database) as store:
            append(store, [message.value for message, _ in messages if message.topic == TOPIC])

    def written(self, *_: object, **__: object) -> int:
        with Store(self._database) as store:
            return store.state().next_offset + self.late


@pytest.fixture
def broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Broker:
    made = Broker(url(tmp_path))
    monkeypatch.setattr(leak, "send", made.send)
    monkeypatch.setattr(leak, "send_together", made.send)
    monkeypatch.setattr(log_wait, "written", made.written)
    monkeypatch.setattr(log_wait, "time", SimpleNamespace(monotonic=count(0, 10).__next__, sleep=lambda _: None))
    with Store(url(tmp_path)) as store:
        append(store, list(entries(2 * RECORDS)))
    return made


@pytest.fixture
def run(tmp_path: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("SR_LEDGER_DATABASE", url(tmp_path))
    monkeypatch.setenv("SR_KAFKA_BOOTSTRAP", "127.0.0.1:1")
    monkeypatch.setenv("SR_KAFKA_SECURITY_PROTOCOL", "PLAINTEXT")

    def leak_(*arguments: str, typed: str = "") -> Result:
        return CliRunner().invoke(app, ["leak", *arguments], input=typed)

    return leak_


@pytest.fixture
def file(tmp_path: Path, run: Run) -> Path:
    """The trace of every record."""
    named = [option for number in range(RECORDS) for option in ("--record", record(number))]
    done = run("trace", str(tmp_path / "trace.json"), "--by", "A1", "--no-term", *named)
    assert done.exit_code == 0, (done.output, done.exception)
    return tmp_path / "trace.json"


def with_newer_key(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A keys folder with the key of the log and one that it does not sign with yet; the former's public half."""
    public = KEY.public_key().public_bytes_raw().hex()
    keys.init_dev(folder, [])
    (folder / "ledger-pub.2026-01").write_text(public)
    monkeypatch.setenv("SR_KEYS_DIR", str(folder))
    return public


def read(file: Path) -> Trace:
    return msgspec.json.decode(file.read_bytes(), type=Trace)


def places(numbers: range) -> set[str]:
    """Of the copies of these records; the first was withheld."""
    return {f"{p}/{key(p, n)}" for p in ("idva-service", "victim-support-gm") for n in numbers if n % 10}


def test_a_recall_that_breaks_off_keeps_what_it_recalled(
    run: Run, file: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leak, "_TOGETHER", 4)
    broker.refuse_from = 1
    assert isinstance(run("recall", str(file), "--by", "A1").exception, UnreachableError)
    first = set(read(file).recalled)
    assert 0 < len(first) < len(places(range(RECORDS)))
    broker.refuse_from = 1 << 30
    assert f"recalled {14 - len(first)} copies" in run("recall", str(file), "--by", "A1").output
    assert set(read(file).recalled) == places(range(RECORDS))


def test_what_the_log_knows_as_recalled_comes_into_the_trace(run: Run, file: Path, broker: Broker) -> None:
    """As after a kill between the transaction and the writing of the trace."""
    before = file.read_bytes()
    assert "recalled 14 copies" in run("recall", str(file), "--by", "A1").output
    recalled = read(file).recalled
    file.write_bytes(before)
    broker.sent.clear()
    assert "recalled 0 copies" in run("recall", str(file), "--by", "A1").output
    assert broker.sent == []
    assert read(file).recalled == recalled


def test_a_receipt_is_taken_down_once(run: Run, file: Path, broker: Broker) -> None:
    run("recall", str(file), "--by", "A1")
    broker.sent.clear()
    assert run("receipt", str(file), "--by", "A1", "--partner", "idva-service").exit_code == 0
    again = run("receipt", str(file), "--by", "A1", "--partner", "idva-service").exception
    assert isinstance(again, ConfigError)
    assert "taken down already" in str(again)
    assert broker.sent == [TOPIC]


Topics = dict[str, Callable[[], str]]


def traced(run: Run, file: Path, monkeypatch: pytest.MonkeyPatch, topics: Topics) -> Result:
    """Trace a term; `topics` gives the key of the one copy that each partner's topic holds, as it is read."""

    def read_all(_: object, topic: str, **__: object) -> Iterator[Inbound]:
        if (made := topics.get(topic.removeprefix("partner."))) is not None:
            value = SensitiveBytes(b'{"text": "on Qarvonia paper"}')
            yield Inbound(topic, 1, 5, NOW + 1000, SensitiveBytes(made().encode()), value)

    monkeypatch.setattr(leak_trace, "read_all", read_all)
    return run("trace", str(file), "--by", "A1", typed="Qarvonia\n")


def test_a_copy_that_is_let_out_while_the_trace_reads_is_found_and_recalled(
    run: Run, tmp_path: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def just_now() -> str:
        with Store(url(tmp_path)) as store:
            append(store, list(entries(2, 2 * RECORDS)))
        return key("victim-support-gm", RECORDS)

    file = tmp_path / "trace.json"
    topics: Topics = {"idva-service": lambda: key("idva-service", 1), "victim-support-gm": just_now}
    done = traced(run, file, monkeypatch, topics)
    assert done.exit_code == 0, (done.output, done.exception)
    assert {copy.record for copy in read(file).copies} == {record(1), record(RECORDS)}
    assert "recalled 4 copies" in run("recall", str(file), "--by", "A1").output


def test_a_log_that_is_behind_is_waited_for_and_then_said(run: Run, file: Path, tmp_path: Path, broker: Broker) -> None:
    broker.late = 1
    done = run("trace", str(tmp_path / "other.json"), "--by", "A1", "--no-term", "--record", record(1))
    assert "1 offsets behind its topic after 30 s" in str(done.exception)
    assert not (tmp_path / "other.json").exists()
    assert "1 offsets behind" in str(run("due", "--by", "A1").exception)
    assert broker.sent == []
    done = run("recall", str(file), "--by", "A1")
    assert "recalled 14 copies" in done.output
    assert isinstance(done.exception, UnreachableError)
    assert "run it again" in str(done.exception)


def test_a_copy_that_no_entry_let_out_is_recalled_by_its_place(
    run: Run, tmp_path: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, strange = tmp_path / "trace.json", "5" * 32
    done = traced(run, file, monkeypatch, {"idva-service": lambda: strange, "housing-gm": lambda: "of no form"})
    assert "2 copies have no entry in the ledger" in done.output
    assert "1 of them have a key that no entry can name" in done.output
    assert "recalled 1 copies" in run("recall", str(file), "--by", "A1").output
    assert broker.sent == ["partner.idva-service", "partner.idva-service", TOPIC]
    with Store(url(tmp_path)) as store, store.connection() as connection:
        (entry,) = [found.entry for found in search(connection, Query(service="recall"))]
    assert entry is not None
    assert (entry["record"], entry["source"]["topic"], entry["decisions"][0]["key"]) == (
        None, "partner.idva-service", strange,
    )  # fmt: skip
    assert "recalled 0 copies" in run("recall", str(file), "--by", "A1").output
    assert "not yet: housing-gm" in run("receipt", str(file), "--by", "A1", "--partner", "idva-service").output
    rows = [",".join(map(str, row)) for row in leak_pack._recipients(read(file))]
    at = read(file).recalled[f"idva-service/{strange}"]
    assert rows == ["housing-gm,1,,,,", f"idva-service,1,,,{at},{read(file).receipts['idva-service']}"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--aware", "yesterday"), "`yesterday` is no time"),
        (("--aware", "0001-01-01T00:00+05:00"), "is no time"),
        (("--aware", "9999-12-31"), "is no time"),
        (("--record", "zz"), "`zz` is no pseudonym of a record"),
        (("--record", "abc" * 7), "is no pseudonym of a record"),
        ((), "cannot be written: No such file or directory"),
    ],
)
def test_what_a_trace_cannot_use_is_said_before_the_term_is_asked_for(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], says: str
) -> None:
    monkeypatch.setattr(leak.typer, "prompt", lambda *_, **__: pytest.fail("asked"))
    folder = tmp_path if arguments else tmp_path / "none"
    done = run("trace", str(folder / "trace.json"), "--by", "A1", *arguments)
    assert isinstance(done.exception, ConfigError)
    assert says in str(done.exception)


def test_a_pack_that_failed_is_not_in_the_way_of_the_next(
    run: Run, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    public = with_newer_key(tmp_path / "keys", monkeypatch)

    def full(self: Path, *_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as changed:
        changed.setattr(Store, "checkpoints", lambda _: [])
        assert "the log has no checkpoint yet" in str(run("pack", str(file), str(tmp_path / "pack")).exception)
    with monkeypatch.context() as changed:
        changed.setattr(Path, "write_text", full)
        assert "No space left on device" in str(run("pack", str(file), str(tmp_path / "pack")).exception)
    done = run("pack", str(file), str(tmp_path / "pack"))
    assert done.exit_code == 0, (done.output, done.exception)
    assert independent.verify(tmp_path / "pack" / "ledger", public) == 2 * (RECORDS - 1)


def test_a_pack_is_never_made_with_a_key_that_does_not_verify_it(
    run: Run, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys.init_dev(tmp_path / "keys", [])
    monkeypatch.setenv("SR_KEYS_DIR", str(tmp_path / "keys"))
    assert isinstance(run("pack", str(file), str(tmp_path / "pack")).exception, RefusedError)
    assert not (tmp_path / "pack").exists()


@pytest.mark.parametrize(
    ("field", "other"),
    [("aware", "yesterday"), ("aware", "9999-12-31T00:00:00Z"), ("aware", ""), ("record", "x"), ("record", "ab")],
)
def test_a_trace_that_somebody_edited_is_none(run: Run, file: Path, broker: Broker, field: str, other: str) -> None:
    broker.sent.clear()
    held = read(file).aware if field == "aware" else record(1)
    file.write_bytes(file.read_bytes().replace(f'"{held}"'.encode(), f'"{other}"'.encode()))
    for command in (("recall", str(file), "--by", "A1"), ("pack", str(file), str(file.with_name("pack")))):
        said = run(*command).exception
        assert isinstance(said, ConfigError)
        assert f"`{file}` is no trace" in str(said)
    assert broker.sent == []


def test_a_case_is_one_that_evaluate_reads(run: Run, file: Path, tmp_path: Path) -> None:
    out = tmp_path / "misses.jsonl"
    wrong = run("case", str(file), str(out), "--type", "Country", typed="from [[Qarvonia]]\n").exception
    assert isinstance(wrong, ConfigError)
    assert "`Country` is no class of the annotation: NATIONALITY, COUNTRY_OF_ORIGIN" in str(wrong)
    away = run("case", str(file), str(tmp_path / "none" / "m"), "--type", "PROXY", typed="from [[Qarvonia]]\n")
    assert isinstance(away.exception, ConfigError)
    assert not out.exists()
    for _ in range(2):
        assert run("case", str(file), str(out), "--type", "PROXY", typed="from [[Qarvonia]]\n").exit_code == 0
    assert [(text.text, text.spans[0].entity) for text in gold.read(out)] == 2 * [("from Qarvonia", "PROXY")]
