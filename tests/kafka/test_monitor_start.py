"""What the monitor reads while it starts is counted once, wherever its group stands and however long a seek takes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

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
