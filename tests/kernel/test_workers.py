"""Several workers of one command: they end together, whatever one of them does."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from services.kernel.kafka import service

#: Says when it is ready, and does not end when it is told to.
_DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"


def test_one_that_does_not_end_is_killed_and_the_others_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "_GRACE", 0.5)
    polite = "import time; print(flush=True); time.sleep(60)"
    processes = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) for code in (_DEAF, polite, _DEAF)
    ]
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
    assert service._end(processes) == [-signal.SIGKILL, -signal.SIGTERM, -signal.SIGKILL]


@pytest.mark.parametrize(
    ("before", "codes", "wanted"),
    [
        ([0, None], [0, -signal.SIGTERM], 0),
        ([None, None], [0, -signal.SIGTERM], 0),
        ([3, None], [3, -signal.SIGTERM], 3),
        ([None, 2], [-signal.SIGKILL, 2], 2),
        ([-signal.SIGKILL, None], [-signal.SIGKILL, 0], 137),
        ([-signal.SIGTERM, None], [-signal.SIGTERM, 0], 143),
        ([None, None], [-signal.SIGKILL, 0], 137),
    ],
)
def test_the_command_ends_with_the_code_of_the_worker_that_failed(
    before: list[int | None], codes: list[int], wanted: int
) -> None:
    assert service._code(before, codes) == wanted
