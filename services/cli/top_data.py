"""What the monitor's pages say, as figures for people: None where the monitor does not know."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from services.desk.register import LEVELS
from services.kernel.errors import ConfigError, UnreachableError
from services.kernel.jsonio import UNREADABLE
from services.monitor.report import Known
from services.monitor.windows import NONE, Size

#: Seconds for each part of a page (twice that for the whole), and its greatest length in bytes.
_PAGE_S, _PAGE_BYTES = 3.0, 16 * 1024 * 1024
#: The monitor is asked directly, whatever proxy the environment names.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
#: The services whose entries are the flow of records, and the one whose denials are recalls.
_REDACTOR, _ROUTER, _RECALL = "redactor", "router", "recall"

Numbers = tuple[int | None, ...]


class MonitorUnreachableError(UnreachableError):
    """The monitor does not answer, or something else answers there."""

    code = "monitor_unreachable"


class Cell(msgspec.Struct, frozen=True):
    """Figures of one service for one feed of an agency; `partners` has `allow` and `deny`."""

    service: str
    agency: str
    feed: str
    entries: int
    outcomes: dict[str, int]
    partners: dict[str, dict[str, int]]


class Window(msgspec.Struct, frozen=True):
    """One window; `cells` is None where nothing is known of it."""

    start: datetime
    end: datetime
    known: Known
    cells: list[Cell] | None


class Waiting(msgspec.Struct, frozen=True):
    """Lag of one partition of a group, as `services/monitor/lag.py` has it."""

    group: str
    topic: str
    partition: int
    records: int | None
    age: float | None
    age_at_least: float
    still: float
    known: bool = True


class Alert(msgspec.Struct, frozen=True):
    """A condition that holds; `about` is the group or the service."""

    event: str
    severity: str
    about: str
    topic: str | None
    partition: int | None
    count: int | None


class Chain(msgspec.Struct, frozen=True):
    """Faults of a chain of entries since the monitor began."""

    gaps: int
    doubles: int


class Figures(msgspec.Struct, frozen=True):
    """The page `/figures`."""

    ready: bool
    behind: int | None
    windows: list[Window]
    lag: list[Waiting] | None
    chains: list[Chain] | None
    conditions: list[Alert] | None = None


class ClosedGate(msgspec.Struct, frozen=True):
    """The closed gate as the desk sees it; `records` is None where it is not known how many wait."""

    raised: datetime
    records: int | None
    level: int


class Held(msgspec.Struct, frozen=True):
    """The desk's page `/holds`: open holds by level, and the gate where it is closed."""

    ready: bool
    open: dict[str, int]
    gate: ClosedGate | None

    @property
    def whole(self) -> bool:
        """Whether it says how many there are of every level: a level that is left out is not nought."""
        return self.ready and set(self.open) == {str(level) for level in LEVELS}

    @property
    def late(self) -> int:
        """Holds that escalated because nobody looked at them."""
        return sum(self.open.get(level, 0) for level in ("1", "2"))

    @property
    def fine(self) -> bool:
        """Whether the gate is open and every hold is young or looked at."""
        return self.gate is None and not self.late


class _Health(msgspec.Struct):
    progress: bool


class Seen(NamedTuple):
    """All that the monitor said at one moment."""

    at: datetime
    progress: bool
    page: Figures
    windows: dict[Size, Window]
    held: Held | None = None

    @property
    def knows(self) -> bool:
        """Whether it knows how far its figures reach."""
        return self.page.ready and self.page.behind is not None

    @property
    def fine(self) -> bool:
        """Whether it knows, goes on, and nothing is alerted."""
        return self.knows and self.progress and self.page.conditions == []


def ask(monitor: str, desk: str | None = None) -> Seen:
    """Ask the monitor for everything; windows are the last whole ones, and the day so far.

    Args:
        desk: where the safety desk's pages are. A desk that does not answer, or does not know yet, is no error.

    Raises:
        MonitorUnreachableError: there is no answer, or none of a monitor.
    """
    check_address("--monitor", monitor)
    base = monitor.rstrip("/")
    at = datetime.now(UTC)
    try:
        health = msgspec.json.decode(_get(f"{base}/healthz"), type=_Health)
        pages = {s: msgspec.json.decode(_get(f"{base}/figures?window={s}&count=2"), type=Figures) for s in Size}
        windows = {size: page.windows[0 if size is Size.DAY else 1] for size, page in pages.items()}
    except (*UNREADABLE, IndexError) as error:
        raise MonitorUnreachableError(f"`{monitor}` answers, but not as a monitor: the port of another?") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        what = getattr(reason, "strerror", None) or str(reason) or type(error).__name__
        raise MonitorUnreachableError(f"the monitor at `{monitor}` does not answer: {what}") from error
    return Seen(at, health.progress, pages[Size.DAY], windows, ask_desk(desk) if desk else None)


