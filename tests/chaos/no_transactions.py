"""The services with the transaction taken out: `python -m tests.chaos.no_transactions` must lose the kill test."""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import Mapping
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

from services.kernel.kafka import service
from services.kernel.settings import load_settings


class PlainProducer:
    """Sends at once, then commits the offsets: what most services do."""

    consumer: Consumer

    def __init__(self, config: Mapping[str, str]) -> None:
        self._producer = Producer({**config, "acks": "all", "message.max.bytes": 17 * 1024 * 1024})
        self._offsets: list[TopicPartition] = []

    def init_transactions(self, _: float) -> None:
        """Nothing to end."""

    def begin_transaction(self) -> None:
        """Nothing to begin."""

    def produce(self, *arguments: Any, **options: Any) -> None:
        self._producer.produce(*arguments, **options)

    def poll(self, seconds: float) -> int:
        return int(self._producer.poll(seconds))

    def send_offsets_to_transaction(self, offsets: list[TopicPartition], *_: Any) -> None:
        self._offsets = offsets

    def commit_transaction(self, _: float) -> None:
        self._producer.flush()
        time.sleep(2.0)  # the moment between sending and committing, made wide enough to be hit
        PlainProducer.consumer.commit(offsets=self._offsets, asynchronous=False)

    def abort_transaction(self, _: float) -> None:
        """Nothing can be taken back."""


def main(name: str) -> int:
    """Run service `name` with the plain producer in place of the transactional one."""
    original = service.group_consumer

    def consumer(*arguments: Any, **options: Any) -> Consumer:
        PlainProducer.consumer = original(*arguments, **options)
        return PlainProducer.consumer

    service.group_consumer = consumer
    service.transactional_producer = lambda config, **_: PlainProducer(config)
    return service.main(importlib.import_module(f"services.{name}.main").start, settings=load_settings)


if __name__ == "__main__":
    sys.exit(main(os.environ["SR_KAFKA_USERNAME"]))
