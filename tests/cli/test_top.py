"""`safe-reporting top` against the monitor's own pages: what is not known is `?`, what is old says so."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Static
from typer.testing import CliRunner

from services.cli import top_app, top_data
from services.cli.app import app
from services.cli.top_app import Top
from services.cli.top_data import Alert, MonitorUnreachableError, ask
from services.cli.top_frame import By, Memory, _alerts, clean, frame, span
from services.desk.closed import ClosedGate
from services.desk.desk import Desk
from services.desk.register import Pace, Register
from services.kernel import safety
from services.kernel.errors import ConfigError, Exit
from services.kernel.kafka.lag import Position
from services.kernel.kafka.topology_file import load_topology
from services.kernel.record import Inbound
from services.kernel.sensitive import SensitiveBytes
from services.kernel.vocabulary import Reason, Risk
from services.kernel.web import serve
from services.monitor import watch as module
from services.monitor.watch import Watch
from services.monitor.web import pages
from services.monitor.windows import Size
from tests.ledger.helpers import NOW
from tests.monitor.test_state import DELIVERIES
from tests.monitor.test_watch import Broker, Ledger, broker

#: The minute before this moment holds entries.
MOMENT = NOW + 125_000


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


class Monitor:
    """The monitor's watch and pages on a port, with a ledger and a broker that are made up."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.ledger.reached = DELIVERIES[-1].offset + 2
        self.watch = Watch(self.ledger, {}, load_topology(), slot=0)  # type: ignore[arg-type]
        self.watch.now = lambda: MOMENT  # type: ignore[method-assign]
        self.watch._look()
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self._server: ThreadingHTTPServer | None = None
        self.answer()

    def stuck(self) -> None:
        """A group has no position, another waits."""
        broker(self.watch).found = [
            Position("redactor", "agency.gmp.police-crime", 0, None, 7),
            *(Position("router", "redacted", part, 10, 20_000 + part) for part in range(4)),
        ]
        self.watch._look()

    def answer(self) -> None:
        self._server = serve(self.port, pages(self.watch))

    def go(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


@pytest.fixture
def monitor(monkeypatch: pytest.MonkeyPatch) -> Iterator[Monitor]:
    monkeypatch.setattr(module, "Positions", Broker)
    monkeypatch.setattr(module, "send", lambda *_, **__: None)
    monkeypatch.setattr(module, "FRESH_S", 600.0)  # it looks once, and a busy machine takes its time
    monkeypatch.setattr(top_app, "EVERY_S", 0.1)
    made = Monitor()
    yield made
    made.go()


def lines(address: str, size: Size = Size.MINUTE, by: By = By.FEED) -> list[str]:
    memory = Memory(datetime.now(UTC))
    seen = ask(address)
    memory.take(seen)
    return [line.plain for line in frame(memory, size, by, seen.at)]


def line(found: list[str], beginning: str) -> list[str]:
    return next(one for one in found if one.strip().startswith(beginning)).split()


def once(address: str, *more: str) -> Any:
    return CliRunner().invoke(app, ["top", "--once", "--monitor", address, *more])


def test_flow_is_what_the_entries_say(monitor: Monitor) -> None:
    day = lines(monitor.address, Size.DAY)
    assert day[0].startswith("UP TO DATE  0 offsets behind")
    assert line(day, "all") == ["all", "60", "54", "6", "0"]
    assert line(day, "gmp/police-crime") == ["gmp/police-crime", "60", "0", "0", "0"]
    partners = lines(monitor.address, Size.DAY, By.PARTNER)
    assert line(partners, "idva-service") == ["idva-service", "54", "54", "0"]
    assert line(partners, "immigration-enforcement") == ["immigration-enforcement", "54", "0", "54"]
    assert "whole" in next(one for one in lines(monitor.address) if one.startswith("FLOW"))
    assert all(len(one) <= 79 for one in [*day, *partners])


def test_what_is_not_known_is_never_nought(monitor: Monitor) -> None:
    monitor.ledger.ready = False
    monitor.watch._asked = monitor.watch._end_asked = -1e9
    monitor.watch._looked = None
    said = lines(monitor.address)
    assert said[0].startswith("NOT READY  since ")
    assert "ledger gaps ?, doubles ?" in said[1]
    assert "ALERTS  ? not known" in said
    assert "LAG  ? not known" in said
    assert line(said, "all") == ["all", "?", "?", "?", "?"]
    assert "UTC, ? not known" in next(one for one in said if one.startswith("FLOW"))
    monitor.ledger.ready = True
    assert lines(monitor.address)[0].startswith("BEHIND ?  since ")


def test_holds_and_the_gate_are_those_of_the_desk_and_not_known_without_it(monitor: Monitor) -> None:
    def second(desk: str | None) -> str:
        memory = Memory(datetime.now(UTC))
        memory.take(ask(monitor.address, desk))
        return frame(memory, Size.MINUTE, By.FEED, datetime.now(UTC))[1].plain

    port = free_port()
    address = f"http://127.0.0.1:{port}"
    assert "gate, holds: ?" in second(None)
    assert "gate, holds: ?" in second(address)  # nobody answers
    assert once(monitor.address, "--desk", address).exit_code == Exit.FOUND
    gate = ClosedGate({})
    gate.since, gate.waiting = 0, None
    desk = Desk(Register(), gate, Pace(1, 2), clock=lambda: 10, took=print)
    server = serve(port, {"/holds": lambda _: desk.page()})
    assert server is not None
    try:
        assert "gate, holds: ?" in second(address)  # it has not read its topics
        hold = safety.hold(("redacted", 0, 1), 0, Reason.FAULT, agency=None, feed=None, risk=Risk.UNKNOWN)
        desk.told(Inbound(safety.TOPIC, 0, 0, 9, None, SensitiveBytes(hold.value or b"")))
        desk.ready = True
        desk.show()
        assert "gate closed (? wait), holds 1, 1 escalated" in second(address)
        shut = once(monitor.address, "--desk", address)
        assert (shut.exit_code, "gate closed (? wait)" in shut.output) == (1, True)
        assert len(second(address)) <= 80
        gate.since = None
        assert once(monitor.address, "--desk", address).exit_code == Exit.FOUND  # a hold escalated
        id_ = safety.hold_id(("redacted", 0, 1))
        looked = safety.Acknowledgement(id_, "2026-11-25T00:00:00.000Z", "A1", "INC-7").message
        desk.told(Inbound(looked.topic, 0, 0, 9, None, SensitiveBytes(looked.value or b"")))
        desk.show()
        assert once(monitor.address, "--desk", address).exit_code == Exit.DONE
    finally:
        server.shutdown()
        server.server_close()
    with pytest.raises(ConfigError, match="--desk"):
        ask(monitor.address, "desk:9108")


NESTED = b'{"x": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"


class Odd(BaseHTTPRequestHandler):
    """Answers with `page`, byte by byte where it is `slow`; `None` is a desk whose process hangs."""

    page: bytes | None = b""
    slow = False

    def do_GET(self) -> None:
        if self.page is None:
            time.sleep(2)
            return
        self.send_response(200)
        self.end_headers()
        for at in range(len(self.page)) if self.slow else (slice(None),):
            self.wfile.write(self.page[at : at + 1] if isinstance(at, int) else self.page)
            time.sleep(0.05 if self.slow else 0)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def odd(page: bytes | None, *, slow: bool = False) -> Iterator[str]:
    handler = type("Handler", (Odd,), {"page": page, "slow": slow})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # who asks hangs up
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("page", "slow"),
    [
        (None, False), (b"", False), (b'{"ready": false}', False), (b'{"open": {}, "gate": null}', False),
        (b'{"ready": true, "open": {"0": 0}, "gate": null}', False), (b"\xff", False), (NESTED, False),
        (b" " * 500, True),
    ],
    ids=["hangs", "empty", "not ready", "another's", "a level is missing", "binary", "deep", "never ends"],
)  # fmt: skip
def test_a_desk_that_does_not_know_is_told_as_such_and_in_time(
    monitor: Monitor, monkeypatch: pytest.MonkeyPatch, page: bytes | None, slow: bool
) -> None:
    monkeypatch.setattr(top_data, "_PAGE_S", 0.5)
    with odd(page, slow=slow) as desk:
        began = time.monotonic()
        done = once(monitor.address, "--desk", desk)
        assert "gate, holds: ?" in done.output, (done.output, done.exception)
        assert time.monotonic() - began < 10


