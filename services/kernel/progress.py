"""What a service says of itself: whether it may be given work, and whether its work moves on."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

#: Seconds without a move while there is something to do, after which a service is not healthy. A batch may take 20 s,
#: an unanswered commit 30 s.
STILL_S = 60.0


class Progress:
    """Set by the service's own thread, read by that of its pages.

    Attributes:
        loaded: the model or the database is there, and what is tried at the start came out right.
        joined: it has its place among the readers of its topics.
        open: it may publish; a closed gate closes a router without making it unhealthy.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._moved = clock()
        self.loaded = False
        self.joined = False
        self.open = True

    def moved(self) -> None:
        """Work was done, or there is none: every partition is read to its end."""
        self._moved = self._clock()

    def ready(self) -> tuple[int, dict[str, Any]]:
        """The page `/readyz`: 503 until it can work."""
        ready = self.loaded and self.joined
        return 200 if ready else 503, {"ready": ready, "loaded": self.loaded, "joined": self.joined, "open": self.open}

    def health(self) -> tuple[int, dict[str, Any]]:
        """The page `/healthz`: 503 where nothing moved for `STILL_S` although there is something to do."""
        still = self._clock() - self._moved
        fine = still < STILL_S
        return 200 if fine else 503, {"progress": fine, "still_seconds": round(still, 1), "open": self.open}
