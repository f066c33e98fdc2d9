"""The monitor, for which the moment before or after its seek (`TEST_SLOW`) lasts three seconds, or for ever.

`python -m tests.kafka.slow_seek`: what else goes on in that moment has the time to.
"""

from __future__ import annotations

import asyncio
import os

from services.kernel.kafka.committed import CommittedConsumer, CommittedTransport
from services.monitor import main


class SlowConsumer(CommittedConsumer):
    """Takes its time."""

    async def perform_seek(self) -> None:
        """Seek, slowly."""
        if os.environ["TEST_SLOW"] != "after":
            await asyncio.sleep(3.0 if os.environ["TEST_SLOW"] == "before" else 1e6)
        await super().perform_seek()
        if os.environ["TEST_SLOW"] == "after":
            await asyncio.sleep(3.0)


if __name__ == "__main__":
    CommittedTransport.Consumer = SlowConsumer
    main._START_S = 20.0
    main.run()
