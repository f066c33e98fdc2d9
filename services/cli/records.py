"""`safe-reporting redact` and `detect`: the redactor on standard input, without Kafka."""

from __future__ import annotations

import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import msgspec
import orjson
import typer
from msgspec import Meta

from services.kernel import ledger
from services.kernel.errors import ConfigError
from services.kernel.jsonio import UNREADABLE
from services.kernel.keys import init_dev
from services.kernel.record import Batch, Inbound, Outcome
from services.kernel.schema import load_feeds
from services.kernel.sensitive import SensitiveBytes
from services.kernel.settings import Settings, load_settings
from services.kernel.vocabulary import OutcomeKind
from services.redactor.build import build_step


class Line(msgspec.Struct):
    """One line of `detect`: any id, and the text to look at."""

    id: str | Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
    text: str


def detect() -> None:
    """Read {"id","text"} lines from standard input; write {"id","spans"} in the same order."""
    from services.redactor.text.engine import TextEngine

    engine = TextEngine.build()
    for number, raw in enumerate(sys.stdin.buffer, 1):
        if not raw.strip():
            continue
        try:
            line = msgspec.json.decode(raw, type=Line)
        except UNREADABLE as error:
            raise ConfigError("detect", [f"line {number} is not a JSON object with `id` and `text`"]) from error
        spans = [
            {
                "start": span.start,
                "end": span.end,
                "entity_type": span.entity.value,
                "score": span.score,
                "recognizer": span.rule,
            }
            for span in engine.detect(line.text)
        ]
        print(orjson.dumps({"id": line.id, "spans": spans}).decode())


def redact(
    feed: Annotated[str, typer.Option("--feed", help="Feed of the records, such as `police-crime`.")],
    agency: Annotated[str, typer.Option("--agency", help="Agency that the records came from.")] = "local",
    report: Annotated[Path | None, typer.Option("--report", help="Write the ledger entries here.")] = None,
) -> None:
    """Read records from standard input, one JSON object a line; write redacted records in order.

    A record that fails closed is written as {"quarantined": coarse reason}. Keys come from SR_KEYS_DIR,
    or are made for this run alone.
    """
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,62}", agency):
        raise ConfigError("redact", [f"`{agency}` is no agency: small letters, digits and `-`"])
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings()
        if "keys_dir" not in settings.model_fields_set:
            init_dev(Path(folder), [])
            settings = settings.model_copy(update={"keys_dir": Path(folder)})
        _redact_lines(settings, agency, feed, report)


def _redact_lines(settings: Settings, agency: str, feed: str, report: Path | None) -> None:
    topic = f"agency.{agency}.{feed}"
    schema = load_feeds(settings.schemas_dir).named(feed).schema_id
    step = build_step(settings)
    entries = report.open("wb") if report else None
    lines = (line.rstrip(b"\r\n") for line in sys.stdin.buffer)
    for offset, line in enumerate(line for line in lines if line):
        now = int(time.time() * 1000)
        record = Inbound(topic, 0, offset, now, None, SensitiveBytes(line), _headers(agency, feed, schema, offset, now))
        outcome = step(record, Batch(now=now))
        sys.stdout.buffer.write(_written(outcome) + b"\n")
        if entries is not None:
            entry = ledger.entry(record, outcome, service="redactor", slot=0, previous=offset - 1, now=now)
            entries.write((entry.value or b"") + b"\n")
    sys.stdout.buffer.flush()
    if entries is not None:
        entries.close()


def _written(outcome: Outcome) -> bytes:
    redacted = next((m.value for m in outcome.messages if m.topic == "redacted"), None)
    if outcome.kind is OutcomeKind.REDACTED and redacted is not None:
        return redacted
    return orjson.dumps({outcome.kind.value: outcome.reason.coarse if outcome.reason else None})


def _headers(
    agency: str, feed: str, schema: str, offset: int, now: int
) -> tuple[tuple[str, SensitiveBytes | None], ...]:
    headers = {
        "ce_specversion": "1.0",
        "ce_id": f"line-{offset}",
        "ce_source": f"urn:safe-reporting:agency:{agency}",
        "ce_type": f"safe-reporting.{feed}",
        "ce_time": ledger.rfc3339(now),
        "ce_dataschema": schema,
        "content-type": "application/json",
    }
    return tuple((name, SensitiveBytes(value.encode())) for name, value in headers.items())
