"""A step that does to its process what the value of the record says."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from services.kernel.errors import ConfigError
from services.kernel.record import Batch, Inbound, Outcome
from services.kernel.vocabulary import OutcomeKind, Reason


class HostileStep:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, record: Inbound, batch: Batch) -> Outcome:
        assert record.value is not None
        word = record.value.reveal()
        once = self._folder / f"died-{record.offset}"
        if word == b"die" or (word == b"die once" and not once.exists()):
            once.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if word == b"hang":
            time.sleep(60)
        if word == b"raise":
            raise ValueError(word)
        if word == b"recurse":
            return self(record, batch)
        if word == b"eat":
            bytearray(8 * 1024**3)
        return Outcome(OutcomeKind.REDACTED, record=str(record.offset))

    def quarantine(self, record: Inbound, reason: Reason) -> Outcome:
        return Outcome(OutcomeKind.QUARANTINED, reason)


def build(folder: Path) -> HostileStep:
    if folder.name == "refuse":
        raise ConfigError("step", ["first fault", "second fault"])
    return HostileStep(folder)
