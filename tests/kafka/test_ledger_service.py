"""The ledger service on the real broker, on SQLite and PostgreSQL, killed while it appends."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from services.kernel import keys
from services.kernel.kafka.embedded import EmbeddedKafka
from services.kernel.kafka.reader import Sender, read_all, send_together
from services.kernel.ledger import TOPIC
from services.kernel.record import Message
from services.ledger import note, tables
from services.ledger.publish import TOPIC as CHECKPOINTS
from services.ledger.store import Store
from services.ledger.verify import Tampering, verify
from tests.ledger import postgres
from tests.ledger.helpers import READER, entries, url

pytestmark = pytest.mark.kafka


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield url(tmp_path)
        return
    with postgres.server() as found:
        yield found


class Service:
    """The service as a process that a test kills and starts anew."""

    def __init__(self, broker: EmbeddedKafka, database: str, folder: Path) -> None:
        keys.init_dev(folder / "keys", [])
        self.keys = folder / "keys"
        self._file = folder / "ledger.log"
        self._file.touch()
        self._before = 0
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SR_")}
        self._environment = kept | broker.environment("ledger") | {
            "SR_KEYS_DIR": str(self.keys), "SR_LEDGER_DATABASE": database,
            "SR_LEDGER_CHECKPOINT_FILE": str(folder / "checkpoint"),
        }  # fmt: skip
        self.start()

    def start(self) -> None:
        self._before = self._file.stat().st_size
        command = [sys.executable, "-m", "services.ledger.main"]
        with self._file.open("ab") as log:
            self.process = subprocess.Popen(command, env=self._environment, stderr=log, stdout=log)

    def is_up(self) -> bool:
        """Whether the process that was started last reads the topic."""
        return b"ledger_started" in self._file.read_bytes()[self._before :]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


def fill(broker: EmbeddedKafka, count: int, rate: float) -> None:
    """Send made-up entries at a steady rate, some of them in transactions, which leave markers between."""
    name = f"t{time.time_ns()}"
    config = broker.client_config("admin")
    made = [Message(TOPIC, None, body) for body in entries(count, feed=f"agency.{name}.marac", routed_from=f"r{name}")]
    started = time.monotonic()
    with Sender(config, deadline=60.0) as sender:
        for at in range(0, count, 100):
            part = made[at : at + 100]
            if at % 1000 == 0:
                sender.flush()
                send_together(config, [(message, 0) for message in part], name="admin-fill")
            else:
                for message in part:
                    sender.send(message, 0)
            time.sleep(max(0.0, started + at / rate - time.monotonic()))


def run(broker: EmbeddedKafka, database: str, folder: Path, *, count: int, kills: int, rate: float) -> None:
    """Kill while entries flow; then every committed message of the topic is one leaf, in its order."""
    draw = random.Random(kills)
    service = Service(broker, database, folder)
    filler = threading.Thread(target=fill, args=(broker, count, rate))
    filler.start()
    for _ in range(kills):
        time.sleep(draw.uniform(1.2, 2.5))
        service.kill()
        service.start()
    filler.join()
    wanted = [(r.offset, r.value.reveal() if r.value else b"") for r in read_all(config(broker), TOPIC, name="admin")]
    ends = time.monotonic() + 120
    with Store(database) as store:
        while store.state().size < len(wanted) or not service.is_up():
            assert time.monotonic() < ends, (folder / "ledger.log").read_text()[-2000:]
            assert service.process.poll() is None
            time.sleep(0.3)
        assert service.stop() == 0, (folder / "ledger.log").read_text()[-4000:]
        with store.connection() as connection:
            held = connection.execute(sa.select(tables.leaf.c.position, tables.leaf.c.body).order_by(tables.leaf.c.idx))
            assert [(position, bytes(body)) for position, body in held] == wanted
        key = keys.public_key(keys.load(service.keys, ["ledger-pub"])["ledger-pub"])
        report = verify(store, key, READER)
        assert [f for f in report.findings if f.what not in (Tampering.CHAIN, Tampering.DOUBLED)] == []
        newest = note.read((folder / "checkpoint").read_text())
        note.verify(newest, key)
        assert newest.checkpoint.size == len(wanted)
        published = {r.value.reveal().decode() for r in read_all(config(broker), CHECKPOINTS, name="admin") if r.value}
        assert set(store.checkpoints()) <= published


def config(broker: EmbeddedKafka) -> dict[str, str]:
    return broker.client_config("admin")


def test_five_kills_lose_and_double_nothing(broker: EmbeddedKafka, database: str, tmp_path: Path) -> None:
    run(broker, database, tmp_path, count=10_000, kills=5, rate=1000)


@pytest.mark.long
def test_fifty_kills_over_a_hundred_thousand_entries(broker: EmbeddedKafka, database: str, tmp_path: Path) -> None:
    run(broker, database, tmp_path, count=100_000, kills=50, rate=1000)


def test_a_missing_key_or_database_is_said_in_one_line(broker: EmbeddedKafka, tmp_path: Path) -> None:
    service = Service(broker, url(tmp_path), tmp_path)
    service.kill()
    next(service.keys.glob("ledger.*")).unlink()
    service.start()
    assert service.process.wait(30) == 2
    assert "no key `ledger.<key id>`" in (tmp_path / "ledger.log").read_text()
    other = Service(broker, "", tmp_path)
    assert other.process.wait(30) == 2
    assert "SR_LEDGER_DATABASE" in (tmp_path / "ledger.log").read_text()
