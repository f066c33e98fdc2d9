"""`safe-reporting bench sizes`: records a second of one redactor's step by the size of the record."""

from __future__ import annotations

import copy
import json
import tempfile
import time
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from services.kernel import keys
from services.kernel.errors import ConfigError
from services.kernel.kafka.topology import load_topology
from services.kernel.paths import ROOT
from services.kernel.record import Batch, Inbound, delivered
from services.kernel.samples import Sample, load_samples
from services.kernel.settings import Settings
from services.kernel.vocabulary import OutcomeKind
from services.redactor.build import build_step

#: Characters of the longest text of a record.
TEXTS = (0, 500, 2_000, 10_000, 50_000, 200_000)
_NOW = 1_790_000_000_000


def sizes(
    seconds: Annotated[float, typer.Option(min=0.5, help="Processor seconds for each size.")] = 5.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Measure the redactor's step, without a broker, on crime reports whose statement is made longer and longer."""
    with tempfile.TemporaryDirectory(prefix="safe-reporting-bench-") as folder:
        keys.init_dev(Path(folder), load_topology().partners)
        step = build_step(Settings(keys_dir=Path(folder)))
        samples = load_samples(ROOT / "samples")
        made = []
        for length in TEXTS:
            record = _record(samples, length)
            size = len(record.value.reveal()) if record.value else 0
            outcome = step(record, Batch(now=_NOW))
            if outcome.kind is not OutcomeKind.REDACTED:
                raise ConfigError("bench", [f"a record of {size:,} bytes was {outcome.kind}"])
            count, started, spent = 0, time.process_time(), 0.0
            while spent < seconds:
                step(record, Batch(now=_NOW))
                count, spent = count + 1, time.process_time() - started
            made.append({"text_characters": length, "bytes_a_record": size, "records_a_second": count / spent})
    if as_json:
        print(json.dumps(made, indent=2))
        return
    table = Table("text, characters", "record, bytes", "records/s", "MB/s", title="The redactor's step on one core")
    for one in made:
        rate, long = one["records_a_second"], one["bytes_a_record"]
        table.add_row(f"{one['text_characters']:,}", f"{long:,}", f"{rate:,.1f}", f"{rate * long / 1e6:.2f}")
    Console().print(table)


def _record(samples: list[Sample], length: int) -> Inbound:
    """A crime report with a text of so many characters in the place of its longest, out of the samples' texts."""
    sample = next(sample for sample in samples if sample.topic.endswith(".police-crime"))
    value = copy.deepcopy(sample.value)
    texts = [text for one in samples for *_, text in _texts(one.value) if len(text) > 100]
    holder, name, _ = max(_texts(value), key=lambda found: len(found[2]))
    made, size = [], 0
    for text in cycle(texts):
        if size >= length:
            break
        made.append(text)
        size += len(text) + 1
    holder[name] = " ".join(made)[:length]
    return delivered(sample.message(value), offset=0, now=_NOW)


def _texts(value: Any) -> Iterator[tuple[Any, Any, str]]:
    """Every string of a JSON value, with what holds it and its name there."""
    for name, item in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(item, str):
            yield value, name, item
        elif isinstance(item, dict | list):
            yield from _texts(item)
