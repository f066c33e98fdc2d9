"""What goes wrong is said in one message with its exit code: no traceback, and of the unexpected no word."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from typer.testing import CliRunner

from services.cli import app as command
from services.kernel.errors import ConfigError, Exit
from services.kernel.kafka.embedded_jars import class_path
from services.kernel.keys import init_dev

Ended = Callable[..., tuple[int, str]]
CONSENT = (
    "--agency gmp --person P-1 --recipient idva-service --purpose independent_advocacy --by a --taken-by advocate "
    "--wording v1 --interpreter not_needed --in-private"
)


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Iterator[Ended]:
    """Run `safe-reporting` with these arguments in `tmp_path`: its exit code, and what it says on standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SR_KAFKA_BOOTSTRAP", "127.0.0.1:1")
    monkeypatch.setenv("SR_KAFKA_SECURITY_PROTOCOL", "PLAINTEXT")

    def run(*arguments: str, **environment: str) -> tuple[int, str]:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["safe-reporting", *arguments])
        with pytest.raises(SystemExit) as end:
            command.main()
        assert isinstance(end.value.code, int)
        return end.value.code, capsys.readouterr().err

    logs, handlers = structlog.get_config(), logging.getLogger().handlers[:]
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    yield run
    structlog.configure(**logs)  # a service sets the log of its process, here to a stream that is closed now
    logging.getLogger().handlers[:] = handlers


@pytest.mark.parametrize("arguments", ["audit subject --agency gmp", "leak trace trace.json --by a"])
def test_an_input_that_ends_before_the_answer_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(command.app, arguments.split(), input="")
    assert isinstance(done.exception, ConfigError)
    assert "not given" in str(done.exception)


def raising(error: Exception) -> Callable[[], None]:
    def raise_it() -> None:
        raise error

    return raise_it


def test_of_the_unexpected_only_type_and_place_are_told(ended: Ended, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "app", raising(ValueError("Qzv is Polish")))
    code, said = ended()
    assert code == Exit.BUG
    assert "ValueError at test_errors.py:" in said
    assert "Qzv" not in said


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (FileNotFoundError(2, "No such file or directory", "here"), "error: `here`: No such file or directory\n"),
        (OSError(28, "No space left on device"), "error: No space left on device\n"),
        (UnicodeDecodeError("utf-8", b"Qzv\xff", 3, 4, "invalid"), "error: a file or the input is not text in UTF-8\n"),
        (
            UnicodeEncodeError("utf-8", "Qzv\udcff", 3, 4, "surrogates not allowed"),
            "error: an argument is not text in UTF-8, or the output takes less than that\n",
        ),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line(
    ended: Ended, monkeypatch: pytest.MonkeyPatch, error: Exception, says: str
) -> None:
    monkeypatch.setattr(command, "app", raising(error))
    assert ended() == (Exit.USAGE, says)


def test_a_service_says_the_unexpected_in_its_log(ended: Ended, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.kernel.kafka.service.explain", lambda _: None)
    monkeypatch.setattr("services.ledger.main.start", lambda _: raising(ValueError("Qzv is Polish"))())
    code, said = ended("ledger")
    assert code == Exit.BUG
    assert '"event": "unhandled_exception"' in said
    assert "Qzv" not in said


@pytest.mark.parametrize(
    "settings",
    [
        {"SR_KAFKA_SECURITY_PROTOCOL": "SASL-SSL"},
        {"SR_KAFKA_SECURITY_PROTOCOL": "SSL", "SR_KAFKA_CA_FILE": "broken"},
        {
            "SR_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "SR_KAFKA_SASL_MECHANISM": "SCRAM-256",
            "SR_KAFKA_USERNAME": "u", "SR_KAFKA_PASSWORD": "Qzv",
        },
    ],
    ids=["protocol", "authority", "mechanism"],
)  # fmt: skip
@pytest.mark.parametrize("arguments", [("quarantine", "list"), ("topology", "plan")])
def test_settings_that_the_client_does_not_take_are_settings(
    ended: Ended, tmp_path: Path, settings: dict[str, str], arguments: tuple[str, ...]
) -> None:
    (tmp_path / "broken").write_text("no certificate")
    code, said = ended(*arguments, **settings)
    assert code == Exit.USAGE
    assert "settings" in said
    assert "Qzv" not in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("duty release P --file f --by a --key k --reason r --reference R-1 --identity gone", "`gone`: No such file"),
        ("duty release P --file f --by a --key k --reason r --reference R-1 --identity binary", "no age identity"),
        ("consent release P --file f --by a --key k --reference R-1 --identity gone", "`gone`: No such file"),
        ("quarantine open 0/0 --identity binary --by a --why audit --second b --second-key k", "no age identity"),
        ("redact --feed marac --agency a.b", "`a.b` is no agency"),
        ("bench drift --sizes 30;100", "`30;100`: write numbers"),
        ("broker secrets secrets --node ../up", "`../up` is no node"),
        ("broker secrets secrets --host brokér --host [::1]", "`brokér` is no host"),
        ("audit totals 9999-12-31 --identity binary --by a", "9999-12-31 is not over"),
        ("audit verify --log-key binary", "key `binary` is not 64 hex digits"),
        ("leak recall binary --by a", "`binary` is no trace"),
        ("keys destroy 2026-12 --vault . --by a --second b --second-key k --recipient gone", "`gone`: No such file"),
    ],
)
def test_mistakes_are_one_message(ended: Ended, tmp_path: Path, arguments: str, says: str) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "seal-identity.2026-12").write_text("x")
    code, said = ended(*arguments.split())
    assert code == Exit.USAGE
    assert says in said


