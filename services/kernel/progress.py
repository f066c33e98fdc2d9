"""What a service says of itself: whether it is ready for work, and whether its work moves on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client.core import GaugeMetricFamily

from services.kernel.telemetry import AtScrape

#: Seconds without a move while there is something to do, after which a service is not healthy. A batch may take 20 s,
#: an unanswered commit 30 s.
STILL_S = 60.0
#: The same while it starts: the step process has 120 s to load.
START_S = 180.0
#: Seconds for which an answer about the lease is told. Nobody asks where no record comes.
OPEN_S = 60.0


class Progress(AtScrape):
    """Set by the service's own thread, read by that of its pages.

    Attributes:
        loaded: the model or the database is there, and what is tried at the start came out right.
        joined: it has its place among the readers of its topics.
    """

    def __init__(self, service: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._service = service
        self._clock = clock
        self._moved = clock()
        self._began = False
        self._open: tuple[bool, float] | None = None
        self.loaded = False
        self.joined = False

    def moved(self) -> None:
        """Work was done, or there is none: every partition is read to its end."""
        self._began = True
        self._moved = self._clock()

    def say_open(self, is_open: bool) -> None:
        """It may publish, or may not. A closed service waits and is healthy: it reads again what it may not publish."""
        self._open = is_open, self._clock()
        if not is_open:
            self.moved()

    @property
    def open(self) -> bool | None:
        """Whether it may publish, as the last record found; None where none asked in `OPEN_S`."""
        held = self._open
        return held[0] if held is not None and self._clock() - held[1] < OPEN_S else None

    @property
    def still(self) -> float:
        """Seconds since it moved."""
        return self._clock() - self._moved

    def ready(self) -> tuple[int, dict[str, Any]]:
        """The page `/readyz`: 503 until it can work."""
        ready = self.loaded and self.joined
        return 200 if ready else 503, {"ready": ready, "loaded": self.loaded, "joined": self.joined, "open": self.open}

    def health(self) -> tuple[int, dict[str, Any]]:
        """The page `/healthz`: 503 where nothing moved for `STILL_S` although there is something to do."""
        still = self.still
        fine = still < (STILL_S if self._began else START_S)
        return 200 if fine else 503, {"progress": fine, "still_seconds": round(still, 1), "open": self.open}

    def collect(self) -> Iterator[Any]:
        """The same as metrics, and the time that the service has: what it decides by."""
        yield self._gauge("clock_timestamp_seconds", "The service's clock, since the epoch, UTC.", time.time())
        yield self._gauge("ready", "1 where it is loaded and has joined its group.", float(self.loaded and self.joined))
        yield self._gauge("still_seconds", "Since the last commit, or since all was read.", self.still)
        if self.open is not None:
            yield self._gauge("open", "1 where it may publish, 0 where its lease is closed.", float(self.open))

    def _gauge(self, name: str, text: str, value: float) -> GaugeMetricFamily:
        family = GaugeMetricFamily(f"safe_reporting_{name}", text, labels=["service"])
        family.add_metric([self._service], value)
        return family
