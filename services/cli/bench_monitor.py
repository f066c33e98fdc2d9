"""`safe-reporting bench monitor`: what the monitor takes of a core and of memory at a steady rate of entries."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
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
from services.kernel.kafka.topology import apply, load_topology
from services.kernel.record import Message

#: Seconds between two sendings: as often as some workers end their transactions.
_TICK_S = 0.05
_READY_S = 120.0


def monitor(
    rate: Annotated[int, typer.Option(min=20, help="Entries a second.")] = 1000,
    seconds: Annotated[int, typer.Option(min=5, help="Seconds that are measured.")] = 30,
    warm: Annotated[int, typer.Option(min=0, help="Seconds at this rate before.")] = 15,
    sealed: Annotated[int, typer.Option(min=0, help="Bytes of sealed detail in a redactor's entry.")] = 2200,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Measure the monitor's process on an embedded broker: idle first, then at a steady rate of entries of now."""
    console = Console(highlight=False, stderr=True)
    with EmbeddedKafka(on_progress=console.print) as broker, tempfile.TemporaryDirectory() as folder:
        config = broker.client_config("admin")
        apply(config, load_topology(), profile="embedded")
        (port,) = free_ports(1)
        process = _start(broker, port, Path(folder) / "monitor.log")
        try:
            _wait_ready(process, port, Path(folder) / "monitor.log")
            figures = {"idle_percent_of_a_core": _idle(process.pid, console)}
            with Sender(config) as sender:
                figures |= _steady(process.pid, sender, rate, warm, seconds, sealed, console)
        finally:
            process.terminate()
            process.wait()
    figures["percent_for_1000_entries_a_second"] = figures["percent_of_a_core"] / figures["entries_a_second"] * 1000
    if as_json:
        print(json.dumps(figures, indent=2))
        return
    table = Table("figure", "value", title="The monitor beside an embedded broker")
    for name, value in figures.items():
        table.add_row(name.replace("_", " "), f"{value:,.1f}")
    Console().print(table)


def _start(broker: EmbeddedKafka, port: int, log: Path) -> subprocess.Popen[bytes]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SR_")}
    environment |= broker.environment("monitor")
    environment |= {"SR_METRICS_PORT": str(port), "SR_TOPOLOGY_PROFILE": "embedded"}
    with log.open("ab") as out:
        command = [sys.executable, "-m", "services.monitor.main"]
        return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out)  # noqa: S603


def _wait_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    ends = time.monotonic() + _READY_S
    while time.monotonic() < ends and process.poll() is None:
        try:
            with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
                return
        except (URLError, OSError):
            time.sleep(0.3)
    raise UnreachableError(f"the monitor was not ready:\n{log.read_text()[-2000:]}")


def _idle(pid: int, console: Console, seconds: float = 10.0) -> float:
    console.print("the monitor stands idle")
    spent, started = _processor_seconds(pid), time.monotonic()
    time.sleep(seconds)
    return (_processor_seconds(pid) - spent) / (time.monotonic() - started) * 100


def _steady(
    pid: int, sender: Sender, rate: int, warm: int, seconds: int, sealed: int, console: Console
) -> dict[str, float]:
    """Send `rate` entries a second, some each tick; figures of the time after the first `warm` seconds."""
    bodies = made_up((warm + seconds) * rate, sealed=sealed, at=lambda _: time.time_ns() // 1_000_000)
    ticks = track(range(warm), description="warming", console=console)
    for _ in ticks:
        _second(sender, bodies, rate)
    spent, started = _processor_seconds(pid), time.monotonic()
    for _ in track(range(seconds), description="measuring", console=console):
        _second(sender, bodies, rate)
    taken = time.monotonic() - started
    return {
        "entries_a_second": seconds * rate / taken,
        "percent_of_a_core": (_processor_seconds(pid) - spent) / taken * 100,
        "memory_mb": _memory(pid) / 1e6,
    }


def _second(sender: Sender, bodies: Iterator[bytes], rate: int) -> None:
    started, ticks = time.monotonic(), round(1 / _TICK_S)
    for tick in range(ticks):
        for _ in range(rate * tick // ticks, rate * (tick + 1) // ticks):
            sender.send(Message(ledger.TOPIC, None, next(bodies)), 0)
        time.sleep(max(0.0, started + (tick + 1) * _TICK_S - time.monotonic()))


def _processor_seconds(pid: int) -> float:
    """Seconds of processor time of a process so far, its own and the kernel's for it (`/proc`, Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory(pid: int) -> int:
    """Bytes of memory in use."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