@pytest.mark.parametrize(("page", "slow"), [(NESTED, False), (b" " * 500, True)], ids=["deep", "never ends"])
def test_a_monitor_that_says_nothing_of_use_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, page: bytes, slow: bool
) -> None:
    monkeypatch.setattr(top_data, "_PAGE_S", 0.5)
    with odd(page, slow=slow) as address:
        assert isinstance(once(address).exception, MonitorUnreachableError)


@pytest.mark.parametrize("option", ["--monitor", "--desk"])
def test_the_live_screen_refuses_what_is_no_address_before_it_begins(option: str) -> None:
    done = CliRunner().invoke(app, ["top", option, "monitor:9108"])
    assert isinstance(done.exception, ConfigError)
    assert option in str(done.exception.faults)


def test_rows_stay_when_their_figures_are_not_known_any_more(monitor: Monitor) -> None:
    memory = Memory(datetime.now(UTC))
    memory.take(ask(monitor.address))
    monitor.ledger.ready = False
    first = ask(monitor.address)
    memory.take(first)
    memory.take(first._replace(at=first.at + timedelta(seconds=50)))
    said = [one.plain for one in frame(memory, Size.MINUTE, By.PARTNER, first.at + timedelta(seconds=51))]
    assert line(said, "idva-service") == ["idva-service", "?", "?", "?"]
    assert f"since {first.at:%H:%M:%S} UTC" in said[0]  # when it began, not the last answer


