from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from services.kernel.duties import Route, json_schema, load_duties
from services.kernel.errors import ConfigError
from services.kernel.kafka.topology import load_topology
from services.kernel.kafka.topology_file import Acl
from services.kernel.paths import ROOT

FILE = ROOT / "policies" / "duties.yaml"


def test_the_schema_file_is_what_the_loader_checks() -> None:
    assert orjson.loads((ROOT / "policies" / "duties.schema.json").read_bytes()) == json_schema()


def test_one_duty_lets_something_out_and_powers_do_not() -> None:
    duties = load_duties(FILE)
    assert [duty.id for duty in duties.values() if duty.path is Route.SEALED] == ["msa-s52"]
    assert {"iaa-s20", "cda-s115", "npcc-guidance"} <= {duty.id for duty in duties.values() if not duty.binds}


def test_a_sealed_topic_is_out_of_the_routers_reach() -> None:
    """G2: neither the router nor a partner may write or read what is released sealed."""
    topology = load_topology()
    sealed = {topic.name for topic in topology.topics if topic.name.startswith(("sealed.", "duty."))}
    cases = {f"sealed.advocate.{case}": f"advocate-{case}" for case in topology.cases}
    assert sealed == {"sealed.msa-s52", "duty.proposal", *cases}
    assert not any(f"partner.{name}".startswith("sealed") for name in topology.partners)
    reach = {
        name: {topic for topic in sealed if any(acl.principal == name and covers(acl, topic) for acl in topology.acls)}
        for name in topology.principal_names
    }
    assert {name: topics for name, topics in reach.items() if topics} == {
        "cli-duty": sealed,
        "redactor": {"duty.proposal"},
        "ledger": {"duty.proposal"},
        **{principal: {topic} for topic, principal in cases.items()},
    }


def covers(acl: Acl, topic: str) -> bool:
    """Whether a permission is about `topic`, by name or by prefix."""
    return acl.resource == "topic" and (topic.startswith(acl.name) if acl.prefix else acl.name == topic)


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("id: iaa-s20a", "id: msa-s52", "is given twice"),
        ("    topic: sealed.msa-s52\n", "", "`sealed` needs"),
        ("    binds: true\n    path: sealed", "    binds: false\n    path: sealed", "`sealed` needs"),
        ("releasers: 2", "releasers: 1", "/duties/0/releasers"),
        ("topic: sealed.msa-s52", "topic: partner.home-office", "/duties/0/topic"),
        (
            "path: none\n    says: a power",
            "path: none\n    topic: sealed.power\n    says: a power",
            "only a `sealed` duty",
        ),
    ],
)
def test_faults_stop_the_start(tmp_path: Path, old: str, new: str, fault: str) -> None:
    text = FILE.read_text("utf-8")
    assert old in text
    (tmp_path / "duties.yaml").write_text(text.replace(old, new, 1), "utf-8")
    with pytest.raises(ConfigError) as caught:
        load_duties(tmp_path / "duties.yaml")
    assert fault in " ".join(caught.value.faults)
