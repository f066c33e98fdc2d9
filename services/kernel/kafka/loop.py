"""The transactional loop: poll, step, send, commit; each input offset gets exactly one outcome.

Outputs, ledger entries and offsets commit in one Kafka transaction (KIP-447), so that a
read_committed reader sees all of a record's consequences or none, whatever dies in between.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from services.kernel import ledger, telemetry
from services.kernel.errors import SafeReportingError, UnreachableError
from services.kernel.kafka.client import (
    ClockError,
    FloodError,
    PositionError,
    StuckError,
    bounded,
    inbound,
    is_transient,
    translate,
)
from services.kernel.kafka.seams import Lease, Limits, Processor
from services.kernel.progress import Progress
from services.kernel.record import Batch, Inbound, Message, Outcome
from services.kernel.vocabulary import OutcomeKind, Reason

__all__ = ["Lease", "Limits", "Loop", "Processor"]

log = structlog.get_logger()

Position = tuple[str, int]

#: Seconds without a record that end a batch early. What comes while a batch commits makes up the next one.
_PAUSE = 0.002


class Loop:
    """One worker of a service. `run()` ends only by `stop` or by an error."""

    def __init__(
        self,
        *,
        service: str,
        slot: int,
        consumer: Consumer,
        make_producer: Callable[[], Producer],
        processor: Processor,
        limits: Limits,
        lease: Lease | None = None,
        progress: Progress | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._service = service
        self._slot = slot
        self._consumer = consumer
        self._make_producer = make_producer
        self._producer = make_producer()
        self._processor = processor
        self._limits = limits
        self._lease = lease
        self._progress = progress or Progress(service)
        self._clock = clock
        self._next: dict[Position, int] = {}  # next offset to handle: one after the last one handled
        self._ends: dict[Position, int] = {}  # of partitions read to their end: where that is, past marks
        self._batch: list[Inbound] = []
        self._quarantined_in_a_row = 0
        self._aborts_in_a_row = 0
        self._refusal: SafeReportingError | None = None
        self._now = 0

    def start(self, topics: list[str]) -> None:
        """End what a predecessor of this slot left open, then join the group.

        Raises:
            SafeReportingError: broker unreachable, principal refused, topic missing.
        """
        try:
            self._call(self._producer.init_transactions)
            self._consumer.subscribe(topics, on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked)
        except KafkaException as error:
            raise translate(error, f"start of `{self._service}-{self._slot}`") from error
        except StuckError as error:
            raise self._unanswered(error) from error

    def run(self, stop: Callable[[], bool]) -> None:
        """Cycle until `stop()`; the batch under way is finished first."""
        while not stop():
            self.cycle()

    def close(self) -> None:
        """Leave the group, so that the others take over at once, and end every connection."""
        self._consumer.close()
        self._producer.close()
        if self._lease is not None:
            self._lease.close()

    def cycle(self) -> int:
        """Handle one batch; return how many records got their outcome.

        1. Poll a batch; nothing more is polled until step 6 is done.
        2. Check the lease; without it nothing is published and the batch is read again later.
        3. Step: every record to exactly one outcome; a broken deployment stops here.
        4. Begin, send outputs to the input's partition number, and the ledger entries.
        5. Add the offsets of the finished prefix, with the group's generation.
        6. Commit, asking again until the deadline; a transaction that must be aborted is done again.
        """
        records = self._poll()  # 1
        if not records:
            self._rest()
            return 0
        self._now = self._read_clock()
        facts = self._lease.facts(self._now) if self._lease else {}  # 2
        self._progress.say_open(facts is not None)
        if facts is None:
            self._rewind(records)
            time.sleep(0.2)
            return 0
        with telemetry.BATCH_SECONDS.labels(self._service, "step").time():
            outcomes = self._processor.process(records, Batch(now=self._now, facts=facts))  # 3
            finished = self._fit(records, outcomes)
        self._watch_for_flood(finished)
        try:
            with telemetry.BATCH_SECONDS.labels(self._service, "transaction").time():
                self._refusal = None
                self._producer.begin_transaction()  # 4
                ends = self._send(finished)
                self._call(self._producer.send_offsets_to_transaction, self._offsets(ends), self._group())  # 5
                self._call(self._producer.commit_transaction)  # 6
        except KafkaException as error:
            self._abort(error, records)
            return 0
        except StuckError:
            self._replace_producer()
            return 0
        self._settle(finished, ends)
        self._rewind(records[len(finished) :])
        return len(finished)

    # 1

    def positions(self) -> dict[Position, int]:
        """What it handles next in each partition it holds; past the marks of transactions where all was read."""
        return {position: max(offset, self._ends.get(position, 0)) for position, offset in self._next.items()}

    def _rest(self) -> None:
        """Nothing to handle: that is progress where all was read. The producer's reports wait to be taken."""
        self._producer.poll(0)
        if self._progress.joined and self._next.keys() <= self._ends.keys():
            self._progress.moved()

    def _poll(self) -> list[Inbound]:
        """At most `batch_records`, `batch_wait` seconds or `batch_bytes`; a pause in the flow ends it too."""
        self._batch, size = [], 0
        wait, ends = 0.25, 0.0
        while len(self._batch) < self._limits.batch_records and size < self._limits.batch_bytes:
            message = self._consumer.poll(wait)
            if message is None:
                break
            error = message.error()
            if error is not None:
                if error.code() == KafkaError._PARTITION_EOF:
                    self._ends[str(message.topic()), int(message.partition() or 0)] = int(message.offset() or 0)
                elif not is_transient(error):
                    raise translate(error, f"poll of `{self._service}-{self._slot}`")
                continue
            record = inbound(message)
            if record.offset < self._next.get((record.topic, record.partition), record.offset + 1):
                continue  # fetched before a seek or a rebalance took hold
            self._ends.pop((record.topic, record.partition), None)
            self._batch.append(record)
            size += len(record.value or b"")
            ends = ends or time.monotonic() + self._limits.batch_wait
            wait = min(_PAUSE, ends - time.monotonic())
            if wait <= 0:
                break
        return self._batch

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        try:
            committed = consumer.committed(partitions, timeout=self._limits.commit_deadline)
        except KafkaException as error:
            asked = "where the group is"
            if error.args[0].code() == KafkaError._TIMED_OUT:
                raise self._unanswered(error, asked) from error
            raise translate(error, asked) from error
        for partition in committed:
            self._hold(partition)
        consumer.assign(committed)
        telemetry.ASSIGNED.labels(self._service).set(len(self._next))
        self._progress.joined = True
        log.info("partitions_assigned", service=self._service, slot=self._slot, count=len(committed))

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        for partition in partitions:
            self._next.pop((partition.topic, partition.partition), None)
            self._ends.pop((partition.topic, partition.partition), None)
        self._batch[:] = [r for r in self._batch if (r.topic, r.partition) in self._next]
        consumer.unassign()
        self._progress.joined = False
        telemetry.ASSIGNED.labels(self._service).set(len(self._next))

    def _read_clock(self) -> int:
        """Milliseconds since the epoch, never going back.

        Raises:
            ClockError: the clock is more than 5 s behind its last reading: what ran out could seem open again.
        """
        now = int(self._clock() * 1000)
        if now < self._now - 5_000:
            raise ClockError(f"the clock of `{self._service}-{self._slot}` went back by more than 5 s: mend it first")
        return max(self._now, now)

    # 3

    def _fit(self, records: list[Inbound], outcomes: list[Outcome]) -> list[tuple[Inbound, Outcome]]:
        """Pair records with outcomes; one too large for its topics becomes an oversize quarantine."""
        finished = []
        for record, outcome in zip(records, outcomes, strict=False):
            made = (*outcome.messages, self._entry(record, outcome, record.offset))
            small = all(_size(message) <= self._limits.message_bytes(message.topic) for message in made)
            kept = outcome if small else self._processor.quarantine(record, Reason.OVERSIZE)
            finished.append((record, kept))
        return finished

    def _watch_for_flood(self, finished: list[tuple[Inbound, Outcome]]) -> None:
        for _, outcome in finished:
            bad = outcome.kind is OutcomeKind.QUARANTINED
            self._quarantined_in_a_row = self._quarantined_in_a_row + 1 if bad else 0
        if self._quarantined_in_a_row >= self._limits.flood:
            raise FloodError(
                f"`{self._service}` quarantined {self._quarantined_in_a_row} records in a row and stopped before "
                "committing them: look at the deployment (schemas, keys, policy) before the data"
            )

    # 4

    def _send(self, finished: list[tuple[Inbound, Outcome]]) -> dict[Position, int]:
        """Produce everything of the batch; return the last offset handled in each partition."""
        ends: dict[Position, int] = {}
        for record, outcome in finished:
            position = record.topic, record.partition
            previous = ends.get(position, self._next[position] - 1)
            for message in outcome.messages:
                self._produce(message, record.partition if message.partition is None else message.partition)
            self._produce(self._entry(record, outcome, previous), 0)
            ends[position] = record.offset
        return ends

    def _entry(self, record: Inbound, outcome: Outcome, previous: int) -> Message:
        return ledger.entry(record, outcome, service=self._service, slot=self._slot, previous=previous, now=self._now)

    def _produce(self, message: Message, partition: int) -> None:
        deadline = time.monotonic() + self._limits.commit_deadline
        while True:
            try:
                self._producer.produce(
                    message.topic,
                    value=message.value,
                    key=message.key,
                    headers=list(message.headers),
                    partition=partition,
                    on_delivery=self._delivered,
                )
            except BufferError:
                if time.monotonic() > deadline:
                    raise UnreachableError("the producer's queue stays full: the broker takes nothing") from None
                self._producer.poll(0.05)
            else:
                return

    def _delivered(self, error: KafkaError | None, _: object) -> None:
        if error is not None and not is_transient(error):
            self._refusal = translate(error, f"send by `{self._service}-{self._slot}`")

    # 5 and 6

    def _group(self) -> Any:
        return self._consumer.consumer_group_metadata()

    @staticmethod
    def _offsets(ends: dict[Position, int]) -> list[TopicPartition]:
        return [TopicPartition(topic, partition, offset + 1) for (topic, partition), offset in ends.items()]

    def _call(self, function: Callable[..., None], *arguments: Any) -> None:
        """Ask again until the deadline while librdkafka says the answer may still come; never abort meanwhile.

        Raises:
            StuckError: the call did not come back at all. librdkafka 2.x waits for ever in
                `send_offsets_to_transaction` when the broker is restarted under it, whatever its time-out.
        """
        deadline = time.monotonic() + self._limits.commit_deadline
        while True:
            try:
                bounded(function, *arguments, self._limits.answer, seconds=self._limits.answer + 1)
            except KafkaException as error:
                kafka = error.args[0]
                if not kafka.retriable() or kafka.txn_requires_abort():
                    raise
                if time.monotonic() > deadline:
                    raise self._unanswered(error, f"`{function.__name__}`") from error
            else:
                return

    def _unanswered(self, error: KafkaException | StuckError, asked: str = "") -> UnreachableError:
        """No answer to what was `asked`; a StuckError names the call itself."""
        said = error.args[0].name() if isinstance(error, KafkaException) else "the call did not come back"
        return UnreachableError(
            f"`{self._service}-{self._slot}`: no answer from the broker to {asked or f'`{error}`'} ({said}); "
            "is the broker up and `SR_KAFKA_BOOTSTRAP` right, and no transaction left open?"
        )

    def _replace_producer(self) -> None:
        """Fence the producer that does not answer with a new one of the same slot, and go on from what is committed.

        1. The new one's `init_transactions` ends the open transaction: whole, if its commit had begun, else not at all.
        2. The group's committed offsets say which of the two it was.

        Raises:
            SafeReportingError: the broker does not come back before the deadline.
        """
        log.warning("producer_replaced", service=self._service, slot=self._slot)
        telemetry.ABORTS.labels(self._service).inc()
        self._producer = self._make_producer()
        try:
            self._call(self._producer.init_transactions)  # 1
            held = [TopicPartition(topic, partition) for topic, partition in self._next]
            for found in self._consumer.committed(held, timeout=self._limits.answer):  # 2
                self._hold(found)
                self._consumer.seek(TopicPartition(found.topic, found.partition, found.offset))
        except KafkaException as error:
            raise translate(error, f"new producer of `{self._service}-{self._slot}`") from error
        except StuckError as error:
            raise self._unanswered(error) from error

    def _hold(self, partition: TopicPartition) -> None:
        """Go on in a partition from its committed offset.

        Raises:
            PositionError: it has none.
        """
        if partition.error is not None or partition.offset < 0:
            raise PositionError(
                f"group `{self._service}` has no position in `{partition.topic}`[{partition.partition}]: "
                "`safe-reporting topology apply` sets the first one"
            )
        self._next[partition.topic, partition.partition] = partition.offset

    def _abort(self, error: KafkaException, records: list[Inbound]) -> None:
        """Abort and read again what is still assigned; fatal or fenced ends the process.

        Raises:
            SafeReportingError: the producer cannot go on, or goes round in circles.
        """
        kafka = error.args[0]
        if kafka.fatal() or not kafka.txn_requires_abort():
            raise translate(error, f"transaction of `{self._service}-{self._slot}`") from error
        telemetry.ABORTS.labels(self._service).inc()
        self._aborts_in_a_row += 1
        log.warning("transaction_aborted", service=self._service, slot=self._slot, code=kafka.name())
        try:
            self._call(self._producer.abort_transaction)
        except KafkaException as second:
            raise translate(second, f"abort of `{self._service}-{self._slot}`") from second
        except StuckError:
            self._replace_producer()
            return
        if self._refusal is not None:
            raise self._refusal
        if self._aborts_in_a_row >= 20:
            raise UnreachableError(f"`{self._service}-{self._slot}`: twenty transactions aborted in a row")
        self._rewind(records)

    def _settle(self, finished: list[tuple[Inbound, Outcome]], ends: dict[Position, int]) -> None:
        self._aborts_in_a_row = 0
        self._progress.moved()
        for position, offset in ends.items():
            if position in self._next:
                self._next[position] = offset + 1
        for _, outcome in finished:
            reason = outcome.reason.coarse.value if outcome.reason else "none"
            telemetry.RECORDS.labels(self._service, outcome.feed or "unknown", outcome.kind.value, reason).inc()

    def _rewind(self, records: list[Inbound]) -> None:
        """Seek the partitions of unfinished records back to their first one."""
        for position in {(r.topic, r.partition) for r in records}:
            if position in self._next:
                self._consumer.seek(TopicPartition(*position, self._next[position]))


def _size(message: Message) -> int:
    headers = sum(len(name) + len(value) + 10 for name, value in message.headers)
    return len(message.value or b"") + len(message.key or b"") + headers + 100