def test_alerts_and_lag_say_where(monitor: Monitor) -> None:
    monitor.stuck()
    said = lines(monitor.address)
    assert line(said, "CRIT no_position")[-2:] == ["1x", "gmp.police-crime/0"]
    assert line(said, "warn lag_records") == ["warn", "lag_records", "router", "19,993", "4x", "redacted/0"]
    assert line(said, "redactor") == ["redactor", "?", "no", "position", "agency.gmp.police-crime/0"]
    assert line(said, "router")[1] == "79,966"
    assert all(len(one) <= 79 for one in said)


def test_many_kinds_of_alerts_leave_room_and_the_gravest_come_first() -> None:
    events = ["lag_records", "lag_age", "no_progress", "quarantine_burst", "no_position", "unheard_of"]
    found = [Alert(event, "critical", "router", "redacted", 0, 400) for event in events]
    said = [one.plain for one in _alerts(found, 4)]
    assert said[0] == "ALERTS  6 active; 2 more kinds: safe-reporting top --once"
    assert [one.split()[1] for one in said[1:]] == ["no_position", "quarantine_burst", "no_progress", "lag_age"]
    assert len(_alerts(found, None)) == 7


@pytest.mark.parametrize(("seconds", "said"), [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (2e5, "2 d")])
def test_spans_and_words_of_the_ledger(seconds: float, said: str) -> None:
    assert span(seconds) == said
    assert clean("a\x1b[2Jb\u202e", 9) == "a.[2Jb."


