"""What the monitor reads while it starts, or while others join its group, is counted once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from services.kernel.errors import Exit
from services.kernel.kafka.embedded import EmbeddedKafka
from services.kernel.kafka.reader import Sender, read_all
from services.kernel.kafka.topology import apply, load_topology
from services.kernel.ledger import TOPIC, rfc3339
from services.kernel.record import Message
from tests.kafka.monitor_process import Monitor
from tests.kafka.test_monitor import say_all_is_read
from tests.ledger.helpers import entries

pytestmark = pytest.mark.kafka
#: More than the stream's buffer holds, so that its queue is not empty when Faust empties it.
COUNT = 6000


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedKafka]:
    """A broker of its own: the figures are of all that its ledger ever held."""
    with EmbeddedKafka() as kafka:
        apply(kafka.client_config("admin"), load_topology(), profile="embedded")
        yield kafka


@pytest.mark.parametrize(
    ("slow", "place"), [("before", "middle"), ("before", "end"), ("after", "beginning"), ("after", "middle")]
)
def test_a_slow_seek_loses_nothing(broker: EmbeddedKafka, tmp_path: Path, slow: str, place: str) -> None:
    config = broker.client_config("admin")
    first = sum(1 for _ in read_all(config, TOPIC, name="admin"))
    end = first + COUNT
    with Sender(config, deadline=60.0) as sender:
        for body in entries(COUNT, first):
            entry = orjson.loads(body) | {"time": rfc3339(int(time.time() * 1000))}
            sender.send(Message(TOPIC, None, orjson.dumps(entry)), 0)
    at = {"beginning": first, "middle": (first + end) // 2, "end": end}[place]
    say_all_is_read(config, at)
    monitor = Monitor(broker, tmp_path, module="tests.kafka.slow_seek", TEST_SLOW=slow)
    try:
        found = monitor.caught_up(end - 1)
        counted = [window["total"]["entries"] for window in found["windows"] if window["total"] is not None]
        assert sum(counted) == end
        assert sum(chain["entries"] for chain in found["chains"]) == end
    finally:
        monitor.kill()


def test_a_start_that_does_not_come_on_ends_the_process(broker: EmbeddedKafka, tmp_path: Path) -> None:
    monitor = Monitor(broker, tmp_path, module="tests.kafka.slow_seek", TEST_SLOW="for ever")
    try:
        assert monitor.process.wait(60) == Exit.UNREACHABLE
        assert "did not start within" in monitor.log.read_text()
    finally:
        monitor.kill()


class Flow(threading.Thread):
    """Entries of now, of so many feeds that each step changes hundreds of values."""

    def __init__(self, config: dict[str, str], first: int) -> None:
        super().__init__(daemon=True)
        self._config, self._first = config, first
        self.enough = threading.Event()
        self.sent = 0

    def run(self) -> None:
        bodies = entries(1_000_000, self._first)
        with Sender(self._config, deadline=60.0) as sender:
            while not self.enough.wait(0.1):
                for _ in range(60):
                    body = orjson.loads(next(bodies)) | {"time": rfc3339(int(time.time() * 1000))}
                    body["feed"] = f"feed-{self.sent % 200}"
                    sender.send(Message(TOPIC, None, orjson.dumps(body)), 0)
                    self.sent += 1


def test_who_joins_and_leaves_changes_no_figure(broker: EmbeddedKafka, tmp_path: Path) -> None:
    config = broker.client_config("admin")
    first = sum(1 for _ in read_all(config, TOPIC, name="admin"))
    folders = [tmp_path / str(slot) for slot in range(2)]
    for folder in folders:
        folder.mkdir()
    monitors = [Monitor(broker, folders[0], SR_SLOT="0")]
    flow = Flow(config, first)
    flow.start()
    try:
        monitors[0].caught_up(first + 500)
        monitors.append(Monitor(broker, folders[1], SR_SLOT="1"))
        time.sleep(5)
        for number in range(8):  # the other one joins and leaves; in the end the first one does
            monitor = monitors[0 if number > 5 else 1]
            monitor.kill()
            time.sleep(7 + number * 0.3)  # longer than its session
            monitor.start()
            time.sleep(3 + number * 0.3)
        flow.enough.set()
        flow.join(60)
        total = sum(1 for _ in read_all(config, TOPIC, name="admin"))
        assert total == first + flow.sent > first + 10_000
        ends = time.monotonic() + 90
        there = {"behind": 0, "applied": total - 1}  # `behind` is of its last look at the end, some seconds ago
        while not (known := [f for m in monitors if there.items() <= (f := m.figures()).items()]):
            assert time.monotonic() < ends, [m.log.read_text()[-1500:] for m in monitors]
            time.sleep(0.3)
        (found,) = known
        counted = [window["total"]["entries"] for window in found["windows"] if window["total"] is not None]
        assert sum(counted) == total
        chains = found["chains"]
        assert sum(chain["entries"] for chain in chains) == total
        assert sum(chain["gaps"] + chain["doubles"] for chain in chains) == 0
    finally:
        for monitor in monitors:
            monitor.kill()
