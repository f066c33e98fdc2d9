"""Who allowed coded fields to their advocate: `consent`, read to its end just before each batch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import structlog

from services.kernel.consent import TOPIC, BookFile, Register
from services.kernel.kafka.watch import Watch
from services.kernel.reading import Reading
from services.kernel.record import Inbound

log = structlog.get_logger()


class ConsentLease:
    """The lease of one redactor: without a reading of `consent` nothing is redacted, and the batch is read again.

    Args:
        watch: makes the reader of `consent`.
        folder: takes the book of consents for the step process.
    """

    def __init__(self, watch: Callable[[Callable[[Inbound], None]], Watch], *, folder: Path) -> None:
        self._consents = Register()
        self._book = BookFile(folder)
        self._watch = watch(self._told)
        self._read = Reading(self._watch.fresh, f"`{TOPIC}`")

    def facts(self, now: int) -> dict[str, str] | None:  # noqa: ARG002 - the step asks the book at the batch's time
        """Where the step finds the book; None where `consent` was not read to its end.

        Raises:
            UnreachableError: it could not be read to its end for too long.
        """
        return {"consents": self._book.write(self._consents)} if self._read() else None

    def close(self) -> None:
        """Leave `consent`."""
        self._watch.close()

    def _told(self, record: Inbound) -> None:
        if not self._consents.hear(record.value.reveal() if record.value is not None else None, record.offset):
            log.error("consent_unreadable", topic=TOPIC, partition=record.partition, offset=record.offset)