def test_once_says_by_its_exit_code_what_is(monitor: Monitor) -> None:
    fine = once(monitor.address)
    assert (fine.exit_code, "ALERTS  none" in fine.stdout, "\x1b" in fine.stdout) == (Exit.DONE, True, False)
    monitor.stuck()
    alerted = once(monitor.address, "--by", "partner", "--window", "1d")
    assert (alerted.exit_code, "FLOW BY PARTNER" in alerted.stdout) == (Exit.FOUND, True)
    broker(monitor.watch).found = []
    monitor.watch._look()
    assert once(monitor.address).exit_code == Exit.DONE
    monitor.ledger.ready = False
    assert once(monitor.address).exit_code == Exit.FOUND


def test_a_monitor_that_is_away_is_said_without_guessing_about_the_broker(monitor: Monitor) -> None:
    monitor.go()
    command = [sys.executable, "-m", "services.cli.app", "top", "--once", "--monitor", monitor.address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    said = f"error: the monitor at `{monitor.address}` does not answer: Connection refused\n"
    assert (done.returncode, done.stdout, done.stderr) == (Exit.UNREACHABLE, "", said)


def test_another_service_at_that_port_is_no_monitor(monitor: Monitor) -> None:
    monitor.go()
    other = serve(monitor.port, {"/healthz": lambda _: (200, {"progress": True})})
    assert other is not None
    with pytest.raises(MonitorUnreachableError, match="not as a monitor"):
        ask(monitor.address)
    other.shutdown()
    other.server_close()
    with pytest.raises(ConfigError):
        ask("file:///etc/hostname")


def test_the_library_of_the_screen_is_loaded_by_no_other_command() -> None:
    code = "import sys, services.cli.app; sys.exit('textual' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0


def screen(address: str, act: Callable[[Pilot[None]], Awaitable[None]]) -> None:
    async def run() -> None:
        async with Top(address, Size.MINUTE, By.FEED).run_test(size=(80, 24)) as pilot:
            await act(pilot)

    asyncio.run(run())


async def until(pilot: Pilot[None], word: str) -> str:
    """What is on the screen once `word` is."""
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        said = "\n".join(str(pilot.app.query_one(name, Static).render()) for name in ("#state", "#body"))
        if word in said:
            return said
        await pilot.pause(0.05)
    raise AssertionError(f"{word}\n{said}")


def test_keys_turn_the_screen(monitor: Monitor) -> None:
    async def act(pilot: Pilot[None]) -> None:
        assert "gmp/police-crime" in await until(pilot, "UP TO DATE")
        await pilot.press("tab")
        assert "idva-service" in await until(pilot, "FLOW BY PARTNER  1 minute")
        await pilot.press("2")
        await until(pilot, "FLOW BY PARTNER  15 minutes")
        await pilot.press("3", "tab")
        said = await until(pilot, "FLOW BY FEED  1 day")
        assert line(said.splitlines(), "all") == ["all", "60", "54", "6", "0"]
        monitor.stuck()
        await until(pilot, "CRIT no_position")
        await pilot.press("q")
        assert pilot.app._exit

    screen(monitor.address, act)


def test_figures_stay_and_are_marked_while_the_monitor_is_away(monitor: Monitor) -> None:
    async def act(pilot: Pilot[None]) -> None:
        await pilot.press("3")
        await until(pilot, "UP TO DATE")
        monitor.go()
        said = await until(pilot, "does not answer: Connection refused")  # a question under way is told otherwise
        assert "NO ANSWER  since " in said
        assert "figures below are OLD" in said
        assert line(said.splitlines(), "all") == ["all", "60", "54", "6", "0"]
        top: Any = pilot.app
        rows = frame(top.memory, Size.DAY, By.FEED, datetime.now(UTC))[1:]
        assert all(row.style == "dim" and not row.spans for row in rows)
        monitor.answer()
        assert "OLD" not in await until(pilot, "UP TO DATE")

    screen(monitor.address, act)


def test_a_monitor_that_never_answered_shows_no_figure(monitor: Monitor) -> None:
    monitor.go()

    async def act(pilot: Pilot[None]) -> None:
        said = await until(pilot, "NO ANSWER  since ")
        assert "nothing is known" in said
        assert "FLOW" not in said

    screen(monitor.address, act)
