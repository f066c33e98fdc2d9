"""Checkpoints on their way out: to the `ledger.checkpoint` topic, and to a file that a witness reads."""

from __future__ import annotations

import os
from pathlib import Path

from services.kernel.kafka.reader import Sender
from services.kernel.ledger import CHECKPOINTS
from services.kernel.record import Message
from services.ledger import note
from services.ledger.store import Store

TOPIC = CHECKPOINTS


class Publisher:
    """Publishes what the store kept, oldest first; after a kill, what was perhaps published is published again."""

    def __init__(self, store: Store, sender: Sender, file: Path | None) -> None:
        self._store = store
        self._sender = sender
        self._file = file

    def run(self) -> int:
        """Publish what waits; how many that were.

        Raises:
            SafeReportingError: the broker does not take them; they wait.
        """
        waiting = self._store.unpublished()
        if not waiting:
            return 0
        for text in waiting:
            self._sender.send(Message(TOPIC, None, text.encode(), (("content-type", b"text/plain"),)), 0)
        self._sender.flush()
        if self._file is not None:
            fresh = self._file.with_name(self._file.name + ".new")
            fresh.write_text(waiting[-1], encoding="utf-8")
            os.replace(fresh, self._file)  # noqa: PTH105 - a reader sees the old one or the new one
        self._store.published([note.read(text).checkpoint.size for text in waiting])
        return len(waiting)
