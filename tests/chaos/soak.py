"""Keep one worker of each service at work, and watch each process: its memory, its open files, how far it is behind."""

from __future__ import annotations

import math
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import NamedTuple

import orjson

from services.cli.pipeline import Pipeline
from services.kernel.errors import UnreachableError
from services.kernel.kafka.embedded import EmbeddedKafka
from services.kernel.kafka.lag import Positions
from services.kernel.kafka.reader import Sender
from services.kernel.kafka.topology import apply, load_topology
from services.kernel.paths import ROOT
from services.kernel.record import Message
from services.kernel.samples import Numberer, load_samples

#: Records that wait at full rate: enough for the redactor never to stand idle, little for the broker to hold.
BACKLOG = 2_000
TICK = 0.1
#: The longest that there are: a machine with other work to do must not make a service replace its step process.
DEADLINES = {"SR_RECORD_DEADLINE_S": "60", "SR_BATCH_DEADLINE_S": "120"}
MB = 1_000_000
#: What SQLite may keep of the log's database (`cache_size` in services/ledger/store.py): 64 MiB.
PAGES = 64 * 1024 * 1024 / MB
_POSITION = "SELECT next_offset FROM log"


class Reading(NamedTuple):
    """What was seen in one second: memory in MB and open files by process, records or entries behind by service.

    `database` is the size of the log's database in MB.
    """

    at: float
    done: int
    behind: dict[str, int]
    memory: dict[str, float]
    files: dict[str, int]
    database: float


