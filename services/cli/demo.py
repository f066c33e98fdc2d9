"""`safe-reporting demo`: the main job on a real Kafka, told to a reader who has never seen it."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import typer
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from services.cli.pipeline import Pipeline
from services.kernel import keys
from services.kernel.attestation import HEADER, Claims, verify
from services.kernel.errors import Exit
from services.kernel.kafka.embedded import EmbeddedKafka
from services.kernel.kafka.topology import apply, load_topology
from services.kernel.mask import TOKEN
from services.kernel.paths import ROOT
from services.kernel.record import Message
from services.kernel.samples import Sample, load_samples

#: Samples shown before and after, one for each lesson.
_SHOWN = 3


def demo() -> None:
    """Send made-up records of seven feeds through a real Kafka, and show what became of each.

    Exit 1 where the ledger misses an entry or has one twice.
    """
    console = Console(highlight=False, width=None if Console().is_terminal else 110)
    samples = load_samples(ROOT / "samples")
    broken = _broken(samples[0])
    sent = [sample.message() for sample in samples] + list(broken.values())
    with _steps(console) as say:
        say("starting Apache Kafka (KRaft, SCRAM accounts, deny by default)")
        with EmbeddedKafka(on_progress=say) as broker:
            say("making topics, permissions and first offsets")
            apply(broker.client_config("admin"), load_topology(), profile="embedded")
            say("starting one redactor and one router")
            with Pipeline(broker) as pipeline:
                pipeline.send(sent)
                say(f"{len(sent)} records sent to {len({m.topic for m in sent})} agency topics")
                pipeline.wait(len(sent), seconds=90.0)
                say("every record has its outcome; reading the topics back")
                if not _tell(console, pipeline, samples, broken):
                    raise typer.Exit(Exit.FOUND)


@contextmanager
def _steps(console: Console) -> Iterator[Any]:
    """A spinner with the step under way on a terminal; one line a step elsewhere."""
    if not console.is_terminal:
        started = time.monotonic()
        yield lambda text: console.print(f"[{time.monotonic() - started:5.1f} s] {text}", markup=False)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("starting", total=6)

        def say(text: str) -> None:
            progress.update(task, description=text, advance=1)

        yield say


def _broken(model: Sample) -> dict[str, Message]:
    """Records that must fail closed: each is sealed in quarantine, and nothing else is disturbed."""
    whole = model.message()
    other_version = tuple(
        (name, value.replace(b":1.0", b":9.0") if name == "ce_dataschema" else value) for name, value in whole.headers
    )
    return {
        "cut off in the middle of its JSON": Message(whole.topic, None, b'{"case": {"id": "C/1", ', whole.headers),
        "ten thousand lists inside each other": Message(
            whole.topic, None, b"[" * 10_000 + b"]" * 10_000, whole.headers
        ),
        "a schema version that nobody knows": Message(whole.topic, None, whole.value, other_version),
        "without the headers that say what it is": Message(whole.topic, None, whole.value, ()),
        "one and a half megabytes": Message(whole.topic, None, b'{"x": "' + b"x" * 1_500_000 + b'"}', whole.headers),
    }


def _tell(console: Console, pipeline: Pipeline, samples: list[Sample], broken: dict[str, Message]) -> bool:
    """Tell what became of the records; whether each has its entry."""
    entries = pipeline.entries()
    console.rule("1. Before and after")
    console.print(
        "What agencies sent, and what the redactor made of it. One neutral mask hides every protected\n"
        "class, British like any other, so that a mask does not say what it hides.\n"
    )
    _before_and_after(console, pipeline, samples)
    console.rule("2. What each partner got, and did not get")
    _partners(console, entries, pipeline)
    console.rule("3. What failed closed")
    _quarantine(console, entries, pipeline, broken)
    console.rule("4. The ledger, reconciled with the input")
    return _reconcile(console, entries, len(samples) + len(broken))


def _before_and_after(console: Console, pipeline: Pipeline, samples: list[Sample]) -> None:
    public = keys.load(pipeline.keys_dir, ["attest-pub"])["attest-pub"]
    redacted: dict[tuple[str, int, int], bytes] = {}
    for record in pipeline.read("redacted"):
        value = record.value.reveal() if record.value else b""
        claims: Claims = verify(record.header(HEADER), value, {public.id: keys.public_key(public)})
        redacted[claims.source] = value
    by_body = {sample.message().value: sample for sample in samples}
    shown = Counter[str]()
    for topic in dict.fromkeys(sample.topic for sample in samples):
        for record in pipeline.read(topic):
            value = record.value.reveal() if record.value else b""
            after = redacted.get((record.topic, record.partition, record.offset))
            sample = by_body.get(value)
            if after is None or sample is None or TOKEN.encode() not in after or sum(shown.values()) >= _SHOWN:
                continue
            if shown[topic]:
                continue
            shown[topic] += 1
            _side_by_side(console, sample, orjson.loads(value), orjson.loads(after))


def _side_by_side(console: Console, sample: Sample, before: Any, after: Any) -> None:
    old, new = dict(_leaves(before, "")), dict(_leaves(after, ""))
    table = Table("field", "agency sent", "redacted", show_lines=False, expand=True)
    for path, text in old.items():
        now = new.get(path)
        if now is None:
            table.add_row(path, escape(text), "(gone)", style="red")
        elif now != text and TOKEN in now:
            table.add_row(path, escape(text), escape(now), style="yellow")
    console.print(Panel(table, title=f"{sample.topic}: {sample.about}", title_align="left"))


def _leaves(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, child in value.items():
            yield from _leaves(child, f"{path}/{name}")
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _leaves(child, f"{path}/{index}")
    else:
        yield path, str(value)


def _partners(console: Console, entries: list[dict[str, Any]], pipeline: Pipeline) -> None:
    got: Counter[str] = Counter()
    refused: dict[str, Counter[str]] = defaultdict(Counter)
    permitted: dict[str, Counter[str]] = defaultdict(Counter)
    for entry in entries:
        for decision in entry["decisions"]:
            names = ", ".join(decision["policies"])
            if decision["effect"] == "allow":
                got[decision["partner"]] += 1
                permitted[decision["partner"]][names] += 1
            else:
                refused[decision["partner"]][names] += 1
    table = Table("partner", "got", "permitted by", "not sent", "because of", expand=True, show_lines=True)
    for partner in load_topology().partners:
        table.add_row(
            partner,
            str(got[partner]),
            "\n".join(f"{n} × {name}" for name, n in permitted[partner].most_common()),
            str(sum(refused[partner].values())),
            "\n".join(f"{n} × {name}" for name, n in refused[partner].most_common()),
        )
    console.print(table)
    for partner in ("housing-gm", "victim-support-gm"):
        records = pipeline.read(f"partner.{partner}")
        if records and records[0].value:
            body = orjson.dumps(orjson.loads(records[0].value.reveal()), option=orjson.OPT_INDENT_2).decode()
            lines = body.splitlines()
            text = "\n".join(lines[:24] + (["  ..."] if len(lines) > 24 else []))
            console.print(Panel(escape(text), title=f"one record as {partner} reads it", title_align="left"))


def _quarantine(
    console: Console, entries: list[dict[str, Any]], pipeline: Pipeline, broken: dict[str, Message]
) -> None:
    """What the demo broke on purpose, found again by its position, with the outcome that its entry names."""
    outcomes = {tuple(e["source"][k] for k in ("topic", "partition", "offset")): e for e in entries}
    table = Table("what was wrong with the record", "outcome", "coarse reason")
    topic = next(iter(broken.values())).topic
    for record in pipeline.read(topic):
        value = record.value.reveal() if record.value else b""
        headers = tuple((name, text.reveal() if text else b"") for name, text in record.headers)
        name = next((n for n, m in broken.items() if m.value == value and m.headers == headers), None)
        if name is not None:
            entry = outcomes[record.topic, record.partition, record.offset]
            table.add_row(name, entry["outcome"], entry["reason"])
    console.print(table)
    console.print(
        "Operators see the coarse reason. The exact one and the record are sealed to the compliance key:\n"
        "`safe-reporting quarantine open` first writes to the ledger who opens it, and why.\n"
    )


def _reconcile(console: Console, entries: list[dict[str, Any]], sent: int) -> bool:
    outcomes = Counter((e["service"], e["outcome"]) for e in entries)
    table = Table("service", "records in", "redacted", "forwarded", "withheld", "quarantined", "entries", "chain")
    expected = {"redactor": sent, "router": outcomes["redactor", "redacted"]}
    all_whole = True
    for service, records_in in expected.items():
        mine = [e for e in entries if e["service"] == service]
        counts = [str(outcomes[service, kind]) for kind in ("redacted", "forwarded", "withheld", "quarantined")]
        whole = len(mine) == records_in and _chain_is_whole(mine)
        all_whole = all_whole and whole
        table.add_row(service, str(records_in), *counts, str(len(mine)), "whole" if whole else "BROKEN")
    console.print(table)
    console.print("Each entry names the offset before it: a missing or doubled one would show. No entry holds a value.")
    return all_whole


def _chain_is_whole(entries: list[dict[str, Any]]) -> bool:
    last: dict[tuple[str, int], int] = {}
    for source in (e["source"] for e in entries):
        position = source["topic"], source["partition"]
        if source["previous"] != last.get(position, -1):
            return False
        last[position] = source["offset"]
    return True
