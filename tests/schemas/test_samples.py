"""The made-up records: they fit their feed and hold the hard cases."""

from __future__ import annotations

import base64
import json
from typing import Any

import jsonschema_rs
import pytest

from services.kernel.schema.load import load_feeds
from tests.schemas.files import FEEDS, ROOT, SCHEMAS, feed_schema, samples, yaml_file

KEYS = {"name", "about", "topic", "partition_key", "key", "headers", "value"}
CE = {"ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "ce_dataschema", "content-type"}
feeds = pytest.mark.parametrize("feed", FEEDS)


def strings(value: Any) -> list[str]:
    """Every string in a value, keys not included."""
    found: list[str] = []
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            stack += item.values()
        elif isinstance(item, list):
            stack += item
        elif isinstance(item, str):
            found.append(item)
    return found


def everything() -> list[dict[str, Any]]:
    return [sample for feed in FEEDS for sample in samples(feed)]


@feeds
def test_records_fit_their_feed(feed: str) -> None:
    strict = jsonschema_rs.Draft202012Validator(feed_schema(feed))
    plan = load_feeds(SCHEMAS).get(f"urn:safe-reporting:{feed}:1.0")
    assert plan is not None
    for sample in samples(feed):
        assert [f"{sample['name']}: {error.message}" for error in strict.iter_errors(sample["value"])] == []
        assert plan.validate(sample["value"]), sample["name"]


@feeds
def test_envelopes_agree_with_the_topic(feed: str) -> None:
    topology = yaml_file(ROOT / "deploy" / "topology.yaml")
    found = samples(feed)
    assert len(found) >= 8
    for sample in found:
        assert set(sample) == KEYS
        agency = sample["topic"].split(".")[1]
        assert sample["topic"] == f"agency.{agency}.{feed}"
        assert feed in topology["agencies"][agency]
        headers = sample["headers"]
        assert set(headers) >= CE
        assert headers["ce_source"] == f"urn:safe-reporting:agency:{agency}"
        assert headers["ce_type"] == f"safe-reporting.{feed}"
        assert headers["ce_dataschema"] == f"urn:safe-reporting:{feed}:1.0"


def test_names_and_event_ids_are_unique() -> None:
    records = everything()
    assert len({record["name"] for record in records}) == len(records)
    assert len({record["headers"]["ce_id"] for record in records}) == len(records)


@feeds
def test_each_record_has_prose_of_an_ordinary_length(feed: str) -> None:
    for sample in samples(feed):
        words = max(len(text.split()) for text in strings(sample["value"]))
        assert 40 <= words <= 130, sample["name"]


def test_hard_cases_are_there() -> None:
    """JSON in a string, base64, a telling file name, header and key, an anonymous report."""
    records = everything()
    texts = [text for record in records for text in strings(record["value"])]
    assert any(text.startswith("{") and isinstance(json.loads(text), dict) for text in texts)
    attachments = [item for record in records for item in record["value"].get("attachments", ())]
    assert any(b"Nationality" in base64.b64decode(item["content"]) for item in attachments)
    assert any("visa" in item["fileName"].lower() for item in attachments)
    assert any(set(record["headers"]) - CE for record in records)
    assert any("overstayer" in (record["key"] or "") for record in records)
    assert any(record["key"] is None for record in records)
    assert any(record["value"].get("parties") == [] for record in records)


def test_look_alikes_are_there() -> None:
    """Street names, surnames and things that no mask may touch."""
    whole = "\n".join(text for record in everything() for text in strings(record["value"]))
    for phrase in (
        "Poland Street", "Cyprus Street", "Turkey Lane", "Jordan Street", "Scotland Place", "French doors",
        "French polish", "Turkish barber", "PC Ireland", "Danish pastry", "Chinese takeaway",
    ):  # fmt: skip
        assert phrase in whole


def test_contact_details_are_of_reserved_ranges() -> None:
    """Numbers and domains that belong to nobody."""
    for record in everything():
        for text in strings(record["value"]):
            if "@" in text and " " not in text:
                assert text.rsplit("@", 1)[1] in {"example.com", "example.org", "example.net", "poczta.example"}, text
            digits = text.replace(" ", "")
            if digits.startswith(("07", "+447")) and digits.lstrip("+").isdigit():
                assert digits.replace("+44", "0").startswith("07700900"), text