@pytest.mark.parametrize("days", ["-1", "0", "99999999999999999999999"])
def test_days_that_no_clock_has_are_a_usage_error(ended: Ended, days: str) -> None:
    for line in (f"audit expire --older-than {days} --by a", f"consent record {CONSENT} --days {days}"):
        code, said = ended(*line.split(), SR_LEDGER_DATABASE="sqlite:///none.db")
        assert code == Exit.USAGE
        assert "fault of this program" not in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("policy sign deep --by a --key k --reason r --reference R-1", "manifest"),
        ("policy publish deep", "manifest"),
        ("policy explain victim-support-gm --entry deep", "is not one ledger entry"),
        ("replay publish deep --by a --key k --reason r", "`deep` is no list of a replay"),
        ("leak pack deep out", "`deep` is no trace"),
        ("evaluate deep", "deep line 1"),
        ("audit verify folder", "`entries.jsonl` line 1 is no line of an export"),
    ],
)
def test_a_file_nested_too_deeply_is_no_fault_of_the_program(
    ended: Ended, tmp_path: Path, arguments: str, says: str
) -> None:
    nested = '{"x": ' + "[" * 200_000 + "]" * 200_000 + "}"
    (tmp_path / "deep").write_text(nested)
    init_dev(tmp_path / "keys", [])
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "entries.jsonl").write_text(nested)
    (tmp_path / "folder" / "checkpoint").write_text(f"o\n1\n{'A' * 43}=\n\n")
    code, said = ended(*arguments.split(), SR_KEYS_DIR="keys")
    assert code == Exit.USAGE
    assert says in said


@pytest.mark.parametrize(
    ("database", "says"),
    [
        ("nonsense", "is no database URL"),
        ("postgresql+pg8000://u@127.0.0.1:port/x", "is no database URL"),
        ("postgresql+pg8000://u@127.0.0.1:1/x?sslmode=require", "its options are `sslmode`"),
    ],
)
def test_a_database_url_that_does_not_do_is_a_setting(ended: Ended, database: str, says: str) -> None:
    code, said = ended("audit", "search", SR_LEDGER_DATABASE=database)
    assert code == Exit.USAGE
    assert "`SR_LEDGER_DATABASE`" in said
    assert says in said


def test_of_a_database_that_is_none_the_broker_is_not_the_cause(
    ended: Ended, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "explain", lambda *_, **__: "the broker refuses this password")
    (tmp_path / "text").write_text("no database " * 100)
    code, said = ended("audit", "search", SR_LEDGER_DATABASE="sqlite:///text")
    assert code == Exit.UNREACHABLE
    assert said == "error: the ledger's database: file is not a database\n"


def test_a_password_file_that_is_no_text_is_named(ended: Ended, tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    code, said = ended("quarantine", "list", **{"SR_KAFKA_PASSWORD_FILE": "binary"})
    assert code == Exit.USAGE
    assert "`SR_KAFKA_PASSWORD_FILE`: it is not text in UTF-8" in said


def test_the_embedded_broker_says_that_it_has_no_home(ended: Ended, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", raising(RuntimeError("no home")))
    monkeypatch.setattr(command, "app", lambda: class_path(lambda _: None))
    code, said = ended()
    assert code == Exit.USAGE
    assert "set `XDG_CACHE_HOME`" in said


def test_two_profiles_are_not_compared_over_no_records(ended: Ended) -> None:
    code, said = ended("policy", "compare", "default", "npcc-2018", "--samples", "nowhere")
    assert code == Exit.USAGE
    assert "`nowhere` holds none" in said
