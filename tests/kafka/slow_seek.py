"""The monitor, for which the moment before or after its seek (`TEST_SLOW`) lasts three seconds.

`python -m tests.kafka.slow_seek`: what else goes on in that moment has the time to.
"""

from __future__ import annotations

import asyncio
import os
import sys

from services.kernel.kafka import service
from services.kernel.kafka.committed import CommittedConsumer, CommittedTransport
from services.kernel.settings import load_settings
from services.monitor.main import start


class SlowConsumer(CommittedConsumer):
    """Takes its time."""

    async def perform_seek(self) -> None:
        """Seek, slowly."""
        if os.environ["TEST_SLOW"] == "before":
            await asyncio.sleep(3.0)
        await super().perform_seek()
        if os.environ["TEST_SLOW"] == "after":
            await asyncio.sleep(3.0)


if __name__ == "__main__":
    CommittedTransport.Consumer = SlowConsumer
    sys.exit(service.main(start, settings=load_settings))
