"""The command as its users call it: contracts of `redact`, `detect`, `schema`, and the document of all of it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import jsonschema_rs
import pytest

from services.cli import audit, gate, leak, quarantine, replay, safety, sealed
from services.cli.app import app
from services.cli.commands import document
from services.kernel.errors import Exit
from services.kernel.kafka.topology import load_topology
from services.kernel.paths import ROOT
from services.kernel.samples import load_samples
from services.kernel.settings import Settings

OPERATORS = (ROOT / "docs" / "operators.md").read_text()


def run(*arguments: str, stdin: bytes = b"", **environment: str) -> subprocess.CompletedProcess[bytes]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SR_")}
    return subprocess.run(
        [sys.executable, "-m", "services.cli.app", *arguments],
        input=stdin,
        env=clean | environment,
        capture_output=True,
        timeout=120,
    )


def test_the_document_equals_the_command_tree() -> None:
    assert (ROOT / "docs" / "commands.md").read_text() == document(app)


def test_the_table_of_accounts_is_that_of_the_commands() -> None:
    said = dict[str, str]()
    for commands, account in re.findall(r"^\| (`.+`) \| `([a-z-]+)` \|$", OPERATORS, re.M):
        said |= dict.fromkeys(re.findall(r"`([^`]+)`", commands), account)
    known = re.findall(r"^## `safe-reporting (.+)`$", document(app), re.M)
    assert all(any(f"{path} ".startswith(f"{command} ") for path in known) for command in said)
    persons = {name for name in load_topology().principal_names if name.startswith("cli-")}
    assert set(said.values()) == persons | {"admin", "compliance"}
    runs = {"audit": audit, "gate": gate, "leak": leak, "quarantine": quarantine, "replay": replay, "safety": safety}
    assert {command: module.NAME for command, module in runs.items()}.items() <= said.items()
    assert said["consent release"] == said["duty"] == sealed.NAME


def test_every_setting_is_in_the_table() -> None:
    told = re.findall(r"`(SR_[A-Z_]+)`", OPERATORS)
    assert {f"SR_{name.upper()}" for name in Settings.model_fields} <= set(told)


def test_detect_answers_in_order_with_offsets_of_the_input() -> None:
    texts = ["IP is Polish.", "The door was polished.", "", "Wit came from Asmara \U0001f6a4 by small boat."]
    lines = b"\n".join(json.dumps({"id": n, "text": text}).encode() for n, text in enumerate(texts))
    done = run("detect", stdin=lines)
    assert done.returncode == Exit.DONE
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["id"] for answer in answers] == [0, 1, 2, 3]
    assert answers[1]["spans"] == answers[2]["spans"] == []
    first = answers[0]["spans"][0]
    assert texts[0][first["start"] : first["end"]] == "Polish"
    assert first.keys() == {"start", "end", "entity_type", "score", "recognizer"}
    found = " ".join(texts[3][span["start"] : span["end"]] for span in answers[3]["spans"])
    assert "Asmara" in found
    assert "small boat" in found


@pytest.mark.parametrize(
    "wrong",
    [
        b'{"secret": "Qzv"}',
        b'{"id": 18446744073709551616, "text": "Qzv"}',
        b'{"id": 1, "text": "Qzv", "x": ' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    ],
    ids=["another object", "an id of 65 bits", "deep"],
)
def test_detect_says_which_line_is_wrong_and_not_what_stands_there(wrong: bytes) -> None:
    done = run("detect", stdin=b'{"id": 1, "text": "calm"}\n' + wrong + b"\n")
    assert done.returncode == Exit.USAGE
    assert b"line 2" in done.stderr
    assert b"Qzv" not in done.stderr


@pytest.mark.parametrize(
    "command",
    [
        "detect",
        "policy explain victim-support-gm --entry FILE",
        "policy publish FILE",
        "leak pack FILE OUT",
        "replay publish FILE --by a --key KEY --reason agreed",
    ],
)
def test_a_file_that_is_not_utf8_is_refused_in_one_line(tmp_path: Path, command: str) -> None:
    broken = b'{"id": "a", "text": "\xff", "time": "\xff", "sha256": "\xff", "records": ["\xff"]}'
    (tmp_path / "file").write_bytes(broken)
    names = {"FILE": "file", "OUT": "out", "KEY": "key"}
    arguments = [str(tmp_path / names[word]) if word in names else word for word in command.split()]
    done = run(*arguments, stdin=broken, SR_KAFKA_BOOTSTRAP="127.0.0.1:1", SR_KAFKA_SECURITY_PROTOCOL="PLAINTEXT")
    assert done.returncode in (Exit.USAGE, Exit.REFUSED)
    assert len(done.stderr.splitlines()) <= 2, done.stderr
    assert b"file" in done.stderr or b"line 1" in done.stderr


def test_redact_writes_one_line_for_each_and_the_ledger_entries(tmp_path: Path) -> None:
    samples = [s for s in load_samples(ROOT / "samples") if s.topic.endswith("marac")]
    lines = [json.dumps(sample.value).encode() for sample in samples]
    report = tmp_path / "entries.jsonl"
    done = run("redact", "--feed", "marac", "--report", str(report), stdin=b"\n".join([*lines, b"{not json"]) + b"\n")
    assert done.returncode == Exit.DONE, done.stderr
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(records) == len(samples) + 1
    assert records[-1] == {"quarantined": "format"}
    assert b"nationality" not in done.stdout
    schema = jsonschema_rs.validator_for(json.loads((ROOT / "schemas/messages/ledger-entry.json").read_text()))
    entries = [json.loads(line) for line in report.read_bytes().splitlines()]
    assert [entry["source"]["offset"] for entry in entries] == list(range(len(samples) + 1))
    assert all(schema.is_valid(entry) for entry in entries)


def test_redact_twice_gives_the_same_texts() -> None:
    sample = next(s for s in load_samples(ROOT / "samples") if s.topic.endswith("council-asb"))
    once = run("redact", "--feed", "council-asb", stdin=json.dumps(sample.value).encode())
    twice = run("redact", "--feed", "council-asb", stdin=once.stdout)
    assert json.loads(twice.stdout)["case"]["summary"] == json.loads(once.stdout)["case"]["summary"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["redact", "--feed", "nothing"], "there are council-asb"),
        (["schema", "plan", "nothing"], "there are council-asb"),
        (["quarantine", "list"], "`SR_KAFKA_BOOTSTRAP` is not set"),
        (["keys", "init", "somewhere"], "say `--dev`"),
        (["leak", "due", "--by", "night job", "--every", "60"], "no spaces"),
    ],
)
def test_mistakes_are_said_with_what_to_do(arguments: list[str], says: str) -> None:
    done = run(*arguments)
    assert done.returncode == Exit.USAGE
    assert says in done.stderr.decode()
    assert b"Traceback" not in done.stderr


def test_schema_check_and_plan() -> None:
    assert run("schema", "check").stdout.count(b"ok urn:safe-reporting:") == 7
    rows = json.loads(run("schema", "plan", "police-crime", "--json").stdout)
    by_path = {row["path"]: row for row in rows}
    nationality = by_path["/persons/*/nationality"]
    assert (nationality["tag"], nationality["protected"], nationality["unprotected"]) == ("NATIONALITY", "drop", "keep")
