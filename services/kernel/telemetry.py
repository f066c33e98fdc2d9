"""Logs and metrics that cannot carry a record: static event names, a closed set of keys and labels."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import MutableMapping
from enum import StrEnum
from typing import Any, TextIO

import structlog
from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.registry import Collector


class AtScrape(Collector):
    """A collector that is asked for its figures at each scrape, and for nothing at registration."""

    def describe(self) -> list[Any]:
        """No metric: asking for the names would ask for the figures, before there are any."""
        return []


class RestartCause(StrEnum):
    """Why a step process was started anew."""

    BATCH_DEADLINE = "batch_deadline"  # it was still at work when the batch's time was over
    RECORD_DEADLINE = "record_deadline"
    DIED = "died"


#: Every key that a log line may have. Values are positions, counts, closed words and durations.
LOG_KEYS = frozenset(
    {"event", "level", "timestamp", "service", "slot", "topic", "partition", "offset", "count", "reason", "code"}
    | {"outcome", "seconds", "attempt", "port", "where", "signal", "version", "faults"}
)

RECORDS = Counter(
    "safe_reporting_records", "Input records by their one outcome.", ["service", "feed", "outcome", "reason"]
)
BATCH_SECONDS = Histogram(
    "safe_reporting_batch_seconds",
    "Seconds of one batch by stage.",
    ["service", "stage"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20),
)
ABORTS = Counter("safe_reporting_transaction_aborts", "Transactions aborted and done again.", ["service"])
STEP_RESTARTS = Counter("safe_reporting_step_restarts", "Step processes started anew.", ["service", "cause"])
# What belongs to one service is exported by that service alone: another would show a zero of what it does not know.
POLICY_FAULTS = Counter(
    "safe_reporting_policy_faults", "Manifests refused and policy sets that do not load.", registry=None
)
POLICY_SEQUENCE = Gauge(
    "safe_reporting_policy_sequence", "Number of the policy manifest that this router decides by.",
    ["service"], registry=None,
)  # fmt: skip
LEDGER_ENTRIES = Counter("safe_reporting_ledger_entries", "Entries appended to the log.", registry=None)
LEDGER_FAULTS = Counter(
    "safe_reporting_ledger_faults", "Entries that are none, and links of the chain that are broken.", ["kind"],
    registry=None,
)  # fmt: skip
CERTIFICATE_ENDS = Gauge(
    "safe_reporting_certificate_expires_timestamp_seconds",
    "When the certificate ends that this process started with and shows to the broker.",
    ["account"],
)
ASSIGNED = Gauge("safe_reporting_assigned_partitions", "Partitions this worker holds.", ["service"])


def of_worker(service: str) -> tuple[Collector, ...]:
    """What a worker exports beside what is common. Its counters begin at nought, so that the first rise is seen."""
    ABORTS.labels(service)
    for cause in RestartCause:
        STEP_RESTARTS.labels(service, cause)
    return (POLICY_FAULTS, POLICY_SEQUENCE) if service == "router" else ()


def of_ledger() -> tuple[Collector, ...]:
    """What the ledger service exports beside what is common."""
    for kind in ("entry", "chain"):
        LEDGER_FAULTS.labels(kind)
    return LEDGER_ENTRIES, LEDGER_FAULTS


def _closed_keys(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Refuse a key outside `LOG_KEYS`: a programming error, found by the first test that logs it."""
    unknown = event.keys() - LOG_KEYS
    if unknown:
        raise ValueError(f"log keys {sorted(unknown)} are not in LOG_KEYS")
    return event


def configure_logging(stream: TextIO | None = None) -> None:
    """Send JSON lines to `stream`, else standard error; an unhandled exception shows type and place, never a value."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _closed_keys,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(stream or sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.getLogger().handlers[:] = [logging.NullHandler()]
    sys.excepthook = log_unhandled


def where(error: BaseException) -> str:
    """`file:line function` of the innermost frame: all that is told of an unexpected exception."""
    frames = traceback.extract_tb(error.__traceback__)
    last = frames[-1] if frames else None
    return f"{last.filename.rsplit('/', 1)[-1]}:{last.lineno} {last.name}" if last else "unknown"


def log_unhandled(kind: type[BaseException], error: BaseException, _: object) -> None:
    """The exception hook of services: type and place, never a value."""
    structlog.get_logger().error("unhandled_exception", code=kind.__name__, where=where(error))
