"""What is looked at now and then, each in a thread of its own, so that a slow answer delays nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Protocol

import structlog

from services.kernel import telemetry
from services.kernel.errors import SafeReportingError
from services.monitor.alerts import Condition

log = structlog.get_logger()

#: Seconds until the first look; between two where the last one failed, if that is sooner.
FIRST_S, AGAIN_S = 1.0, 30.0


class Part(Protocol):
    """What stands beside lags and windows: said on the page of figures under its name, and alerted with the rest."""

    def figures(self) -> dict[str, Any] | None:
        """For the page; None where it is not known."""
        ...

    def conditions(self) -> list[Condition]:
        """What holds now."""
        ...


class Beside:
    """Calls `look` again and again until it is closed; what it raises is logged, and told to `failed`.

    Args:
        every: seconds between two looks.
    """

    def __init__(
        self, name: str, look: Callable[[], None], *, every: float, failed: Callable[[], None] | None = None
    ) -> None:
        self._look = look
        self._every = every
        self._failed = failed or (lambda: None)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name=name)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """Look no more; a look under way is waited for, but not for long."""
        self._closing.set()
        self._thread.join(2.0)

    def _run(self) -> None:
        wait = min(FIRST_S, self._every)
        while not self._closing.wait(wait):
            wait = self._every
            try:
                self._look()
            except SafeReportingError as error:
                log.warning("watch_failed", code=error.code)
            except Exception as error:  # noqa: BLE001 - the next look may do; until then nothing is known
                log.error("watch_failed", code=type(error).__name__, where=telemetry.where(error))  # noqa: TRY400
            else:
                continue
            self._failed()
            wait = min(AGAIN_S, self._every)
