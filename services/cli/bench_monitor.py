"""`safe-reporting bench monitor`: what the monitor takes of a core and of memory at a steady rate of entries."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated
from urllib.error import URLError
from urllib.request import urlopen

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from services.cli.bench_ledger import made_up
from services.kernel import ledger
from services.kernel.errors import UnreachableError
from services.kernel.kafka.embedded import EmbeddedKafka, free_ports
from services.kernel.kafka.reader import Sender
from services.kernel.kafka.stretch import written
from services.kernel.kafka.topology import apply, load_topology
from services.kernel.record import Message

#: Seconds between two sendings: as often as some workers end their transactions.
_TICK_S = 0.05
_READY_S = 120.0


def monitor(
    rate: Annotated[int, typer.Option(min=20, help="Entries a second.")] = 1000,
    seconds: Annotated[int, typer.Option(min=5, help="Seconds that are measured.")] = 30,
    warm: Annotated[int, typer.Option(min=0, help="Seconds at this rate before.")] = 15,
    behind: Annotated[int, typer.Option(min=0, help="Entries that wait for a monitor that was away.")] = 40_000,
    sealed: Annotated[int, typer.Option(min=0, help="Bytes of sealed detail in a redactor's entry.")] = 2200,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Measure the monitor on an embedded broker: idle, at a steady rate of entries of now, and after standing still."""
    console = Console(highlight=False, stderr=True)
    with EmbeddedKafka(on_progress=console.print) as broker, tempfile.TemporaryDirectory() as folder:
        config = broker.client_config("admin")
        apply(config, load_topology(), profile="embedded")
        with _Monitor(broker, Path(folder)) as running:
            figures = {"idle_percent_of_a_core": _idle(running, console)}
            with Sender(config) as sender:
                figures |= _steady(running, sender, rate, warm, seconds, sealed, console)
        if behind:
            figures["caught_up_a_second"] = _caught_up(broker, Path(folder), behind, sealed, console)
    figures["percent_for_1000_entries_a_second"] = figures["percent_of_a_core"] / figures["entries_a_second"] * 1000
    if as_json:
        print(json.dumps(figures, indent=2))
        return
    table = Table("figure", "value", title="The monitor beside an embedded broker")
    for name, value in figures.items():
        table.add_row(name.replace("_", " "), f"{value:,.1f}")
    Console().print(table)


class _Monitor:
    """The monitor as a process, ready where the context is entered."""

    def __init__(self, broker: EmbeddedKafka, folder: Path) -> None:
        (port,) = free_ports(1)
        self._page = f"http://127.0.0.1:{port}"
        self._log = folder / "monitor.log"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SR_")}
        environment |= broker.environment("monitor")
        environment |= {"SR_METRICS_PORT": str(port), "SR_TOPOLOGY_PROFILE": "embedded"}
        with self._log.open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "services.monitor.main"],
                env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            )  # fmt: skip

    def __enter__(self) -> _Monitor:
        self.wait("/readyz", lambda _: True)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def wait(self, page: str, fits: Callable[[bytes], bool]) -> None:
        """Return when the page answers and is as it should be."""
        ends = time.monotonic() + _READY_S
        while time.monotonic() < ends and self._process.poll() is None:
            try:
                with urlopen(self._page + page, timeout=5) as answer:  # noqa: S310 - our own page
                    if fits(answer.read()):
                        return
            except (URLError, OSError):
                pass
            time.sleep(0.05)
        raise UnreachableError(f"the monitor does not come so far:\n{self._log.read_text()[-2000:]}")

    def processor_seconds(self) -> float:
        """Seconds of processor time so far, the process's own and the kernel's for it (`/proc`, Linux)."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> int:
        """Bytes of memory in use."""
        pages = Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _idle(running: _Monitor, console: Console, seconds: float = 10.0) -> float:
    console.print("the monitor stands idle")
    spent, started = running.processor_seconds(), time.monotonic()
    time.sleep(seconds)
    return (running.processor_seconds() - spent) / (time.monotonic() - started) * 100


def _steady(
    running: _Monitor, sender: Sender, rate: int, warm: int, seconds: int, sealed: int, console: Console
) -> dict[str, float]:
    """Send `rate` entries a second, some each tick; figures of the time after the first `warm` seconds."""
    bodies = made_up((warm + seconds) * rate, sealed=sealed, at=_now)
    for _ in track(range(warm), description="warming", console=console):
        _second(sender, bodies, rate)
    spent, started = running.processor_seconds(), time.monotonic()
    for _ in track(range(seconds), description="measuring", console=console):
        _second(sender, bodies, rate)
    taken = time.monotonic() - started
    return {
        "entries_a_second": seconds * rate / taken,
        "percent_of_a_core": (running.processor_seconds() - spent) / taken * 100,
        "memory_mb": running.memory() / 1e6,
    }


def _caught_up(broker: EmbeddedKafka, folder: Path, count: int, sealed: int, console: Console) -> float:
    """Entries a second that a monitor takes in which finds `count` of them at its start."""
    console.print(f"{count} entries wait for a monitor")
    config = broker.client_config("admin")
    end = written(config, ledger.TOPIC, name="admin") + count
    with Sender(config, deadline=60.0) as sender:
        for body in made_up(count, first=end - count, sealed=sealed, at=_now):
            sender.send(Message(ledger.TOPIC, None, body), 0)
    with _Monitor(broker, folder) as running:
        started = time.perf_counter()
        running.wait("/figures?window=1d&count=1", lambda body: json.loads(body)["applied"] == end - 1)
        return count / (time.perf_counter() - started)


def _now(_: int) -> int:
    return time.time_ns() // 1_000_000


def _second(sender: Sender, bodies: Iterator[bytes], rate: int) -> None:
    started, ticks = time.monotonic(), round(1 / _TICK_S)
    for tick in range(ticks):
        for _ in range(rate * tick // ticks, rate * (tick + 1) // ticks):
            sender.send(Message(ledger.TOPIC, None, next(bodies)), 0)
        time.sleep(max(0.0, started + (tick + 1) * _TICK_S - time.monotonic()))
