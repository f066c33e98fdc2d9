"""The process that runs a step: it reads batches from its parent and answers one outcome a record.

Run as `python -m services.kernel.kafka.child FD FACTORY MEMORY_MIB`; started by `worker.Worker` only.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
import resource
import signal
import sys
from multiprocessing.connection import Connection
from typing import TextIO

import msgspec

from services.kernel import telemetry
from services.kernel.errors import SafeReportingError
from services.kernel.record import Step
from services.kernel.vocabulary import Reason


def main(argv: list[str]) -> int:
    """Build the step, say ready, then answer until the parent hangs up."""
    descriptor, factory, memory_mib = argv
    telemetry.configure_logging(_quiet())  # an exception that escapes shows its type and place, never a value
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: never outlive the parent
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    limit = int(memory_mib) * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    pipe = Connection(int(descriptor))
    try:
        step = _build(factory, pipe.recv())
    except SafeReportingError as error:
        pipe.send(("refused", error))
        return 2
    gc.collect()
    gc.freeze()  # lexicons and schemas stay for good: later collections need not walk them
    pipe.send(("ready", None))
    try:
        _serve(pipe, step)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return 0
    return 0


def _quiet() -> TextIO:
    """Send standard output and error nowhere; return a stream to what standard error was, for log lines alone.

    Native code prints what it was at when it fails: a panic of a Rust library quotes the text that it could not cut.
    """
    log = os.fdopen(os.dup(2), "w", buffering=1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    return log


def _build(factory: str, settings: object) -> Step:
    module, name = factory.split(":")
    step: Step = getattr(importlib.import_module(module), name)(settings)
    return step


def _serve(pipe: Connection, step: Step) -> None:
    encode = msgspec.msgpack.Encoder().encode
    while True:
        batch, records, reason = pipe.recv()
        for record in records:
            if reason is not None:
                pipe.send_bytes(encode(step.quarantine(record, reason)))
                continue
            try:
                outcome = step(record, batch)
            except Exception:  # noqa: BLE001 - a bug quarantines the record that it meets, and nothing else
                outcome = step.quarantine(record, Reason.FAULT)
            pipe.send_bytes(encode(outcome))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
