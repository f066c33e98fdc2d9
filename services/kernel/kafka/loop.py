"""The transactional loop: poll, step, send, commit; each input offset gets exactly one outcome.

Outputs, ledger entries and offsets commit in one Kafka transaction (KIP-447), so that a
read_committed reader sees all of a record's consequences or none, whatever dies in between.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from services.kernel import ledger, telemetry
from services.kernel.errors import SafeReportingError, UnreachableError
from services.kernel.kafka.ask import WHERE, Ask, where
from services.kernel.kafka.client import (
    ClockError,
    FloodError,
    PositionError,
    StuckError,
    inbound,
    is_transient,
    queue,
    translate,
)
from services.kernel.kafka.pace import Pace
from services.kernel.kafka.reached import Notes, Position, readable
from services.kernel.kafka.seams import Lease, Leftovers, Limits, Processor
from services.kernel.progress import Progress
from services.kernel.record import Batch, Inbound, Message, Outcome
from services.kernel.vocabulary import OutcomeKind, Reason

__all__ = ["Lease", "Limits", "Loop", "Processor"]

log = structlog.get_logger()

#: Seconds without a record that end a batch early. What comes while a batch commits makes up the next one.
_PAUSE = 0.002
#: Seconds for which an answer of the lease is good: the step may take longer, and the gate may have closed meanwhile.
_GOOD = 0.5


class Loop:
    """One worker of a service. `run()` ends only by `stop` or by an error."""

    def __init__(
        self,
        *,
        service: str,
        slot: int,
        consumer: Consumer,
        make_producer: Callable[[], Producer],
        leftovers: Leftovers,
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
        self._leftovers = leftovers
        self._processor = processor
        self._limits = limits
        self._pace = Pace(limits)
        self._ask = Ask(f"{service}-{slot}", limits)
        self._lease = lease
        self._progress = progress or Progress(service)
        self._clock = clock
        self._next: dict[Position, int] = {}  # next offset to handle: one after the last one handled
        self._ends: dict[Position, int] = {}  # of partitions read to their end: where that is, past marks
        self._batch: list[Inbound] = []
        self._quarantined_in_a_row = 0
        self._aborts_in_a_row = 0
        self._refusal: SafeReportingError | None = None
        self._confirmed = True  # the broker shows the last commit
        self._notes = Notes()
        self._now = 0

    def start(self, topics: list[str]) -> None:
        """End what a predecessor of this slot left open, then join the group.

        Raises:
            SafeReportingError: broker unreachable, principal refused, topic missing.
        """
        self._begin_anew(f"start of `{self._ask.who}`")
        self._consumer.subscribe(topics, on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked)

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
        4. See the last commit, or go back; after a long step 2 must say the same. Begin, and first send the offsets.
        5. Send outputs to the input's partition number, and the ledger entries.
        6. Commit, asking again until the deadline; a transaction that must be aborted is done again.
        """
        records = self._poll()  # 1
        if not records:
            self._rest()
            return 0
        self._now, asked = self._read_clock(), time.monotonic()
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
        if not self._confirm():  # 4
            self._replace_producer()
            return 0
        if self._lease and time.monotonic() - asked > _GOOD and self._lease.facts(self._now) != facts:
            self._pace.overtaken()
            self._rewind(records)
            return 0
        ends = {(record.topic, record.partition): record.offset + 1 for record, _ in finished}
        offsets = [TopicPartition(*position, offset) for position, offset in ends.items()]
        notes = self._notes.due(self._next, self._ends, but={(record.topic, record.partition) for record in records})
        if not self._transact(offsets + notes, finished):
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
        if not self._confirm():
            self._replace_producer()
        if self._progress.joined and self._next.keys() <= self._ends.keys():
            self._progress.moved()

    def _poll(self) -> list[Inbound]:
        """What the pace allows, in at most `batch_wait` seconds; a pause in the flow ends it too."""
        self._batch, size = [], 0
        wait, ends = 0.25, 0.0
        while not self._pace.full(len(self._batch), size):
            message = self._consumer.poll(wait)
            if message is None:
                break
            error = message.error()
            if error is not None:
                if error.code() == KafkaError._PARTITION_EOF:
                    self._ends[str(message.topic()), int(message.partition() or 0)] = int(message.offset() or 0)
                elif not is_transient(error):
                    raise translate(error, f"poll of `{self._ask.who}`")
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
        consumer.assign(self._hold(self._where(partitions)))
        telemetry.ASSIGNED.labels(self._service).set(len(self._next))
        self._progress.joined = True
        log.info("partitions_assigned", service=self._service, slot=self._slot, count=len(partitions))

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
            raise ClockError(f"the clock of `{self._ask.who}` went back by more than 5 s: mend it first")
        return max(self._now, now)

    # 3

    def _fit(self, records: list[Inbound], outcomes: list[Outcome]) -> list[tuple[Inbound, Outcome]]:
        """Pair records with outcomes; one too large for its topics becomes an oversize quarantine."""
        finished = []
        for record, outcome in zip(records, outcomes, strict=False):
            made = (*outcome.messages, self._entry(record, outcome, record.offset))
            small = all(message.size <= self._limits.message_bytes(message.topic) for message in made)
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

    # 4, 5 and 6

    def _transact(self, offsets: list[TopicPartition], finished: list[tuple[Inbound, Outcome]]) -> bool:
        """Commit offsets with what was made of the records; False where it was given up, to be done again."""
        self._refusal = None
        try:
            with telemetry.BATCH_SECONDS.labels(self._service, "transaction").time(), self._pace.of(finished):
                self._producer.begin_transaction()
                self._ask(self._producer.send_offsets_to_transaction, offsets, self._consumer.consumer_group_metadata())
                self._send(finished)  # 5
                self._ask(self._producer.commit_transaction)  # 6
        except (KafkaException, StuckError) as error:
            self._abort(error)
            return False
        return True

    def _confirm(self) -> bool:
        """True where the group is where the last commit left it, which is asked once.

        A broker answers a commit before it shows it, and may take it back when it is started again in between.
        """
        if self._confirmed or not self._next:
            return True
        found = where(self._consumer, [TopicPartition(*place) for place in self._next], seconds=self._limits.answer)
        self._confirmed = found is not None and all(self._next[p.topic, p.partition] == p.offset for p in found)
        return self._confirmed

    def _send(self, finished: list[tuple[Inbound, Outcome]]) -> None:
        """Produce everything of the batch; each ledger entry names the offset handled before it."""
        handled: dict[Position, int] = {}
        for record, outcome in finished:
            position = record.topic, record.partition
            previous = handled.get(position, self._next[position] - 1)
            for message in outcome.messages:
                self._produce(message, record.partition if message.partition is None else message.partition)
            self._produce(self._entry(record, outcome, previous), 0)
            handled[position] = record.offset

    def _entry(self, record: Inbound, outcome: Outcome, previous: int) -> Message:
        return ledger.entry(record, outcome, service=self._service, slot=self._slot, previous=previous, now=self._now)

    def _produce(self, message: Message, partition: int) -> None:
        deadline = time.monotonic() + self._limits.commit_deadline
        while True:
            try:
                queue(self._producer, message, partition, self._delivered)
            except BufferError:
                if time.monotonic() > deadline:
                    raise UnreachableError("the producer's queue stays full: the broker takes nothing") from None
                self._producer.poll(0.05)
            else:
                return

    def _delivered(self, error: KafkaError | None, _: object) -> None:
        if error is not None and not is_transient(error):
            self._refusal = translate(error, f"send by `{self._ask.who}`")

    # 6

    def _begin_anew(self, doing: str) -> None:
        """End what this slot left open, in this process or an earlier one, and what a broker left of it undecided.

        Raises:
            SafeReportingError: it cannot while `doing` this.
        """
        try:
            self._ask(self._producer.init_transactions)
            self._leftovers.end(self._producer, self._ask)
        except KafkaException as error:
            raise translate(error, doing) from error
        except StuckError as error:
            raise self._ask.unanswered(error) from error

    def _renew_producer(self) -> None:
        """Fence the producer with a new one of the same slot, which ends the open transaction and any leftovers.

        The transaction is whole if its commit had begun, else nothing of it is.
        """
        log.warning("producer_replaced", service=self._service, slot=self._slot)
        self._producer = self._make_producer()
        self._begin_anew(f"new producer of `{self._ask.who}`")

    def _replace_producer(self) -> None:
        """Go on with a new producer from what is committed.

        Where that lies before an answered commit, the commit was taken back, and records of it may lie undecided in
        the outputs.

        Raises:
            SafeReportingError: the broker does not come back before the deadline.
        """
        self._renew_producer()
        committed = self._where([TopicPartition(*position) for position in self._next])
        if any(found.offset < self._next[found.topic, found.partition] for found in committed):
            try:
                self._leftovers.end(self._producer, self._ask, certain=True)
            except (KafkaException, StuckError) as error:
                raise self._ask.unanswered(error, "the end of what was taken back") from error
        for found in self._hold(committed):
            self._consumer.seek(found)
        self._confirmed = True

    def _where(self, partitions: list[TopicPartition]) -> list[TopicPartition]:
        """Where the group is in each partition; a new producer ends what this slot itself may hold there.

        Raises:
            UnreachableError: another's transaction stays open.
        """
        if (found := where(self._consumer, partitions, seconds=self._limits.answer)) is None:
            self._renew_producer()
            found = where(self._consumer, partitions, seconds=self._limits.answer)
        if found is None:
            raise self._ask.unanswered(None, WHERE)
        return found

    def _hold(self, committed: list[TopicPartition]) -> list[TopicPartition]:
        """Go on in partitions from their committed offsets; where to read them from.

        Raises:
            PositionError: one has none.
        """
        for found in committed:
            if found.error is not None or found.offset < 0:
                raise PositionError(
                    f"group `{self._service}` has no position in `{found.topic}`[{found.partition}]: "
                    "`safe-reporting topology apply` sets the first one"
                )
            self._next[found.topic, found.partition] = found.offset
            self._ends.pop((found.topic, found.partition), None)
        return readable(self._consumer, committed, seconds=self._limits.answer)

    def _abort(self, error: KafkaException | StuckError) -> None:
        """Give the transaction up with its producer, which may have records of it on the way; fatal ends the process.

        Raises:
            SafeReportingError: the producer cannot go on, or goes round in circles.
        """
        kafka = error.args[0] if isinstance(error, KafkaException) else None
        if kafka is not None and (kafka.fatal() or not kafka.txn_requires_abort()):
            raise translate(kafka, f"transaction of `{self._ask.who}`") from error
        telemetry.ABORTS.labels(self._service).inc()
        self._aborts_in_a_row += 1
        code = kafka.name() if kafka is not None else "_STUCK"
        log.warning("transaction_aborted", service=self._service, slot=self._slot, code=code)
        self._replace_producer()
        if self._refusal is not None:
            raise self._refusal
        if self._aborts_in_a_row >= 20:
            raise UnreachableError(f"`{self._ask.who}`: twenty transactions aborted in a row")

    def _settle(self, finished: list[tuple[Inbound, Outcome]], ends: dict[Position, int]) -> None:
        self._aborts_in_a_row = 0
        self._confirmed = False
        self._progress.moved()
        self._next |= {position: offset for position, offset in ends.items() if position in self._next}
        for outcome in (done for _, done in finished if not done.canary):
            reason = outcome.reason.coarse.value if outcome.reason else "none"
            telemetry.RECORDS.labels(self._service, outcome.feed or "unknown", outcome.kind.value, reason).inc()

    def _rewind(self, records: list[Inbound]) -> None:
        """Seek the partitions of unfinished records back to their first one."""
        for position, offset in {(r.topic, r.partition): r.offset for r in reversed(records)}.items():
            if position in self._next:
                self._consumer.seek(TopicPartition(*position, offset))
                self._ends.pop(position, None)
