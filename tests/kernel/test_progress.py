"""Ready and healthy as pages and as metrics, from a clock that the test moves."""

from __future__ import annotations

import socket
import urllib.request

import orjson
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from services.kernel import web
from services.kernel.errors import UnreachableError
from services.kernel.kafka import service
from services.kernel.progress import OPEN_S, START_S, STILL_S, Progress


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def progress(clock: Clock) -> Progress:
    return Progress("router", clock)


def test_ready_is_loaded_and_joined(progress: Progress) -> None:
    assert progress.ready()[0] == 503
    progress.loaded = True
    assert progress.ready() == (503, {"ready": False, "loaded": True, "joined": False, "open": None})
    progress.joined = True
    assert progress.ready()[0] == 200
    progress.joined = False
    assert progress.ready()[0] == 503


def test_health_is_progress_and_a_start_may_take_longer(progress: Progress, clock: Clock) -> None:
    clock.now += START_S - 1
    assert progress.health()[0] == 200
    clock.now += 2
    assert progress.health()[0] == 503
    progress.moved()
    clock.now += STILL_S - 1
    assert progress.health()[0] == 200
    clock.now += 2
    assert progress.health() == (503, {"progress": False, "still_seconds": STILL_S + 1, "open": None})


def test_a_closed_service_is_healthy_and_says_so_only_while_somebody_asks(progress: Progress, clock: Clock) -> None:
    progress.moved()
    for _ in range(10):
        clock.now += STILL_S / 2
        progress.say_open(False)
    assert progress.health() == (200, {"progress": True, "still_seconds": 0.0, "open": False})
    clock.now += OPEN_S
    assert progress.open is None


def test_a_service_exports_the_time_that_it_has_for_another_to_compare(
    progress: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: 1_795_600_000.5)
    registry = CollectorRegistry()
    registry.register(progress)
    clock = registry.get_sample_value("safe_reporting_clock_timestamp_seconds", {"service": "router"})
    assert clock == 1_795_600_000.5


def test_that_it_may_publish_is_no_progress(progress: Progress, clock: Clock) -> None:
    progress.moved()
    clock.now += STILL_S
    progress.say_open(True)
    assert progress.health()[0] == 503


def test_what_is_not_known_has_no_series(progress: Progress) -> None:
    registry = CollectorRegistry()
    registry.register(progress)
    assert b"safe_reporting_open" not in generate_latest(registry)
    progress.say_open(False)
    assert b'safe_reporting_open{service="router"} 0.0' in generate_latest(registry)
    assert b'safe_reporting_ready{service="router"} 0.0' in generate_latest(registry)


def test_a_port_that_is_taken_is_said() -> None:
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        with pytest.raises(UnreachableError, match="SR_METRICS_PORT"):
            web.serve(int(taken.getsockname()[1]), {})


def test_a_page_that_fails_is_told_of_by_its_place_alone(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = int(probe.getsockname()[1])

    def fails(_: dict[str, list[str]]) -> tuple[int, dict[str, object]]:
        raise ValueError("planted-7f3a")

    server = web.serve(free, {"/fails": fails, "/works": lambda _: (200, {"ok": True})})
    assert server is not None
    with pytest.raises(ConnectionError):
        urllib.request.urlopen(f"http://127.0.0.1:{free}/fails", timeout=5)
    with urllib.request.urlopen(f"http://127.0.0.1:{free}/works", timeout=5) as answer:
        assert orjson.loads(answer.read()) == {"ok": True}
    server.shutdown()
    server.server_close()
    said = "".join(capfd.readouterr())
    assert "page_failed" in said
    assert "planted" not in said
    assert "Traceback" not in said


@pytest.mark.parametrize(("given", "own"), [("9100", "9103"), ("0", "0"), (None, "0"), ("many", "many")])
def test_each_worker_has_a_port_of_its_own(given: str | None, own: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SR_METRICS_PORT", raising=False)
    if given is not None:
        monkeypatch.setenv("SR_METRICS_PORT", given)
    assert service._of_slot(3) == {"SR_SLOT": "3", "SR_METRICS_PORT": own}
