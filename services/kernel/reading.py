"""Whether what a service must know before it publishes was read to its end just now, and when to give up."""

from __future__ import annotations

import time
from collections.abc import Callable

from services.kernel.errors import UnreachableError

#: Seconds without a reading to the end after which the service ends, so that it is started anew with new connections.
PATIENCE = 8.0


class Reading:
    """Asks `fresh`, which reads to the end or says False.

    Args:
        what: the topics, for the message of the error.
    """

    def __init__(self, fresh: Callable[[], bool], what: str) -> None:
        self._fresh = fresh
        self._what = what
        self._unread_since: float | None = None

    def __call__(self) -> bool:
        """True after a reading to the end.

        Raises:
            UnreachableError: there was none for `PATIENCE` seconds.
        """
        if self._fresh():
            self._unread_since = None
            return True
        now = time.monotonic()
        self._unread_since = now if self._unread_since is None else self._unread_since
        if now - self._unread_since > PATIENCE:
            raise UnreachableError(f"{self._what} cannot be read to their end; is the broker up?")
        return False
