"""Ten times kill -9 while entries, doubles, gaps and late entries flow: every window and chain is that of an oracle."""

from __future__ import annotations

import random
import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from services.kernel.kafka.embedded import EmbeddedKafka
from services.kernel.kafka.reader import Sender, read_all, send_together
from services.kernel.kafka.topology import apply, load_topology
from services.kernel.ledger import TOPIC, rfc3339
from services.kernel.record import Inbound, Message
from services.monitor.buckets import BOUNDS_MS
from tests.kafka.monitor_process import Monitor
from tests.kafka.test_monitor import abort, say_all_is_read
from tests.ledger.helpers import entries

pytestmark = [pytest.mark.kafka, pytest.mark.long]

KILLS = 10
MINUTE, GRACE = 60_000, 600_000
#: Name of a window on the page to its length in milliseconds, and how many are asked for.
SIZES = {"1m": (MINUTE, 120), "15m": (15 * MINUTE, 192), "1d": (1440 * MINUTE, 3)}


class Flow(threading.Thread):
    """Sends entries of now until it is told to stop, and some that are not as they should be."""

    def __init__(self, config: dict[str, str], draw: random.Random) -> None:
        super().__init__(daemon=True)
        self._config = config
        self._draw = draw
        self.enough = threading.Event()
        self.sent = 0

    def run(self) -> None:
        bodies = entries(1_000_000)
        held: list[bytes] = []
        with Sender(self._config, deadline=60.0) as sender:
            for turn in range(1_000_000):
                if self.enough.wait(0.25):
                    return
                made = [value for _ in range(120) for value in self._some(next(bodies), held)]
                if turn % 5 == 0:  # one in five as a transaction
                    sender.flush()
                    send_together(self._config, [(Message(TOPIC, None, value), 0) for value in made], name="admin-fill")
                else:
                    for value in made:
                        sender.send(Message(TOPIC, None, value), 0)
                self.sent += len(made)

    def _some(self, body: bytes, held: list[bytes]) -> list[bytes]:
        """What is sent for one entry: itself, itself twice, nothing for now, something else besides."""
        draw, now = self._draw, int(time.time() * 1000)
        shift = draw.choices((0, -5 * MINUTE, -30 * MINUTE, 20 * MINUTE), (94, 3, 2, 1))[0]
        received = draw.choices((None, now - draw.randrange(20_000), now + 5_000), (1, 8, 1))[0]
        entry = orjson.loads(body) | {
            "time": rfc3339(now + shift),
            "received": None if received is None else rfc3339(received),
            "agency": draw.choice(("gmp", "tprc", "marac-office", None)),
        }
        if draw.random() < 0.01:
            entry["canary"] = True
        value = orjson.dumps(entry)
        kind = draw.choices(("once", "twice", "later", "missing", "noise"), (9700, 200, 10, 5, 10))[0]
        if kind in {"later", "missing"}:
            held += [value] if kind == "later" else []
            return []
        late = [held.pop(0)] if held and draw.random() < 0.01 else []
        return [value, *late, *({"twice": [value], "noise": [b"no entry"]}.get(kind, []))]


@dataclass
class Cell:
    """Figures of one window of one service, agency and feed."""

    outcomes: Counter[str] = field(default_factory=Counter)
    partners: Counter[tuple[str, str]] = field(default_factory=Counter)
    took: dict[str, list[int | None]] = field(default_factory=lambda: {"processing_ms": [], "end_to_end_ms": []})
    misplaced: Counter[str] = field(default_factory=Counter)


@dataclass
class Track:
    """One chain: offsets that have an entry, and those that lack one."""

    last: int = -1
    entries: int = 0
    gaps: int = 0
    doubles: int = 0
    missing: set[int] = field(default_factory=set)


class Oracle:
    """Counts the topic as a person would with pen and paper, one entry after the other."""

    def __init__(self, records: Iterable[Inbound]) -> None:
        self.cells: dict[tuple[str, int, str, str, str], Cell] = {}
        self.tracks: dict[tuple[str, str, int], Track] = {}
        self.findings: set[tuple[str, str, int, int]] = set()
        self.unreadable, self.last, self.first_at, self.count = 0, -1, -1, 0
        for record in records:
            self.count += 1
            self.last = record.offset
            self.first_at = record.timestamp if self.first_at < 0 else self.first_at
            value = record.value.reveal() if record.value is not None else b""
            if value == b"no entry":
                self.unreadable += 1
                continue
            entry = orjson.loads(value)
            if self._joins(entry) and not entry.get("canary"):
                self._count(entry, record.timestamp)

    def _joins(self, entry: dict[str, Any]) -> bool:
        source = entry["source"]
        place = entry["service"], source["topic"], source["partition"]
        offset, previous = source["offset"], source["previous"]
        new = place not in self.tracks
        track = self.tracks.setdefault(place, Track())
        if offset <= track.last and offset not in track.missing:
            track.doubles += 1
            self.findings.add(("chain_double", *place[1:], offset))
            return False
        track.entries += 1
        if offset in track.missing:
            track.missing.remove(offset)
            return True
        if previous > track.last and not new:
            track.gaps += 1
            track.missing |= set(range(track.last + 1, previous + 1))
            self.findings.add(("chain_gap", *place[1:], track.last + 1))
        track.last = offset
        return True

    def _count(self, entry: dict[str, Any], appended: int) -> None:
        at = moment(entry["time"])
        for size, (length, _) in SIZES.items():
            end = at - at % length + length
            odd = "late" if appended > end + GRACE else "ahead" if at > appended + GRACE else None
            start = appended - appended % length if odd else end - length
            place = size, start, entry["service"], entry["agency"] or "none", entry["feed"] or "none"
            cell = self.cells.setdefault(place, Cell())
            if odd:
                cell.misplaced[odd] += 1
                continue
            cell.outcomes[f"{entry['outcome']}/{entry['reason']}" if entry["reason"] else entry["outcome"]] += 1
            cell.partners.update((d["partner"], d["effect"]) for d in entry["decisions"])
            cell.took["processing_ms"].append(appended - at)
            cell.took["end_to_end_ms"].append(entry["received"] and appended - moment(entry["received"]))


