"""`safe-reporting bench pipeline`: throughput of one worker of each service, and latency at a steady rate."""

from __future__ import annotations

import json
import statistics
import threading
import time
import urllib.request
from pathlib import Path
from typing import Annotated, Any

import typer
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.table import Table

from services.cli import bench_drift, bench_ledger, bench_monitor, bench_router, bench_sizes
from services.cli.bench_parts import numbered, throughput
from services.cli.pipeline import Pipeline, let_out
from services.kernel import jsonio
from services.kernel.kafka.embedded import EmbeddedKafka, free_ports
from services.kernel.kafka.reader import Sender, tail
from services.kernel.kafka.topology import apply, load_topology
from services.kernel.paths import ROOT
from services.kernel.record import Batch, Message, delivered
from services.kernel.samples import Sample, load_samples
from services.kernel.settings import Settings
from services.redactor.build import build_step

app = typer.Typer(no_args_is_help=True)


app.command()(bench_router.router)
app.command("ledger")(bench_ledger.bench)
app.command()(bench_monitor.monitor)
app.command()(bench_drift.drift)
app.command()(bench_sizes.sizes)


@app.command()
def pipeline(
    records: Annotated[int, typer.Option(min=500, help="Records of the throughput runs.")] = 5000,
    seconds: Annotated[int, typer.Option(min=5, help="Seconds of the latency run at 100 records/s.")] = 30,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Measure on an embedded broker: one redactor alone, one router alone, then both at 100 records/s."""
    console = Console(highlight=False, stderr=True)
    samples = load_samples(ROOT / "samples")
    figures: dict[str, float] = {}
    topology = load_topology()
    with EmbeddedKafka(on_progress=console.print) as broker:
        apply(broker.client_config("admin"), topology, profile="embedded")
        sent = list(numbered(samples, records))
        figures["bytes_a_record"] = statistics.mean(len(m.value or b"") for m in sent)
        with Pipeline(broker, redactors=0, routers=0) as idle:
            folder = idle.keys_dir
            console.print(f"{records} records wait in the agency topics; starting one redactor")
            idle.send(sent)
            (port,) = free_ports(1)
            metrics = {"SR_METRICS_PORT": str(port)}
            with Pipeline(broker, redactors=1, routers=0, keys_dir=folder, settings=metrics) as alone:
                alone.wait(records, seconds=600, routed=False)
                kafka = {"redactor": _kafka_share(port)}
            figures |= throughput(broker, "redactor")
            console.print("starting one router on what it redacted")
            with Pipeline(broker, redactors=0, routers=1, keys_dir=folder, settings=metrics) as alone:
                alone.wait(records, seconds=600)
                kafka["router"] = _kafka_share(port)
            figures |= throughput(broker, "router")
            console.print(f"both at 100 records/s for {seconds} s")
            with Pipeline(broker, redactors=1, routers=1, keys_dir=folder) as both:
                figures |= _latency(both, samples, first=records, seconds=seconds)
            figures |= _shares(folder, sent[:1000], kafka)
    if as_json:
        print(json.dumps(figures, indent=2))
        return
    table = Table("figure", "value", title="One broker, one redactor, one router and this command on the same machine")
    for name, value in figures.items():
        table.add_row(name.replace("_", " "), f"{value:,.1f}")
    Console().print(table)


def _latency(pipeline: Pipeline, samples: list[Sample], *, first: int, seconds: int) -> dict[str, float]:
    """From the broker's time stamp in the agency topic to a read_committed partner's poll, milliseconds."""
    config = pipeline.broker.client_config("admin")
    arrived: dict[tuple[str, bytes], float] = {}
    done = threading.Event()

    def watch() -> None:
        topics = [f"partner.{partner}" for partner in load_topology().partners]
        for record in tail(config, topics, name="admin", done=done.is_set):
            if record.key is not None:
                arrived.setdefault((record.topic, record.key.reveal()), time.time() * 1000)

    thread = threading.Thread(target=watch)
    thread.start()
    with Sender(config) as sender:
        warm = 100
        for number, message in enumerate(numbered(samples, warm, first=first)):
            sender.send(message, number % 4)
        sender.flush()
        pipeline.wait(first + warm, seconds=60)  # models loaded, groups joined, watcher at the end of its topics
        arrived.clear()
        started = time.monotonic()
        for number, message in enumerate(numbered(samples, seconds * 100, first=first + warm)):
            time.sleep(max(0.0, started + number / 100 - time.monotonic()))
            sender.send(message, number % 4)
    pipeline.wait(first + warm + seconds * 100, seconds=60)
    time.sleep(1)
    done.set()
    thread.join()
    return _percentiles(pipeline, arrived)


def _percentiles(pipeline: Pipeline, arrived: dict[tuple[str, bytes], float]) -> dict[str, float]:
    stamps = {
        (r.topic, r.partition, r.offset): r.timestamp
        for topic in load_topology().topics_of("redactor")
        for r in pipeline.read(topic.name)
    }
    entries = pipeline.entries()
    origin: dict[str, int] = {}
    for entry in entries:
        source = entry["source"]
        if entry["service"] == "redactor" and entry["record"]:
            origin[entry["record"]] = stamps[source["topic"], source["partition"], source["offset"]]
    delays = []
    for topic, key, entry in let_out(entries):
        at = arrived.get((topic, key))
        if at is not None and entry["record"] in origin:
            delays.append(at - origin[entry["record"]])
    delays.sort()
    return {
        "latency_samples": len(delays),
        "latency_p50_ms": delays[len(delays) // 2],
        "latency_p99_ms": delays[len(delays) * 99 // 100],
    }


def _kafka_share(port: int) -> float:
    """Share of a worker's batches, from the step's start to the commit's end, that went into the transaction."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    spent = {
        sample.labels["stage"]: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "safe_reporting_batch_seconds_sum"
    }
    return spent["transaction"] / sum(spent.values())


def _shares(keys_dir: Path, sent: list[Message], kafka: dict[str, float]) -> dict[str, float]:
    """Where a redactor's time goes: text engine and JSON as measured in this process, Kafka in the worker's own."""
    step = build_step(Settings(keys_dir=keys_dir))
    spent = {"text": 0.0, "json": 0.0}
    step._engine = _Timed(step._engine, spent)
    now = int(time.time() * 1000)
    inbound = [delivered(message, offset=number, now=now) for number, message in enumerate(sent)]
    for record in inbound[:50]:
        step(record, Batch(now=now))
    spent["text"] = 0.0
    started = time.perf_counter()
    for record in inbound:
        step(record, Batch(now=now))
    total = time.perf_counter() - started
    started = time.perf_counter()
    for message in sent:
        jsonio.canonical(jsonio.parse(message.value or b""))
    spent["json"] = time.perf_counter() - started
    percent = 100 * (1 - kafka["redactor"]) / total
    return {
        "redactor_step_ms_a_record": total / len(sent) * 1000,
        "redactor_time_in_text_percent": percent * spent["text"],
        "redactor_time_in_json_percent": percent * spent["json"],
        "redactor_time_in_kafka_percent": 100 * kafka["redactor"],
        "router_time_in_kafka_percent": 100 * kafka["router"],
    }


class _Timed:
    """The text engine with a stop-watch."""

    def __init__(self, engine: Any, spent: dict[str, float]) -> None:
        self._engine = engine
        self._spent = spent

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def redact(self, *arguments: Any, **options: Any) -> Any:
        started = time.perf_counter()
        result = self._engine.redact(*arguments, **options)
        self._spent["text"] += time.perf_counter() - started
        return result
