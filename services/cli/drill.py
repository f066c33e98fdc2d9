"""`safe-reporting leak drill`: a miss planted among many records is traced, recalled and proved on a real broker."""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from services.cli import leak
from services.cli.leak_trace import Trace, finder, trace
from services.cli.pipeline import Pipeline
from services.cli.shown import show
from services.kernel import keys
from services.kernel.errors import Exit, UnreachableError
from services.kernel.kafka.embedded import EmbeddedKafka
from services.kernel.kafka.topology import apply, load_topology
from services.kernel.ledger import rfc3339
from services.kernel.paths import ROOT
from services.kernel.record import Message
from services.kernel.samples import Numberer, Sample, load_samples
from services.kernel.settings import load_settings
from services.ledger import export
from services.ledger.entries import Reader
from services.ledger.store import Store

#: A made-up country that no list knows, as people would write it.
SPELLINGS = ("Qarvonia", "QARVONIA", "qarvonia", "Qаrvоnia", "Qarvónia", "Q-arvonia")
TERM = SPELLINGS[0]
#: Where it is planted, by feed: a text that partners get.
_TEXTS = {"police-crime": ("incident", "narrative"), "marac": ("referral", "reasons")}
_EVERY = 50


def drill(records: int, folder: Path | None) -> None:
    """Run the drill; exit 1 where anything was missed or did not come back."""
    console = Console(stderr=True, highlight=False)
    with EmbeddedKafka(on_progress=console.print) as broker:
        apply(broker.client_config("admin"), load_topology(), profile="embedded")
        with Pipeline(broker, redactors=2, routers=1, ledgers=1) as pipeline:
            console.print(f"{records} records go through the service; one in {_EVERY} holds a term unknown to it")
            pipeline.send(list(planted(records)))
            pipeline.wait(records, seconds=records / 50 + 120)
            done = run(pipeline, folder or pipeline.folder / "drill", console)
    table = Table("figure", "value", title=f"a miss among {records:,} records")
    for name, value in done.items():
        table.add_row(name, str(value))
    show(table)
    if not done["whole"]:
        raise typer.Exit(Exit.FOUND)


def planted(count: int) -> Iterator[Message]:
    """Samples, each with an id of its own; every fiftieth holds the term in one of its spellings."""
    samples = load_samples(ROOT / "samples")
    numbered = Numberer(ROOT / "schemas")
    carriers = [sample for sample in samples if sample.topic.rsplit(".", 1)[1] in _TEXTS]
    for number in range(count):
        if number % _EVERY:
            yield numbered(samples[number % len(samples)], number)
        else:
            which = number // _EVERY
            yield numbered(_with_term(carriers[which % len(carriers)], SPELLINGS[which % len(SPELLINGS)]), number)


def _with_term(sample: Sample, term: str) -> Sample:
    value: Any = copy.deepcopy(sample.value)
    outer, name = _TEXTS[sample.topic.rsplit(".", 1)[1]]
    value[outer][name] = f"The caller rang twice. A parcel was left by the gate on {term} paper. It was dark."
    return Sample(**{field: getattr(sample, field) for field in Sample.__struct_fields__} | {"value": value})


def run(pipeline: Pipeline, folder: Path, console: Console) -> dict[str, object]:
    """Trace, recall, take receipts, make the pack and verify it; figures, and whether all of it is whole.

    The oracle is a plain search for the spellings in everything that the partners' topics hold.
    """
    caught_up(pipeline)
    partners = load_topology().partners
    oracle = {
        (record.topic.removeprefix("partner."), record.partition, record.offset)
        for partner in partners
        for record in pipeline.read(f"partner.{partner}")
        if record.value is not None and any(s in record.value.reveal().decode() for s in SPELLINGS)
    }
    folder.mkdir(parents=True, exist_ok=True)
    file, pack = folder / "trace.json", folder / "pack"
    config = pipeline.broker.client_config(leak.NAME)
    started = time.monotonic()
    with Store(pipeline.ledger_database) as store:
        found = trace(
            config, store, partners, name=leak.NAME, holds=finder(TERM), records=frozenset(), by="drill",
            aware=rfc3339(int(time.time() * 1000)), progress=lambda _: None,
        )  # fmt: skip
    traced = time.monotonic()
    leak._write(file, found)
    console.print(f"traced {len(found.copies)} copies; recalling {len(found.sent)} deliveries")
    with settings_of(pipeline):
        leak.recall_(file, "drill")
        for partner in found.recipients:
            leak.receipt(file, "drill", partner)
        recalled = time.monotonic()
        caught_up(pipeline)
        leak.pack(file, pack)
    key = keys.public_key(keys.load(pipeline.keys_dir, ["ledger-pub"])["ledger-pub"])
    report = export.verify(pack / "ledger", key, Reader(ROOT / "schemas"))
    seen = {(one.partner, one.partition, one.offset) for one in found.copies}
    gone = _tombstoned(pipeline, found)
    return {
        "copies by the oracle": len(oracle),
        "copies traced": len(seen),
        "missed": len(oracle - seen),
        "too many": len(seen - oracle),
        "deliveries of these records": len(found.sent),
        "deliveries recalled": gone,
        "seconds to trace": f"{traced - started:.1f}",
        "seconds to recall": f"{recalled - traced:.1f}",
        "entries in the evidence pack": report.leaves,
        "pack verifies": not report.findings,
        "whole": bool(oracle) and seen == oracle and gone == len(found.sent) and not report.findings,
    }


def _tombstoned(pipeline: Pipeline, found: Trace) -> int:
    """How many deliveries have a tombstone as the last word of their key."""
    last: dict[tuple[str, str], bool] = {}
    for partner in found.recipients:
        for record in pipeline.read(f"partner.{partner}"):
            if record.key is not None:
                last[partner, record.key.reveal().decode()] = record.value is None
    return sum(last[one.partner, one.key] for one in found.sent)


def caught_up(pipeline: Pipeline) -> None:
    """Return when the log holds and has signed all that the topic holds.

    Raises:
        UnreachableError: not within a minute.
    """
    wanted, ends = len(pipeline.entries()), time.monotonic() + 60
    with Store(pipeline.ledger_database) as store:
        while (state := store.state()).size < wanted or state.signed < state.size or store.unpublished():
            if time.monotonic() > ends:
                raise UnreachableError("the ledger service does not catch up")
            time.sleep(0.2)


@contextmanager
def settings_of(pipeline: Pipeline) -> Iterator[None]:
    """The environment of the command as `leak` runs it."""
    wanted = pipeline.broker.environment(leak.NAME) | {
        "SR_KEYS_DIR": str(pipeline.keys_dir), "SR_LEDGER_DATABASE": pipeline.ledger_database,
    }  # fmt: skip
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        load_settings()
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
