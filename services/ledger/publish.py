"""Checkpoints on their way out: to the `ledger.checkpoint` topic, and to a file that a witness reads."""

from __future__ import annotations

import os
from pathlib import Path

import structlog

from services.kernel.kafka.reader import Sender
from services.kernel.ledger import CHECKPOINTS
from services.kernel.record import Message
from services.ledger import note
from services.ledger.store import Store

TOPIC = CHECKPOINTS


log = structlog.get_logger()


class Publisher:
    """Publishes what the store kept, oldest first; after a kill, what was perhaps published is published again."""

    def __init__(self, store: Store, sender: Sender, file: Path | None) -> None:
        self._store = store
        self._sender = sender
        self._file = file

    def run(self) -> bool:
        """Publish what waits; whether all of it is out, in the file too.

        Raises:
            SafeReportingError: the broker does not take them; they wait.
        """
        waiting = self._store.unpublished()
        if not waiting:
            return True
        for text in waiting:
            self._sender.send(Message(TOPIC, None, text.encode(), (("content-type", b"text/plain"),)), 0)
        self._sender.flush()
        written = self._write(waiting[-1])
        self._store.published([note.read(text).checkpoint.size for text in waiting])
        return written

    def _write(self, text: str) -> bool:
        """Put the newest one into the file; where that fails the log goes on, and the next one is put there."""
        if self._file is None:
            return True
        fresh = self._file.with_name(self._file.name + ".new")
        try:
            fresh.write_text(text, encoding="utf-8")
            os.replace(fresh, self._file)  # noqa: PTH105 - a reader sees the old one or the new one
        except OSError as error:
            log.error("ledger_checkpoint_unwritten", reason=error.strerror)  # noqa: TRY400 - no traceback
            return False
        return True