def check_address(option: str, given: str) -> None:
    """Refuse what is no address.

    Raises:
        ConfigError: it begins with neither http:// nor https://.
    """
    if not given.startswith(("http://", "https://")):
        raise ConfigError("top", [f"`{option}` is an address such as http://127.0.0.1:9108"])


def ask_desk(desk: str) -> Held | None:
    """What the safety desk knows; None where that is nothing.

    Raises:
        ConfigError: `desk` is no address.
    """
    check_address("--desk", desk)
    try:
        held = msgspec.json.decode(_get(f"{desk.rstrip('/')}/holds"), type=Held)
    except (*UNREADABLE, OSError, http.client.HTTPException, ValueError):
        return None
    return held if held.whole else None


def _get(url: str) -> bytes:
    """A page, also where its status says that something is wrong.

    Raises:
        TimeoutError: it comes so slowly that it never ends.
    """
    ends = time.monotonic() + 2 * _PAGE_S
    try:
        answer = _OPENER.open(url, timeout=_PAGE_S)
    except urllib.error.HTTPError as error:
        answer = error
    page = bytearray()
    with answer:
        while len(page) < _PAGE_BYTES and (part := answer.read1(_PAGE_BYTES - len(page))):
            page += part
            if time.monotonic() > ends:
                raise TimeoutError("the page does not end")
    return bytes(page)


def feeds_of(seen: Seen) -> set[str]:
    """Every feed that the monitor names, with or without records."""
    topics = {w.topic for w in seen.page.lag or () if w.topic.startswith("agency.")}
    named = {topic.removeprefix("agency.").replace(".", "/", 1) for topic in topics}
    return named.union(*(by_feed(window, ()) for window in seen.windows.values()))


def partners_of(seen: Seen) -> set[str]:
    """Every partner that was decided about in one of the windows."""
    return set().union(*(by_partner(window, ()) for window in seen.windows.values()))


def by_feed(window: Window, names: Iterable[str]) -> dict[str, Numbers]:
    """In, forwarded, withheld and quarantined for each feed; None of each where the window is not known."""
    if window.cells is None:
        return dict.fromkeys(names, (None,) * 4)
    made: dict[str, Numbers] = dict.fromkeys(names, (0,) * 4)
    for cell in window.cells:
        if cell.service in (_REDACTOR, _ROUTER) and cell.entries:
            name = "not named" if cell.agency == cell.feed == NONE else f"{cell.agency}/{cell.feed}"
            words = ("forwarded", "withheld", "quarantined")
            out = [sum(n for key, n in cell.outcomes.items() if key.partition("/")[0] == word) for word in words]
            made[name] = _sum([made.get(name, (0,) * 4), (cell.entries if cell.service == _REDACTOR else 0, *out)])
    return made


def by_partner(window: Window, names: Iterable[str]) -> dict[str, Numbers]:
    """Decided, forwarded and withheld for each partner; None of each where the window is not known."""
    if window.cells is None:
        return dict.fromkeys(names, (None,) * 3)
    made: dict[str, Numbers] = dict.fromkeys(names, (0,) * 3)
    for cell in window.cells:
        for partner, effects in cell.partners.items() if cell.service != _RECALL else ():
            allow, deny = effects.get("allow", 0), effects.get("deny", 0)
            made[partner] = _sum([made.get(partner, (0,) * 3), (allow + deny, allow, deny)])
    return made


def _sum(rows: Sequence[Numbers]) -> Numbers:
    return tuple(None if None in column else sum(n or 0 for n in column) for column in zip(*rows, strict=True))


def total(window: Window, rows: dict[str, Numbers], width: int) -> Numbers:
    """The sum of all rows."""
    return (None,) * width if window.cells is None else _sum([(0,) * width, *rows.values()])
