"""A service that notes three times a second how far it has read, and not every ten minutes.

`python -m tests.kafka.noting`: topics of the test expire when it says so.
"""

from __future__ import annotations

import importlib
import os
import sys

from services.kernel.kafka import reached, service
from services.kernel.settings import load_settings

if __name__ == "__main__":
    reached.NOTE_S = 0.3
    name = os.environ["SR_KAFKA_USERNAME"]
    sys.exit(service.main(importlib.import_module(f"services.{name}.main").start, settings=load_settings))
