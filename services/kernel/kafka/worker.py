"""The parent's side of the step process: deadlines, one lonely retry, and quarantine unread."""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
import time
from multiprocessing.connection import Connection

import msgspec
import structlog

from services.kernel import telemetry
from services.kernel.errors import SafeReportingError, UnreachableError
from services.kernel.record import Batch, Inbound, Outcome
from services.kernel.telemetry import RestartCause
from services.kernel.vocabulary import Reason

log = structlog.get_logger()

#: Outcomes cross the pipe as MessagePack: pickling one with its messages takes seven times as long.
_OUTCOME = msgspec.msgpack.Decoder(Outcome)


class Worker:
    """Runs a step in a child process that it may lose at any record.

    Args:
        factory: `module:function` that builds the step from `settings` inside the child.
        record_deadline: seconds that one record may take.
        batch_deadline: seconds after which the rest of a batch is left for the next.
    """

    def __init__(
        self,
        factory: str,
        settings: object,
        *,
        service: str,
        record_deadline: float,
        batch_deadline: float,
        memory_mib: int,
    ) -> None:
        self._factory = factory
        self._settings = settings
        self._service = service
        self._record_deadline = record_deadline
        self._batch_deadline = batch_deadline
        self._memory_mib = memory_mib
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None

    def start(self) -> None:
        """Start the child and wait until its step is built and has tested itself.

        Raises:
            SafeReportingError: what the step's factory refused with.
        """
        ours, theirs = socket.socketpair()
        most = struct.pack("@ll", max(1, round(self._batch_deadline)), 0)  # a child that is frozen takes nothing
        for way in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
            ours.setsockopt(socket.SOL_SOCKET, way, most)
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own module, our own arguments
                [
                    sys.executable,
                    "-m",
                    "services.kernel.kafka.child",
                    str(theirs.fileno()),
                    self._factory,
                    str(self._memory_mib),
                ],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
        self._pipe = Connection(ours.detach())
        self._pipe.send(self._settings)
        try:
            word, error = self._pipe.recv() if self._pipe.poll(120) else ("late", None)
        except (EOFError, OSError):
            word, error = "died", None
        if word == "ready":
            return
        self.stop()
        if isinstance(error, SafeReportingError):
            raise error
        raise UnreachableError(f"the step process of `{self._service}` did not become ready ({word})")

    def stop(self) -> None:
        """End the child, whatever it is doing."""
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def process(self, records: list[Inbound], batch: Batch) -> list[Outcome]:
        """Return the outcomes of a prefix of `records`: all of them unless the batch deadline passed.

        1. Hand over the batch; take one outcome a record, each within the record deadline.
        2. A record that is late, or on which the child dies, is tried once more alone in a new child.
        3. If it fails again it is quarantined unread; the rest of the batch goes on.
        """
        outcomes: list[Outcome] = []
        if self._pipe is None:
            self.start()  # a slow start is no part of the batch
        ends = time.monotonic() + self._batch_deadline
        while len(outcomes) < len(records) and time.monotonic() < ends:
            failure = self._run(records[len(outcomes) :], batch, outcomes, ends)  # 1
            if failure is None:
                continue
            suspect = records[len(outcomes)]
            self._restart(failure, suspect)
            if self._run([suspect], batch, outcomes, time.monotonic() + self._record_deadline) is None:  # 2
                continue
            self._restart(failure, suspect)
            outcomes.append(self.quarantine(suspect, failure))  # 3
        return outcomes

    def quarantine(self, record: Inbound, reason: Reason) -> Outcome:
        """The outcome of a record that no step may read.

        Raises:
            UnreachableError: not even that worked; the service stops.
        """
        outcomes: list[Outcome] = []
        ends = time.monotonic() + self._batch_deadline
        if self._run([record], Batch(now=0), outcomes, ends, reason=reason) is not None:
            raise UnreachableError(f"the step process of `{self._service}` cannot seal a record")
        return outcomes[0]

    def _run(
        self, records: list[Inbound], batch: Batch, outcomes: list[Outcome], ends: float, reason: Reason | None = None
    ) -> Reason | None:
        """Append outcomes until done or out of time; return why the child must be replaced, if it must."""
        if self._pipe is None:
            self.start()
        pipe = self._pipe
        assert pipe is not None  # noqa: S101 - for the type checker: start() opened it or raised
        try:
            pipe.send((batch, records, reason))
            for left in range(len(records) - 1, -1, -1):
                if not pipe.poll(self._record_deadline if reason is None else self._batch_deadline):
                    return Reason.TIMEOUT
                outcomes.append(_OUTCOME.decode(pipe.recv_bytes()))
                if left and time.monotonic() >= ends:
                    self._lose(RestartCause.BATCH_DEADLINE, records[-left], count=left)
                    return None  # the child still works on the rest: a new one for the next batch
        except (EOFError, OSError, msgspec.DecodeError):
            return Reason.CRASHED
        return None

    def _restart(self, reason: Reason, suspect: Inbound) -> None:
        cause = RestartCause.RECORD_DEADLINE if reason is Reason.TIMEOUT else RestartCause.DIED
        self._lose(cause, suspect, count=1)
        self.start()

    def _lose(self, cause: RestartCause, first: Inbound, *, count: int) -> None:
        """End the child, and say why and where: the first of `count` records that have no outcome for it."""
        telemetry.STEP_RESTARTS.labels(self._service, cause).inc()
        log.warning(
            "step_process_lost", service=self._service, reason=cause.value, topic=first.topic,
            partition=first.partition, offset=first.offset, count=count,
        )  # fmt: skip
        self.stop()