class Soak:
    """One run: `records` at full rate, then `steady` seconds at 60 % of the rate that the machine reached.

    `full` and `calm` are the readings of both parts, those at full rate from record number `warm` on, or the last three
    quarters where that is more. The part at full rate ends after `most` seconds, however far it is. Every reading is
    added to the file `kept` as one line of JSON.
    """

    def __init__(
        self, *, records: int, warm: int, steady: float = 0.0, most: float = math.inf, kept: Path | None = None
    ) -> None:
        self._records = records
        self._warm = warm
        self._steady = steady
        self._most = most
        self._kept = kept
        self._sent = 0
        self._processes: dict[str, int] = {}
        self.full: list[Reading] = []
        self.calm: list[Reading] = []

    @property
    def rate(self) -> float:
        """Records a second at full rate."""
        first, last = self.full[0], self.full[-1]
        return (last.done - first.done) / (last.at - first.at)

    def run(self) -> None:
        """Run to the end.

        Raises:
            UnreachableError: a process ended; the one in its place would hide what it held.
        """
        topology = load_topology()
        topics = [(topic.name, topic.partitions) for topic in topology.topics_of("redactor")]
        groups = {"redactor": topics, "router": [("redacted", 4)]}
        with EmbeddedKafka() as broker:
            config = broker.client_config("admin")
            apply(config, topology, profile="embedded")
            with (
                Pipeline(broker, ledgers=1, settings=DEADLINES) as pipeline,
                closing(Positions(config, groups)) as self._positions,
                Sender(config, deadline=60.0) as self._sender,
            ):
                self._pipeline = pipeline
                self._messages = _messages()
                self._start()
                ends = time.monotonic() + self._most
                full = self._cycle(
                    lambda r: r.done >= self._records or r.at >= ends, lambda: BACKLOG + self._done - self._sent
                )
                begin = min(self._warm, full[-1].done // 4)
                self.full = [reading for reading in full if reading.done >= begin]
                if self._steady:
                    self._cycle(_caught_up, lambda: 0)
                    self.calm = self._at(0.6 * self.rate)

    def _start(self) -> None:
        """Send a few records, and when they are through note the processes: each service and its step process."""
        self._send(100)
        self._pipeline.wait(100, seconds=120.0)
        for slot in self._pipeline.slots:
            parent = slot.process.pid
            self._processes[slot.service] = parent
            for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
                self._processes[f"{slot.service}'s step"] = int(child)

    def _at(self, rate: float) -> list[Reading]:
        """Send `rate` records a second for as long as the steady part lasts."""
        started, before = time.monotonic(), self._sent
        return self._cycle(
            lambda reading: reading.at >= started + self._steady,
            lambda: before + int((time.monotonic() - started) * rate) - self._sent,
        )

    def _cycle(self, ends: Callable[[Reading], bool], due: Callable[[], int]) -> list[Reading]:
        """Take a reading every second and send what is due ten times a second, until `ends`."""
        readings = [self._read()]
        while not ends(readings[-1]):
            for _ in range(10):
                self._send(due())
                time.sleep(TICK)
            readings.append(self._read())
        return readings

    def _send(self, number: int) -> None:
        for _ in range(number):
            self._sender.send(next(self._messages), self._sent % 4)
            self._sent += 1

    def _read(self) -> Reading:
        behind = {"redactor": 0, "router": 0}
        self._done = 0
        for place in self._positions.read(seconds=30.0):
            if place.end is None:
                raise UnreachableError(f"the broker does not tell of `{place.group}` in `{place.topic}`")
            behind[place.group] += place.end - (place.committed or 0)
            self._done += (place.committed or 0) if place.group == "redactor" else 0
        position, database = self._appended()
        behind["ledger"] = self._positions.end("ledger", seconds=30.0)[0] - position
        try:
            memory = {name: _memory(pid) for name, pid in self._processes.items()}
            files = {name: len(list(Path(f"/proc/{pid}/fd").iterdir())) for name, pid in self._processes.items()}
        except (OSError, StopIteration) as error:
            said = "\n".join(log.read_text()[-1000:] for log in sorted(self._pipeline.logs.glob("*.log")))
            raise UnreachableError(f"a process ended after {self._done} records\n{said}") from error
        reading = Reading(time.monotonic(), self._done, behind, memory, files, database)
        if self._kept is not None:
            with self._kept.open("ab") as lines:
                lines.write(orjson.dumps(reading._asdict(), option=orjson.OPT_APPEND_NEWLINE))
        return reading

    def _appended(self) -> tuple[int, float]:
        """Where the ledger service is in its topic, and the size of its database in MB."""
        file = f"file:{self._pipeline.folder / 'ledger.db'}?mode=ro"
        with closing(sqlite3.connect(file, uri=True)) as database:
            found = [database.execute(q).fetchone()[0] for q in (_POSITION, "PRAGMA page_count", "PRAGMA page_size")]
        position, pages, size = map(int, found)
        return position, pages * size / MB


def kept(readings: list[Reading], process: str) -> float:
    """MB that a process holds, the median of `readings`; for the ledger without the pages that SQLite keeps.

    They are a cache with a bound, which 12,000 records fill: until then a sound service grows with its database.
    """
    return statistics.median(
        r.memory[process] - (min(r.database, PAGES) if process == "ledger" else 0.0) for r in readings
    )


def files(readings: list[Reading], process: str) -> float:
    """Open files of a process, the median of `readings`."""
    return statistics.median(r.files[process] for r in readings)


def behind(readings: list[Reading], service: str) -> float:
    """Records or entries that a service is behind, the median of `readings`."""
    return statistics.median(r.behind[service] for r in readings)


def first(readings: list[Reading], parts: int) -> list[Reading]:
    """The first of so many equal parts."""
    return readings[: max(1, len(readings) // parts)]


def last(readings: list[Reading], parts: int) -> list[Reading]:
    """The last of so many equal parts."""
    return readings[-max(1, len(readings) // parts) :]


def show(soak: Soak) -> None:
    """Print the figures: shown by pytest with -s or when it fails."""
    start, end = soak.full[0].done, soak.full[-1].done
    print(f"{end:,} records at {soak.rate:.0f} a second, compared from number {start:,} on")
    if soak.calm:
        span = soak.calm[-1].at - soak.calm[0].at
        print(f"then {soak.calm[-1].done - soak.calm[0].done:,} records in {span:.0f} s at 60 % of that rate")
    parts = {"begin": first(soak.full, 5), "end": last(soak.full, 5)}
    parts |= {"steady": last(soak.calm, 5)} if soak.calm else {}
    print("process, then MB and open files at " + ", ".join(parts) + "; MB at most")
    for process in soak.full[0].memory:
        cells = [
            f"{statistics.median(r.memory[process] for r in p):7.1f} {files(p, process):3.0f}" for p in parts.values()
        ]
        highest = max(r.memory[process] for r in soak.full + soak.calm)
        print(f"{process:16}" + "  ".join(cells) + f"  {highest:7.1f}")
    print("MB of the log's database: " + ", ".join(f"{p[-1].database:.1f}" for p in parts.values()))
    for service in soak.calm[0].behind if soak.calm else ():
        before, after = behind(first(soak.calm, 3), service), behind(last(soak.calm, 3), service)
        highest = max(r.behind[service] for r in soak.calm)
        print(f"{service} behind, first and last third of the steady part: {before:.0f}, {after:.0f}; most {highest}")


def _messages() -> Iterator[Message]:
    samples, numbered = load_samples(ROOT / "samples"), Numberer(ROOT / "schemas")
    return (numbered(samples[number % len(samples)], number) for number in count())


def _memory(pid: int) -> float:
    """MB that the process itself filled: not its program's files, which the machine may take out and read again."""
    line = next(x for x in Path(f"/proc/{pid}/status").read_text().splitlines() if x.startswith("RssAnon:"))
    return int(line.split()[1]) * 1024 / MB


def _caught_up(reading: Reading) -> bool:
    """Whether nothing waits; the marks of the last transactions count as records that no reader takes."""
    return max(reading.behind.values()) < 10
