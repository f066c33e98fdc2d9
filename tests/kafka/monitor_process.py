"""The monitor as a process that tests kill."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from services.kernel.kafka.embedded import EmbeddedKafka, free_ports


class Monitor:
    """The service as a process; `module` may start another version of it."""

    def __init__(
        self, broker: EmbeddedKafka, folder: Path, *, module: str = "services.monitor.main", **settings: str
    ) -> None:
        self._module = module
        (self.port,) = free_ports(1)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SR_")}
        self._environment = kept | broker.environment("monitor") | {"SR_METRICS_PORT": str(self.port)}
        self._environment |= {"SR_TOPOLOGY_PROFILE": "embedded"} | settings
        self.log = folder / "monitor.log"
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", self._module]
            self.process = subprocess.Popen(command, env=self._environment, stderr=log, stdout=log)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def get(self, path: str) -> Any:
        """Body of a page, None where there is none yet."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.read()
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return None

    def figures(self, window: str = "1d", count: int = 3) -> dict[str, Any]:
        body = self.get(f"/figures?window={window}&count={count}")
        return json.loads(body) if body else {}

    def caught_up(self, applied: int, seconds: float = 90.0) -> dict[str, Any]:
        """The figures once the ledger offset `applied` was taken in, and where the ledger ends is known again."""
        ends = time.monotonic() + seconds
        while (found := self.figures()).get("behind") is None or found["applied"] is None or found["applied"] < applied:
            assert time.monotonic() < ends, (found, self.log.read_text()[-3000:])
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            time.sleep(0.3)
        return found
