"""Kill, stop and restart on a schedule drawn from a seed, while records flow; then account for every one."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from services.cli.pipeline import Pipeline, let_out
from services.kernel.kafka import undecided
from services.kernel.kafka.client import RECONNECT
from services.kernel.kafka.embedded import EmbeddedKafka
from services.kernel.kafka.reader import Sender
from services.kernel.kafka.topology import apply, load_topology
from services.kernel.paths import ROOT
from services.kernel.samples import Numberer, load_samples

PARTITIONS = 4


@dataclass
class Report:
    """What a run did and what its readers saw, for committed readers unless it says otherwise.

    `longest_block`: seconds that a record lay in a partner topic before a committed reader got it, because an open
    transaction held it or one before it. `longest_silence`: seconds without a record in any partner topic while there
    was a broker, whatever the reason. `first_after`: seconds from the start of all workers to the first partner record,
    which is what a start takes on this machine.
    """

    sent: Counter[str] = field(default_factory=Counter)
    kills: int = 0
    lost: int = 0
    doubled: int = 0
    gaps: list[str] = field(default_factory=list)
    unaccounted: int = 0
    longest_silence: float = 0.0
    first_after: float = 0.0
    longest_block: float = 0.0
    events: list[str] = field(default_factory=list)
    partner_records: int = 0
    uncommitted_seen: int = 0
    uncommitted_without_entry: int = 0


class Watch(threading.Thread):
    """Reads partner topics as partners do, and notes the longest time without a record while there was work."""

    def __init__(self, broker: EmbeddedKafka, topics: list[str], *, committed: bool) -> None:
        super().__init__(daemon=True)
        from confluent_kafka import Consumer, TopicPartition

        self._consumer = Consumer(
            {
                **broker.client_config("admin"),
                **RECONNECT,
                "group.id": "watch",
                "log_level": 0,
                "isolation.level": "read_committed" if committed else "read_uncommitted",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
            }
        )
        self._consumer.assign([TopicPartition(t, p, 0) for t in topics for p in range(PARTITIONS)])
        self.done = threading.Event()
        self.records: list[tuple[str, bytes]] = []
        self.at: dict[tuple[str, int, int], float] = {}
        self.last = 0.0
        self.silence = 0.0
        self.silent_until = 0.0
        self.broker_down: list[tuple[float, float]] = []

    def run(self) -> None:
        while not self.done.is_set():
            for message in self._consumer.consume(500, 0.2):
                if message.error() is None:
                    self.records.append((message.topic(), message.key()))
                    now = time.monotonic()
                    self.at[message.topic(), message.partition(), message.offset()] = now
                    gap = self._gap(self.last or now, now)
                    if gap > self.silence:
                        self.silence, self.silent_until = gap, now
                    self.last = now
        self._consumer.close()

    def _gap(self, before: float, now: float) -> float:
        """Seconds without a record, less those in which there was no broker to read from."""
        down = sum(max(0.0, min(now, up) - max(before, gone)) for gone, up in self.broker_down)
        return now - before - down


class KillRun:
    """One run. `records` flow at `rate` a second, or fewer where all disturbances are `over` before.

    `kills` of -9 fall at random moments over all workers.
    """

    def __init__(self, *, seed: int, records: int, rate: float, kills: int, module: str | None = None) -> None:
        self._random = random.Random(seed)
        self._records = records
        self._rate = rate
        self._kills = kills
        self._module = module or "services.{service}.main"
        self._started = 0.0
        self._watches: list[Watch] = []
        self._over = threading.Event()
        self.report = Report()

    def run(self, *, stop_one: bool, restart_broker: bool, workers: int = 2) -> Report:
        """Run to the end and account for every record."""

        def disturb(pipeline: Pipeline) -> None:
            self._disturb(pipeline, stop_one=stop_one, restart_broker=restart_broker)

        return self.run_with(disturb, workers=workers)

    def run_with(
        self,
        disturb: Callable[[Pipeline], None],
        *,
        workers: int,
        nodes: int = 1,
        settings: dict[str, str] | None = None,
    ) -> Report:
        """The same with any disturbance; three `nodes` have the profile of production."""
        topology = load_topology()
        partners = [f"partner.{partner}" for partner in topology.partners]
        with EmbeddedKafka(nodes=nodes) as broker:
            apply(broker.client_config("admin"), topology, profile="embedded" if nodes == 1 else "production")
            with Pipeline(
                broker, redactors=workers, routers=workers, restart=True, module=self._module, settings=settings
            ) as pipeline:
                watches = [Watch(broker, partners, committed=c) for c in (True, False)]
                self._watches = watches
                for watch in watches:
                    watch.start()
                self._started = time.monotonic()
                feeder = threading.Thread(target=self._feed, args=(broker,), daemon=True)
                feeder.start()
                disturb(pipeline)
                feeder.join()
                self._settle(pipeline)
                for watch in watches:
                    watch.done.set()
                    watch.join()
                self._account(pipeline, partners, *watches)
        return self.report

    def _note(self, text: str) -> None:
        self.report.events.append(f"{time.monotonic() - self._started:6.1f} s  {text}")

    def _feed(self, broker: EmbeddedKafka) -> None:
        """Send records drawn from the samples, each with an id of its own, at a steady rate."""
        samples = load_samples(ROOT / "samples")
        numbered = Numberer(ROOT / "schemas")
        draw = random.Random(self._records)
        with Sender(broker.client_config("admin"), deadline=90.0) as sender:
            for number in range(self._records):
                if self._over.is_set():
                    return
                message = numbered(draw.choice(samples), number)
                self.report.sent[message.topic] += 1
                sender.send(message, number % PARTITIONS)
                time.sleep(max(0.0, self._started + number / self._rate - time.monotonic()))

    def _disturb(self, pipeline: Pipeline, *, stop_one: bool, restart_broker: bool) -> None:
        span = self._records / self._rate
        moments = sorted(self._random.uniform(3, max(4, span - 2)) for _ in range(self._kills))
        plan: list[tuple[float, str]] = [(moment, "kill") for moment in moments]
        plan += [(span * 0.35, "stop")] if stop_one else []
        plan += [(span * 0.7, "restart broker")] if restart_broker else []
        for moment, what in sorted(plan):
            time.sleep(max(0.0, self._started + moment - time.monotonic()))
            slot = self._random.choice(pipeline.slots)
            if what == "kill":
                slot.process.kill()
                self.report.kills += 1
                self._note(f"kill -9 {slot.service}-{slot.number}")
            elif what == "stop":
                process = slot.process
                process.send_signal(signal.SIGSTOP)
                self._note(f"SIGSTOP {slot.service}-{slot.number} for 9 s (session 6 s)")
                threading.Timer(9.0, process.send_signal, (signal.SIGCONT,)).start()
            else:
                self._note("broker killed and restarted")
                gone = time.monotonic()
                pipeline.broker.restart()
                self._back_since(gone)
                self._note("broker is back")

    def _back_since(self, gone: float) -> None:
        """There was no broker from `gone` until now: what was silent then is no silence."""
        for watch in self._watches:
            watch.broker_down.append((gone, time.monotonic()))

    def _settle(self, pipeline: Pipeline) -> None:
        pipeline.wait(sum(self.report.sent.values()), seconds=240)
        time.sleep(1.0)

    def _account(self, pipeline: Pipeline, partners: list[str], committed: Watch, uncommitted: Watch) -> None:
        report = self.report
        entries = pipeline.entries()
        self._chain(pipeline, entries)
        allowed = {(topic, key) for topic, key, _ in let_out(entries)}
        seen = Counter(committed.records)
        report.partner_records = sum(seen.values())
        report.doubled += sum(count - 1 for count in seen.values())
        report.lost += len(allowed - seen.keys())
        report.unaccounted += len(seen.keys() - allowed)
        ever = {record for record in uncommitted.records if record[1] != undecided.KEY}
        report.uncommitted_seen = len(uncommitted.records)
        report.uncommitted_without_entry = len(ever - allowed)
        report.longest_block = max(
            (at - uncommitted.at.get(place, at) for place, at in committed.at.items()), default=0
        )
        report.longest_silence = committed.silence
        report.first_after = min(committed.at.values(), default=self._started) - self._started
        until = committed.silent_until - self._started
        report.events.append(f"longest silence {committed.silence:.1f} s, until {until:.1f} s")

    def _chain(self, pipeline: Pipeline, entries: list[dict[str, Any]]) -> None:
        """Compare sets of offsets: each input offset has one entry, and each entry names the one before."""
        report = self.report
        topics = [topic.name for topic in load_topology().topics_of("redactor")] + ["redacted"]
        by_source: dict[tuple[str, int], list[tuple[int, int]]] = defaultdict(list)
        for entry in entries:
            source = entry["source"]
            by_source[source["topic"], source["partition"]].append((source["offset"], source["previous"]))
        for topic in topics:
            there: dict[int, list[int]] = defaultdict(list)
            for record in pipeline.read(topic):
                there[record.partition].append(record.offset)
            for partition in range(PARTITIONS):
                chain = sorted(by_source[topic, partition])
                offsets = [offset for offset, _ in chain]
                report.lost += len(set(there[partition]) - set(offsets))
                report.doubled += len(offsets) - len(set(offsets))
                report.unaccounted += len(set(offsets) - set(there[partition]))
                expected = [-1, *offsets[:-1]]
                report.gaps += [
                    f"{topic}/{partition}/{offset}: previous {previous}, expected {before}"
                    for (offset, previous), before in zip(chain, expected, strict=True)
                    if previous != before
                ]


def show(report: Report) -> None:
    """Print the run: shown by pytest with -s or when it fails."""
    for event in report.events:
        print(event)
    print(
        f"{sum(report.sent.values())} records, {report.kills} kills; partners read {report.partner_records}; "
        f"lost {report.lost}, doubled {report.doubled}, unaccounted {report.unaccounted}, "
        f"gaps {len(report.gaps)}, longest block {report.longest_block:.1f} s, silence "
        f"{report.longest_silence:.1f} s, first record after {report.first_after:.1f} s; a read_uncommitted reader saw "
        f"{report.uncommitted_seen}, without an entry {report.uncommitted_without_entry}"
    )
