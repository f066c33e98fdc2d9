"""`quarantine list` and `open` on a real broker: metadata only, and no opening without an entry."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from services.cli import quarantine as command_module
from services.kernel import keys, quarantine
from services.kernel.errors import RefusedError, UnreachableError
from services.kernel.kafka.embedded import EmbeddedKafka
from services.kernel.kafka.reader import read_all, send
from services.kernel.record import Inbound
from services.kernel.sealing import Sealer
from services.kernel.sensitive import SensitiveBytes
from services.kernel.vocabulary import Reason

pytestmark = pytest.mark.kafka
VALUE = b"\xffnot json, Qzvsecret"


@pytest.fixture(scope="module")
def held(broker: EmbeddedKafka, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("keys")
    keys.init_dev(folder, [])
    sealer = Sealer(keys.load(folder, ["seal-pub"])["seal-pub"].material.decode(), key_id="dev")
    record = Inbound("agency.gmp.marac", 2, 77, 0, None, SensitiveBytes(VALUE), ())
    send(broker.client_config("admin"), [(quarantine.message(record, Reason.NOT_UTF8, sealer=sealer), 3)])
    return folder / "compliance" / "seal-identity.dev"


def command(broker: EmbeddedKafka, principal: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SR_")}
    return subprocess.run(
        [sys.executable, "-m", "services.cli.app", "quarantine", *arguments],
        env=clean | broker.environment(principal),
        capture_output=True,
        timeout=60,
    )


def position(broker: EmbeddedKafka) -> str:
    done = command(broker, "compliance", "list", "--json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return str(next(row["position"] for row in rows if row["source"] == "agency.gmp.marac/2/77"))


def consultations(broker: EmbeddedKafka) -> list[dict[str, str]]:
    records = read_all(broker.client_config("admin"), "ledger", name="admin")
    entries = [json.loads(r.value.reveal()) for r in records if r.value]
    return [entry for entry in entries if entry["operation"] == "consultation"]


def test_the_list_shows_metadata_and_no_content(broker: EmbeddedKafka, held: Path) -> None:
    done = command(broker, "compliance", "list")
    assert done.returncode == 0
    assert b"agency.gmp.marac/2/77" in done.stdout
    assert b"format" in done.stdout
    assert b"not_utf8" not in done.stdout
    assert b"Qzvsecret" not in done.stdout


def test_opening_writes_who_and_why_first(broker: EmbeddedKafka, held: Path) -> None:
    before = len(consultations(broker))
    done = command(
        broker, "compliance", "open", position(broker), "--identity", str(held), "--by", "A1", "--why", "audit"
    )
    assert done.returncode == 0
    assert done.stdout.rstrip(b"\n") == VALUE
    assert b"not_utf8" in done.stderr
    entries = consultations(broker)
    assert len(entries) == before + 1
    assert (entries[-1]["by"], entries[-1]["why"], entries[-1]["outcome"]) == ("A1", "audit", "consulted")


def test_without_the_entry_nothing_is_opened(
    broker: EmbeddedKafka, held: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    def refused(*_: object) -> None:
        raise UnreachableError("the ledger does not answer")

    monkeypatch.setattr(command_module, "send", refused)
    for name, value in broker.environment("compliance").items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RefusedError, match="not opened, because the ledger did not take the entry"):
        command_module.open_(position(broker), identity=held, by="A1", why=command_module.Why.AUDIT)
    assert VALUE not in capfdbinary.readouterr().out


def test_a_service_may_not_read_quarantine(broker: EmbeddedKafka) -> None:
    done = command(broker, "router", "list")
    assert done.returncode == 4
    assert b"refuses this principal" in done.stderr


def test_another_identity_opens_nothing(broker: EmbeddedKafka, held: Path, tmp_path: Path) -> None:
    keys.init_dev(tmp_path / "other", [])
    other = tmp_path / "other" / "compliance" / "seal-identity.dev"
    done = command(
        broker, "compliance", "open", position(broker), "--identity", str(other), "--by", "A1", "--why", "audit"
    )
    assert done.returncode == 4
    assert done.stdout == b""
    assert b"does not open it" in done.stderr
    assert b"Traceback" not in done.stderr
