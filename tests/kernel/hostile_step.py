"""A step that does to its process what the value of the record says."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from services.kernel.errors import ConfigError
from services.kernel.record import Batch, Inbound, Outcome
from services.kernel.vocabulary import OutcomeKind, Reason


class Panic(BaseException):
    """Like that of Rust's bindings: no `Exception`, so that nothing catches it."""


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
        if word == b"slow":
            time.sleep(0.2)
        if word.startswith(b"shout"):
            os.write(1, word)
            os.write(2, word)  # as native code does that fails
            print(word, file=sys.stderr, flush=True)
        if word.startswith(b"panic"):
            os.write(2, b"thread panicked at: byte index 1 of `%s`" % word)
            raise Panic(word)
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
    if folder.name == "slow start":
        time.sleep(1.2)
    return HostileStep(folder)
