"""What the ledger service tells of its log; what it does not know has no series."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from prometheus_client.core import GaugeMetricFamily

from services.kernel.telemetry import AtScrape


class Standing(Protocol):
    """Where the log stands."""

    @property
    def size(self) -> int:
        """Leaves of the log."""
        ...

    @property
    def unsigned(self) -> int:
        """Leaves that no published checkpoint holds."""
        ...

    @property
    def published(self) -> float | None:
        """When this process published its last checkpoint, in seconds since the epoch; None where it published none."""
        ...


class Metrics(AtScrape):
    """Made when they are asked for.

    Args:
        file: the database where it is a file, for the room on its disk.
    """

    def __init__(self, standing: Standing, file: Path | None) -> None:
        self._standing = standing
        self._file = file

    def collect(self) -> Iterator[Any]:
        """Every family."""
        yield GaugeMetricFamily("safe_reporting_ledger_leaves", "Entries in the log.", self._standing.size)
        text = "Entries of the log that no published checkpoint holds."
        yield GaugeMetricFamily("safe_reporting_ledger_unsigned_leaves", text, self._standing.unsigned)
        published = self._standing.published
        if published is not None:
            text = "When the last checkpoint was published, since the epoch."
            yield GaugeMetricFamily("safe_reporting_ledger_checkpoint_timestamp_seconds", text, published)
        if self._file is not None:
            text = "Room that is left on the disk of the log's database."
            free = shutil.disk_usage(self._file.parent).free
            yield GaugeMetricFamily("safe_reporting_ledger_disk_free_bytes", text, free)
