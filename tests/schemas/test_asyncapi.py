"""The AsyncAPI document names every topic and message, and each of its references resolves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.schemas.files import FEEDS, MESSAGES, ROOT, SCHEMAS, VIEWS, read, yaml_file

DOCUMENT = yaml_file(SCHEMAS / "asyncapi.yaml")
TOPOLOGY = yaml_file(ROOT / "deploy" / "topology.yaml")


def references(value: Any) -> list[str]:
    """Every `$ref` in the document."""
    found: list[str] = []
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            found += [item["$ref"]] if isinstance(item.get("$ref"), str) else []
            stack += item.values()
        elif isinstance(item, list):
            stack += item
    return found


def topics() -> set[str]:
    """The topics as `deploy/topology.yaml` declares them."""
    names: set[str] = set()
    for template in TOPOLOGY["topics"]:
        if "{agency}" in template:
            names |= {f"agency.{agency}.{feed}" for agency, feeds in TOPOLOGY["agencies"].items() for feed in feeds}
        elif "{partner}" in template:
            names |= {f"partner.{partner}" for partner in TOPOLOGY["partners"]}
        elif "{case}" in template:
            names |= {template.replace("{case}", case) for case in TOPOLOGY["cases"]}
        else:
            names.add(template)
    return names


def test_version_and_info() -> None:
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= set(DOCUMENT["info"])


def test_channels_are_the_topics() -> None:
    addresses = [channel["address"] for channel in DOCUMENT["channels"].values()]
    assert len(addresses) == len(set(addresses))
    assert set(addresses) == topics()


@pytest.mark.parametrize("reference", sorted(set(references(DOCUMENT))))
def test_reference_resolves(reference: str) -> None:
    if not reference.startswith("#/"):
        assert reference.startswith("./")
        read(SCHEMAS / Path(reference))
        return
    node: Any = DOCUMENT
    for token in reference.removeprefix("#/").split("/"):
        node = node[token]
    assert isinstance(node, dict)


def test_every_schema_file_is_named() -> None:
    files = {f"./feeds/{feed}.json" for feed in FEEDS}
    files |= {f"./messages/{name}.json" for name in MESSAGES}
    files |= {f"./sealed/{name}.json" for name in ("advocate", "msa-s52")}
    files |= {f"./partners/{view}/{feed}.json" for view, feed in VIEWS}
    assert {reference for reference in references(DOCUMENT) if reference.startswith("./")} == files


def test_every_channel_has_an_operation_and_every_message_a_channel() -> None:
    used = {operation["channel"]["$ref"].removeprefix("#/channels/") for operation in DOCUMENT["operations"].values()}
    closed = {name for name, channel in DOCUMENT["channels"].items() if "messages" not in channel}
    assert closed == {"partnerEmbeddedOfficerDesk", "partnerImmigrationEnforcement"}
    assert used == set(DOCUMENT["channels"]) - closed
    carried = {name for channel in DOCUMENT["channels"].values() for name in channel.get("messages", ())}
    assert carried == set(DOCUMENT["components"]["messages"])


def test_partners_get_the_views_of_their_agreement() -> None:
    registry = yaml_file(ROOT / "policies" / "partners.yaml")["partners"]
    channels = {channel["address"]: channel for channel in DOCUMENT["channels"].values()}
    for partner in registry:
        if partner["id"] in ("embedded-officer-desk", "immigration-enforcement"):
            continue
        messages = channels[f"partner.{partner['id']}"]["messages"]
        payloads = {
            DOCUMENT["components"]["messages"][name]["payload"]["schema"]["$ref"]
            for name in messages
            if name not in ("tombstone", "supersede")
        }
        assert payloads == {f"./partners/{partner['view']}/{feed}.json" for feed in partner["feeds"]}
