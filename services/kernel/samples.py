"""The made-up records of `samples/`, and any number of records made out of them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import msgspec
import orjson

from services.kernel.errors import ConfigError
from services.kernel.jsonio import UNREADABLE
from services.kernel.record import Message
from services.kernel.schema import load_feeds
from services.kernel.schema.words import RecordMark


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One made-up record of `samples/<feed>.jsonl`, and the case that it shows."""

    name: str
    about: str
    topic: str
    headers: dict[str, str]
    value: Any
    key: str | None = None
    partition_key: str | None = None

    def message(self, value: Any = None) -> Message:
        """The record as its agency would send it; `value` replaces the body."""
        body = orjson.dumps(self.value if value is None else value)
        headers = tuple((name, text.encode()) for name, text in self.headers.items())
        return Message(self.topic, None if self.key is None else self.key.encode(), body, headers)


class Numberer:
    """Makes any number of records out of samples, each with a record id of its own."""

    def __init__(self, schemas: Path) -> None:
        self._places = {
            plan.feed: [leaf.pattern.split("/")[1:] for leaf in plan.leaves.values() if leaf.record is RecordMark.ID]
            for plan in load_feeds(schemas).plans.values()
        }

    def __call__(self, sample: Sample, number: int) -> Message:
        """The sample with `-number` behind its record id, where it has one."""
        value = copy.deepcopy(sample.value)
        for *holders, name in self._places[sample.topic.rsplit(".", 1)[1]]:
            at = value
            for holder in holders:
                at = at.get(holder, {})
            if name in at:
                at[name] = f"{at[name]}-{number}"
        return sample.message(value)


def load_samples(folder: Path) -> list[Sample]:
    """Every sample, feed by feed in the order of the files.

    Raises:
        ConfigError: a line that is not a sample, or there is none.
    """
    samples: list[Sample] = []
    for file in sorted(folder.glob("*.jsonl")):
        for number, line in enumerate(file.read_bytes().splitlines(), 1):
            try:
                samples.append(msgspec.json.decode(line, type=Sample))
            except UNREADABLE as error:
                raise ConfigError("samples", [f"`{file.name}` line {number}: {error}"]) from error
    if not samples:
        raise ConfigError("samples", [f"`{folder}` holds none: a folder with files `<feed>.jsonl`"])
    return samples