def moment(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def compare(found: dict[str, Any], size: str, oracle: Oracle) -> int:
    """Every cell of a size; returns in how many the figures were compared."""
    length = SIZES[size][0]
    wanted = {place[1:]: cell for place, cell in oracle.cells.items() if place[0] == size}
    compared = 0
    for window in found["windows"]:
        start = moment(window["start"])
        if window["cells"] is None:
            assert start + length <= oracle.first_at, "what the ledger speaks of is said to be not known"
            wanted = {place: cell for place, cell in wanted.items() if place[0] != start}
            continue
        for said in window["cells"]:
            cell = wanted.pop((start, said["service"], said["agency"], said["feed"]))
            assert said["entries"] == cell.outcomes.total()
            assert said["outcomes"] == dict(cell.outcomes)
            pairs = {(p, e): n for p, both in said["partners"].items() for e, n in both.items() if n}
            assert pairs == dict(cell.partners)
            assert (said["late"], said["ahead"]) == (cell.misplaced["late"], cell.misplaced["ahead"])
            for name, took in cell.took.items():
                known = [one for one in took if one is not None and one >= 0]
                counts = Counter(bisect_left(BOUNDS_MS, one) for one in known)
                assert said[name]["buckets"] == [counts[n] for n in range(len(BOUNDS_MS) + 1)], (size, name)
                assert said[name]["unknown"] == len(took) - len(known)
            compared += 1
    assert wanted == {}
    return compared


def same_chains(found: dict[str, Any], oracle: Oracle) -> None:
    said = {(c["service"], c["topic"], c["partition"]): c for c in found["chains"]}
    assert said.keys() == oracle.tracks.keys()
    for place, track in oracle.tracks.items():
        chain = said[place]
        assert [chain[name] for name in ("last", "entries", "gaps", "doubles")] == [
            track.last, track.entries, track.gaps, track.doubles,
        ], place  # fmt: skip
        assert {n for first, last in chain["missing"] for n in range(first, last + 1)} == track.missing, place


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedKafka]:
    """A broker of its own: the figures are of all that its ledger ever held."""
    with EmbeddedKafka() as kafka:
        apply(kafka.client_config("admin"), load_topology(), profile="embedded")
        yield kafka


def at_end(monitor: Monitor) -> None:
    """Return when the monitor knows that it is at the end: else it says nothing of a minute that began since."""
    ends = time.monotonic() + 30
    while monitor.figures().get("behind") != 0:
        assert time.monotonic() < ends, monitor.log.read_text()[-3000:]
        time.sleep(0.3)


def test_figures_equal_an_oracle_after_ten_kills(broker: EmbeddedKafka, tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(1_000_000)
    print(f"seed {seed}")
    began, draw = time.monotonic(), random.Random(seed)
    config = broker.client_config("admin")
    flow = Flow(config, random.Random(seed + 1))
    flow.start()
    monitor = Monitor(broker, tmp_path)
    stood, moves, moments = -1, 0, []
    try:
        for number in range(KILLS):
            if number % 3 == 1:  # while it joins its group or reads its table, most likely
                time.sleep(draw.uniform(0.2, 8.0))
            else:
                stood = monitor.caught_up(stood + 1)["applied"]
                moves += 1
                time.sleep(draw.uniform(0.0, 2.0))
            moments.append(round(time.monotonic() - began, 2))
            monitor.kill()
            abort(config, 20)
            monitor.start()
        flow.enough.set()
        flow.join(60)
        assert not flow.is_alive()
        monitor.kill()
        say_all_is_read(config)
        monitor.start()
        oracle = Oracle(read_all(config, TOPIC, name="admin"))
        monitor.caught_up(oracle.last)
        at_end(monitor)
        cells = 0
        for size, (_, count) in SIZES.items():
            found = monitor.figures(size, count)
            assert (found["applied"], found["unreadable"]) == (oracle.last, oracle.unreadable)
            cells += compare(found, size, oracle)
        same_chains(found, oracle)
        told = [orjson.loads(r.value.reveal()) for r in read_all(config, "ops.alert", name="admin") if r.value]
        said = {(a["event"], a["topic"], a["partition"], a["offset"]) for a in told}
        assert oracle.findings <= said
        assert {where for where in said if where[0].startswith("chain_")} <= oracle.findings
    finally:
        monitor.kill()
        flow.enough.set()
    assert oracle.count == flow.sent > 10_000
    assert moves == 7
    misplaced = sum((cell.misplaced for cell in oracle.cells.values()), Counter())
    tracks = oracle.tracks.values()
    doubles, gaps = sum(t.doubles for t in tracks), sum(t.gaps for t in tracks)
    assert min(misplaced["late"], misplaced["ahead"], doubles, gaps, oracle.unreadable) > 0
    print(
        f"{oracle.count} records, {cells} cells, {len(tracks)} chains, {doubles} doubles, {gaps} gaps, "
        f"{misplaced['late']} late, {misplaced['ahead']} ahead, killed at {moments}, {time.monotonic() - began:.0f} s"
    )
