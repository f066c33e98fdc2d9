"""The log is not the leak: who has every entry but no compliance key cannot tell whose record said a status."""

from __future__ import annotations

import copy
import hashlib
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from services.kernel import keys, ledger
from services.kernel.kafka.topology import load_topology
from services.kernel.paths import ROOT
from services.kernel.record import Batch, Inbound, Message
from services.kernel.samples import Sample, load_samples
from services.kernel.settings import Settings
from services.kernel.vocabulary import OutcomeKind, Tag
from services.redactor.build import build_step as build_redactor
from services.router.build import build_step as build_router
from tests.frame.attacker import Attacker, rank_auc
from tests.twins.test_twins import SAID, inbound, places, plan_of

RECORDS = 500
MONTH_MS = 30 * 86_400_000
NOW = 1_795_550_400_000
STATUS = frozenset({Tag.NATIONALITY, Tag.COUNTRY_OF_ORIGIN, Tag.IMMIGRATION_STATUS, Tag.IMMIGRATION_DOCUMENT})
NEUTRAL = "The caller rang from a shop. Officers attended and spoke to both. No injuries were seen."
#: What is another in every entry, and tells nothing by itself.
OWN = frozenset({"id", "salt", "time", "record", "decided_at", "key", "offset", "previous", "partition"})


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> list[list[dict[str, Any]]]:
    """Entries of a made-up month, by record; every second record says a status, in fields and in text."""
    folder: Path = tmp_path_factory.mktemp("keys")
    keys.init_dev(folder, load_topology().partners)
    settings = Settings(keys_dir=folder)
    redactor, router = build_redactor(settings), build_router(settings)
    samples, draw = load_samples(ROOT / "samples"), random.Random(20261125)
    found = []
    for number in range(RECORDS):
        message = made_up(draw.choice(samples), bool(number % 2), draw)
        at = NOW + draw.randrange(MONTH_MS)
        made = []
        record = inbound(message, offset=number)
        for service, step in (("redactor", redactor), ("router", router)):
            outcome = step(record, Batch(now=at))
            made.append(entry_of(record, outcome, service, at))
            redacted = [sent for sent in outcome.messages if sent.topic == "redacted"]
            if outcome.kind is not OutcomeKind.REDACTED:
                break
            record = inbound(redacted[0], offset=number)
        found.append(made)
    return found


def entry_of(record: Inbound, outcome: Any, service: str, at: int) -> dict[str, Any]:
    message = ledger.entry(record, outcome, service=service, slot=0, previous=record.offset - 1, now=at)
    entry: dict[str, Any] = orjson.loads(message.value or b"")
    return entry


def made_up(sample: Sample, says: bool, draw: random.Random) -> Message:
    """The sample with a status in every field for one and a sentence in a text; or with neither."""
    value, plan = copy.deepcopy(sample.value), plan_of(sample)
    for holder, key, pattern in list(places(value)):
        leaf = plan.leaves.get(pattern)
        if leaf is None:
            continue
        if leaf.tag in STATUS:
            filled = {"string": "Eritrean", "boolean": True}
            kinds = [kind for kind in ("boolean", "string") if kind in leaf.types]
            if says and kinds:
                holder[key] = filled[kinds[0]]
            elif "null" in leaf.types:
                holder[key] = None
        elif leaf.tag is Tag.FREE_TEXT and isinstance(holder[key], str):
            holder[key] = f"{NEUTRAL} {draw.choice(SAID)[1]}" if says else NEUTRAL
    return sample.message(value)


def words(entries: list[dict[str, Any]]) -> str:
    """Everything that the open parts say, as words of letters: names and values."""
    return " ".join(_letters(f"{path}={value}") for entry in entries for path, value in _said(entry))


def _said(item: Any, path: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(item, dict):
        for key, inner in item.items():
            if key == "sealed":
                yield f"{path}/sealed", inner is not None
            elif key not in OWN:
                yield from _said(inner, f"{path}/{key}")
    elif isinstance(item, list):
        for inner in item:
            yield from _said(inner, path)
    else:
        yield path, item


def _letters(said: str) -> str:
    digest = hashlib.blake2b(said.encode(), digest_size=6).hexdigest()
    return digest.translate(str.maketrans("0123456789", "ghijklmnop"))


def test_the_open_part_of_a_month_does_not_tell_who_said_a_status(month: list[list[dict[str, Any]]]) -> None:
    said = [bool(number % 2) for number in range(RECORDS)]
    attacker = Attacker([words(entries) for entries in month], said)
    auc = attacker.auc()
    print(f"AUC {auc:.3f} over {RECORDS} records")
    assert auc <= 0.55
    sizes = np.array([float(sum(len(entry["sealed"] or "") for entry in entries)) for entries in month])
    by_size = rank_auc(sizes, np.array(said, dtype=float))  # age adds some bytes at random
    print(f"AUC of the sealed size {by_size:.3f}")
    assert 0.4 <= by_size <= 0.6


def test_the_attacker_finds_what_does_tell(month: list[list[dict[str, Any]]]) -> None:
    """Were the reason open, this attacker would see it: the test can fail."""
    said = [bool(number % 2) for number in range(RECORDS)]
    telling = [
        words([*entries[:-1], entries[-1] | {"reason": "masked" if says and number % 4 else None}])
        for number, (entries, says) in enumerate(zip(month, said, strict=True))
    ]
    assert Attacker(telling, said).auc() > 0.7
