"""A service whose clock is ahead by `TEST_CLOCK_AHEAD_MS`, and goes `TEST_CLOCK_SPEED` times as fast.

`python -m tests.kafka.shifted`: to see a day end, or a minute.
"""

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
    ahead = int(os.environ.get("TEST_CLOCK_AHEAD_MS", "0")) / 1000
    speed, start = float(os.environ.get("TEST_CLOCK_SPEED", "1")), time.time()
    service.Loop = functools.partial(  # type: ignore[misc]
        service.Loop, clock=lambda: start + ahead + (time.time() - start) * speed
    )
    sys.exit(service.main(importlib.import_module(f"services.{name}.main").start, settings=load_settings))
