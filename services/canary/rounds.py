"""What the canary service does over and over: judge what arrived, tell what is late, plant what is due."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Protocol

from services.canary.plant import Planter
from services.canary.watch import Watcher
from services.kernel.record import Inbound, Message

#: Seconds between two looks at what arrived after which this service itself was away: copies may be there that no
#: answer of the broker has brought yet. For as long again nothing is called late.
AWAY_S = 10.0


class Copies(Protocol):
    """Copies of canaries as they arrive."""

    @property
    def joined(self) -> bool:
        """Whether it was given a part of the topic."""
        ...

    def take(self, seconds: float) -> Inbound | None:
        """The next one, or None after `seconds`."""
        ...

    def done(self) -> None:
        """What was taken last is handled."""
        ...


class Outbox(Protocol):
    """Sends without waiting; what is not taken is told by `lost`, with the name of the error."""

    def send(self, message: Message, partition: int, lost: Callable[[str], None]) -> None:
        """Queue one message."""
        ...

    def look(self) -> None:
        """Take the reports that are there."""
        ...


class Rounds:
    """One round after the other. Nothing that is planted is waited for: it would keep back the judging.

    Args:
        partitions: number of those of each topic.
        every: seconds between two canaries of a feed.
    """

    def __init__(
        self, planter: Planter, watcher: Watcher, copies: Copies, outbox: Outbox, *,
        partitions: Mapping[str, int], every: float,
    ) -> None:  # fmt: skip
        self._planter = planter
        self._watcher = watcher
        self._copies = copies
        self._outbox = outbox
        self._partitions = partitions
        self._every = every
        self._due = 0.0
        self._number = 0
        self._looked = time.monotonic()
        self._knows_from = 0.0

    def __call__(self, stop: Callable[[], bool]) -> None:
        """One round, a fifth of a second where nothing arrives.

        1. Judge every copy that is there.
        2. Tell of each canary that is late: all that came was judged, unless the service itself was away just now.
        3. Plant one in each feed of each agency where that is due.
        """
        wait = 0.2
        while (copy := self._take(wait)) is not None and not stop():  # 1
            self._watcher.judge(copy)
            self._copies.done()
            wait = 0.0
        self._outbox.look()
        if self._looked >= self._knows_from:
            self._watcher.overdue()  # 2
        if self._copies.joined and time.monotonic() >= self._due and not stop():  # 3
            self._due = time.monotonic() + self._every
            self._plant()

    def _take(self, seconds: float) -> Inbound | None:
        copy, now = self._copies.take(seconds), time.monotonic()
        if now - self._looked > AWAY_S:
            self._knows_from = now + AWAY_S
        self._looked = now
        return copy

    def _plant(self) -> None:
        for agency, feed in self._planter.producers:
            one = self._planter.plant(agency, feed, now=int(time.time() * 1000))
            self._watcher.planted(one)
            topic = one.message.topic
            self._outbox.send(one.message, self._number % self._partitions[topic], self._watcher.unsent(one))
        self._number += 1
