"""Twin threats: one of a pair speaks of immigration or another country, the other of ordinary things.

Both give the same codes, and all that leaves for partners is equal byte for byte: topics, keys, headers and bodies.
One thing is set aside: the ordinary twin's own words in a view that has a narrative, for they are not masked.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import orjson
import pytest

from services.kernel import keys
from services.kernel.kafka.topology import load_topology
from services.kernel.record import Message
from services.kernel.samples import Sample
from services.kernel.settings import Settings
from services.kernel.vocabulary import Tag
from services.redactor.build import build_step as build_redactor
from services.redactor.text import risk
from services.redactor.text.engine import TextEngine
from services.router.build import build_step as build_router
from services.router.text_view import shorten
from tests.risk.helpers import read
from tests.twins.test_twins import SAMPLES, Steps, is_protected, partners_see, places, plan_of

TWINS = read("twins")
#: Records of protected people whose view says something of risk.
RECORDS = [sample for sample in SAMPLES if is_protected(sample) and not sample.value.get("report", {}).get("anonymous")]


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> Steps:
    folder: Path = tmp_path_factory.mktemp("keys")
    keys.init_dev(folder, load_topology().partners)
    settings = Settings(keys_dir=folder)
    return build_redactor(settings), build_router(settings)


@pytest.fixture(scope="module")
def engine() -> TextEngine:
    return TextEngine.build()


def saying(sample: Sample, said: str) -> Message:
    """The sample with `said` as all its text, and no risk coded by the agency itself."""
    value, plan = copy.deepcopy(sample.value), plan_of(sample)
    for container, key, pattern in list(places(value)):
        leaf = plan.leaves.get(pattern)
        if leaf is not None and leaf.tag is Tag.FREE_TEXT:
            container[key] = said
    for path in plan.risk.values():
        holder: Any = value
        for name in path[:-1]:
            holder = holder.get(name, {})
        holder.pop(path[-1], None)
    return sample.message(value)


def aside(value: Any, shown: str | None) -> bytes:
    """A view with the text that partners see left out; what is null is as good as a text of which nothing is left."""
    if isinstance(value, dict):
        kept = {key: child for key, child in value.items() if child is not None and child != shown}
        return orjson.dumps({key: orjson.Fragment(aside(child, shown)) for key, child in kept.items()})
    if isinstance(value, list):
        return orjson.dumps([orjson.Fragment(aside(child, shown)) for child in value])
    return orjson.dumps(value)


def sent(message: Message, steps: Steps, text: str) -> list[tuple[Any, ...]]:
    """What partners get, with `text`, the redacted narrative, set aside."""
    shown = shorten(text).text or None
    return [
        (one.topic, one.key, one.headers, aside(orjson.loads(one.value or b""), shown))
        for one in partners_see(message, steps)
    ]


def test_there_are_enough() -> None:
    assert len(TWINS) >= 30
    assert {code for pair in TWINS for code in pair["codes"]} == risk.CODES
    assert all(pair["protected"] != pair["ordinary"] for pair in TWINS)


@pytest.mark.parametrize("pair", TWINS, ids=lambda pair: str(pair["id"]))
def test_twins_have_the_same_codes(pair: dict[str, Any], engine: TextEngine) -> None:
    assert engine.redact(pair["protected"]).risk == set(pair["codes"])
    assert engine.redact(pair["ordinary"]).risk == set(pair["codes"])


@pytest.mark.parametrize("pair", TWINS, ids=lambda pair: str(pair["id"]))
def test_partners_see_the_same_risk(pair: dict[str, Any], engine: TextEngine, steps: Steps) -> None:
    first = TWINS.index(pair)
    seen = b""
    for sample in (RECORDS[(5 * first + n) % len(RECORDS)] for n in range(4)):
        one, other = (
            sent(saying(sample, pair[kind]), steps, engine.redact(pair[kind]).text)
            for kind in ("protected", "ordinary")
        )
        assert one == other
        seen += b"".join(message[3] for message in one)
    for code in pair["codes"]:
        flag = code in ("coercive_control", "documents_or_money_controlled")
        assert (f'"{code}":true' if flag else f'"{code}"').encode() in seen
