"""What a broker left undecided of a transaction that its coordinator has already forgotten.

A broker that starts again sends the markers that an interrupted transaction still lacks. Where a partition has no
leader at that moment, it takes the topic for a deleted one, leaves the marker out and calls the transaction complete
(Apache Kafka 4.3.1 says "likely deleted already"; docs/adr/0014). The group's position and the records then lie there
undecided until the same transactional id ends another transaction there: the position keeps the group standing, and a
commit would show the records beside the ones made in their place.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

import structlog
from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, Producer, TopicPartition

from services.kernel.errors import UnreachableError
from services.kernel.kafka.admin_types import AdminClient, OffsetSpec
from services.kernel.kafka.ask import where
from services.kernel.kafka.client import RECONNECT, PositionError, quiet, translate

log = structlog.get_logger()

Place = tuple[str, int]

#: Key of the empty messages that get a marker into a partition. They are aborted: no committed reader sees them.
KEY = b"undecided"

#: Seconds in which a broker answers, also one that has to load the group first.
_LOADING = 30.0

#: Seconds after which a live transaction would be over: its own ten, and the broker's check at every second.
_LIFE = 12.0

#: Seconds for one question among many.
_SHORT = 0.5

#: Seconds for all that is done in one transaction of ours.
_OWN = 8.0


class Undecided:
    """What lies undecided under the transactional id of one slot.

    Args:
        config: librdkafka's connection settings.
        inputs: (topic, partition) of everything that the group reads.
        outputs: (topic, partition) of everything that its transactions may write.
    """

    def __init__(
        self,
        config: Mapping[str, str],
        *,
        group: str,
        slot: int,
        inputs: Iterable[Place],
        outputs: Iterable[Place],
    ) -> None:
        self._config = dict(config)
        self._group, self._slot = group, slot
        self._inputs = [TopicPartition(topic, partition) for topic, partition in inputs]
        self._outputs = [TopicPartition(topic, partition) for topic, partition in outputs]

    def end(self, producer: Producer, ask: Callable[..., None], *, certain: bool = False) -> None:
        """Mark as aborted what is undecided under the id of `producer`, which has no transaction open.

        The loop sends the group's position before any record: where records lie undecided, so does a position,
        unless it is `certain` that some do.

        1. Ask for the position in every input partition, for as long as a live transaction could hold it.
        2. Begin; send an empty message to each output in which anything is undecided, whoever's it is.
        3. Send a position last, as it is already: until then it stays held, and a next start would try again.
        4. Abort: the markers decide what came before under this id. A batch whose position lay there is done again.

        Raises:
            SafeReportingError: broker unreachable, principal refused, topic missing.
            KafkaException, StuckError: as from the calls of the producer.
        """
        asker = self._asker("read_uncommitted")  # shows a held position as it was before
        try:
            known = self._known(asker)
            if not certain and not self._held(asker):  # 1
                return
            outputs = self._open_outputs()
            producer.begin_transaction()  # 2
            self._touch(producer, outputs)
            ask(producer.send_offsets_to_transaction, known[:1], asker.consumer_group_metadata())  # 3
            ask(producer.abort_transaction)  # 4
            log.warning("undecided_ended", service=self._group, slot=self._slot, count=len(outputs))
        finally:
            asker.close()

    def _asker(self, isolation: str) -> Consumer:
        settings = {"group.id": self._group, "enable.auto.commit": False, "isolation.level": isolation}
        return Consumer({**self._config, **RECONNECT, **settings, "logger": quiet()})

    def _known(self, asker: Consumer) -> list[TopicPartition]:
        found = asker.committed(self._inputs, timeout=_LOADING)
        known = [place for place in found if place.error is None and place.offset >= 0]
        if not known:
            raise PositionError(
                f"group `{self._group}` has no position: `safe-reporting topology apply` sets the first one"
            )
        return known

    def _held(self, known: Consumer) -> bool:
        """True where a position is held for longer than any live transaction lasts.

        In the same moment the broker answers `known` about it: one that is slow holds nothing.
        """
        asker, ends = self._asker("read_committed"), time.monotonic() + _LIFE
        waiting = list(self._inputs)
        try:
            while waiting and time.monotonic() < ends:
                if where(asker, waiting, seconds=_SHORT) is not None:
                    return False
                waiting = [place for place in waiting if where(asker, [place], seconds=_SHORT) is None]
            while waiting and time.monotonic() < ends + _OWN:
                if where(known, waiting, seconds=_SHORT) is not None:
                    return where(asker, waiting, seconds=_SHORT) is None
        finally:
            asker.close()
        return False

    def _open_outputs(self) -> list[TopicPartition]:
        """Outputs that hold something undecided."""
        admin = AdminClient({**self._config, "log_level": 0})
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]  # the library's own lack
        asked = dict.fromkeys(self._outputs, latest)

        def ends(isolation: IsolationLevel) -> dict[TopicPartition, int]:
            told = admin.list_offsets(asked, isolation_level=isolation)
            return {place: int(future.result().offset) for place, future in told.items()}

        try:
            written, shown = ends(IsolationLevel.READ_UNCOMMITTED), ends(IsolationLevel.READ_COMMITTED)
        except KafkaException as error:
            raise translate(error, "what is undecided") from error
        return [place for place in self._outputs if shown[place] < written[place]]

    @staticmethod
    def _touch(producer: Producer, outputs: list[TopicPartition]) -> None:
        failed: list[KafkaError] = []

        def told(error: KafkaError | None, _: object) -> None:
            if error is not None:
                failed.append(error)

        for place in outputs:
            producer.produce(place.topic, key=KEY, partition=place.partition, on_delivery=told)
        if left := producer.flush(_OWN):
            raise UnreachableError(f"ending what is undecided: {left} of {len(outputs)} partitions take nothing")
        if failed:
            raise translate(failed[0], "ending what is undecided")
