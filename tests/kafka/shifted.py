"""A service whose clock is ahead by `TEST_CLOCK_AHEAD_MS`: `python -m tests.kafka.shifted`, to see a day end."""

from __future__ import annotations

import functools
import importlib
import os
import sys
import time

from services.kernel.kafka import service
from services.kernel.settings import load_settings

if __name__ == "__main__":
    name = os.environ["SR_KAFKA_USERNAME"]
    ahead = int(os.environ["TEST_CLOCK_AHEAD_MS"]) / 1000
    service.Loop = functools.partial(service.Loop, clock=lambda: time.time() + ahead)  # type: ignore[misc]
    sys.exit(service.main(importlib.import_module(f"services.{name}.main").start, settings=load_settings))
