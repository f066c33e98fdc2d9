"""`docker-compose.yml` against the settings, the topology and the services that there are."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.kernel.kafka.embedded_jars import KAFKA_VERSION
from services.kernel.kafka.embedded_settings import _COMMON, encrypted
from services.kernel.kafka.topology import load_topology
from services.kernel.paths import ROOT
from services.kernel.settings import Settings
from tests.operations.runbooks import TEXT, command_with

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
SECRETS = (ROOT / "deploy" / "secrets.sh").read_text()
DAEMONS = sorted(path.parent.name for path in (ROOT / "services").glob("*/main.py"))
OURS = {name: part for name, part in SERVICES.items() if part["image"] == "safe-reporting:dev"}
LASTING = {name: part for name, part in SERVICES.items() if part["restart"] == "unless-stopped"}
#: A service's account may be named otherwise.
ACCOUNTS = {
    "accounts": "admin", "topology": "admin", "policy": "cli-operator", "operator": "cli-operator",
    "auditor": "cli-auditor", "reconcile": "cli-auditor", "safety": "cli-safety",
}  # fmt: skip


def mounts(part: dict[str, Any]) -> dict[str, str]:
    return dict(volume.split(":")[:2] for volume in part.get("volumes", []))


def test_every_service_of_the_code_is_in_the_file() -> None:
    assert set(DAEMONS) <= set(SERVICES)
    for name in DAEMONS:
        assert SERVICES[name]["command"] == [name]
        assert SERVICES[name]["environment"]["SR_KAFKA_USERNAME"] == name


def test_the_document_names_both_brokers() -> None:
    said = (ROOT / "docs" / "operators.md").read_text()
    assert f"Apache Kafka {SERVICES['kafka']['image'].partition(':')[2]};" in said
    assert f"embed {KAFKA_VERSION})" in said


@pytest.mark.parametrize("name", sorted(OURS))
def test_a_variable_is_a_setting_and_an_account_is_of_the_topology(name: str) -> None:
    known = {f"SR_{field.upper()}" for field in Settings.model_fields}
    environment = OURS[name].get("environment", {})
    assert {variable for variable in environment if variable.startswith("SR_")} <= known
    if "SR_KAFKA_USERNAME" in environment:
        account = environment["SR_KAFKA_USERNAME"]
        assert account in load_topology().principal_names
        assert account == ACCOUNTS.get(name, name)
        assert environment["SR_KAFKA_SECURITY_PROTOCOL"] == "SASL_SSL"


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_part_can_do_no_more_than_it_must(name: str) -> None:
    part = SERVICES[name]
    assert part["read_only"] is True
    assert part["cap_drop"] == ["ALL"]
    assert part["security_opt"] == ["no-new-privileges:true"]
    assert re.fullmatch(r"\d+[mg]", part["mem_limit"])
    assert "privileged" not in part
    assert not any("docker.sock" in volume for volume in part.get("volumes", []))
    if name == "secrets":  # hands files to their owners, without a network
        assert part["network_mode"] == "none"
        return
    assert not part["user"].startswith("0")
    assert "cap_add" not in part
    assert part.get("ports", []) == [] or all(port.startswith("127.0.0.1:") for port in part["ports"])
    assert set(part.get("networks", [])) <= {"inside", "front"}
    assert ("front" in part.get("networks", [])) == (name in {"prometheus", "grafana"})


@pytest.mark.parametrize("name", sorted(LASTING))
def test_a_lasting_part_is_watched_and_has_time_to_stop(name: str) -> None:
    part = LASTING[name]
    assert part["healthcheck"]["test"][0] == "CMD"
    assert int(part["stop_grace_period"].removesuffix("s")) >= 20
    if name in DAEMONS:  # a batch may take its deadline, and a commit that nobody answers 30 s less what is left
        assert int(part["stop_grace_period"].removesuffix("s")) > Settings.model_fields["batch_deadline_s"].default


def test_what_reads_whole_topics_has_room_for_them() -> None:
    assert {SERVICES[name]["mem_limit"] for name in ("auditor", "reconcile")} == {"1g"}


def test_a_volume_of_secrets_is_mounted_by_its_owner_alone() -> None:
    owners: dict[str, set[str]] = {}
    for name, part in SERVICES.items():
        for volume in mounts(part):
            if volume.startswith("for-") or volume == "vault":
                owners.setdefault(volume, set()).add(name)
    allowed = {"vault": set(), "for-admin": {"accounts", "topology"}, "for-operator": {"operator", "policy"}}
    for volume, names in owners.items():
        assert names - {"secrets"} == allowed.get(volume, {volume.removeprefix("for-")}), volume
    assert set(COMPOSE["volumes"]) == {v for part in SERVICES.values() for v in mounts(part) if not v.startswith(".")}
    assert all(COMPOSE["networks"][n] == {"internal": True} for n in ("inside",))


def test_a_service_gets_the_keys_that_its_code_loads_and_no_others() -> None:
    given = dict(re.findall(r"^give /for/(\w+) \$app [\w-]+ ?(.*)$", SECRETS, re.M))
    expected = {name: loaded(name) for name in ("redactor", "router", "ledger", "canary")}
    expected["redactor"].add("canary-pub")
    assert {name: set(given[name].replace("'", "").split()) for name in expected} == expected
    assert {given[name] for name in ("monitor", "admin", "producer", "desk", "safety")} == {""}
    assert given["reconcile"] == "auditor"
    assert "compliance" not in SECRETS  # what opens quarantine stays in the vault


def loaded(service: str) -> set[str]:
    """Names of keys in the service's own call, as its source has them."""
    text = (ROOT / "services" / service / ("main.py" if service in {"ledger", "canary"} else "build.py")).read_text()
    call = re.search(r"(?:found|key) = keys\.load\(\s*settings\.keys_dir, \[(.*?)\]\s*\)", text, re.S)
    assert call is not None
    return {name.replace("{name}", "*") for name in re.findall(r'"([\w{}-]+)"', call[1])}


def test_the_broker_is_set_like_the_embedded_one() -> None:
    lines = (ROOT / "deploy" / "kafka" / "server.properties").read_text().splitlines()
    held = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    same = ["message.max.bytes", "replica.fetch.max.bytes", "replica.fetch.response.max.bytes"]
    same += ["auto.create.topics.enable", "authorizer.class.name"]
    assert {name: held[name] for name in same} == {name: _COMMON[name] for name in same}
    assert held["allow.everyone.if.no.acl.found"] == "false"
    assert "PLAINTEXT" not in held["listener.security.protocol.map"]
    assert held["sasl.enabled.mechanisms"] == "SCRAM-SHA-256"
    asks = "listener.name.client.ssl.client.auth"  # on SASL_SSL the line without the prefix asks for no certificate
    assert held[asks] == encrypted(Path("server.pem"), Path("ca.pem"))[asks] == "required"
    assert held["ssl.client.auth"] == "required"


def test_whoever_speaks_to_the_broker_has_a_certificate_to_show() -> None:
    for name, part in OURS.items():
        environment = part.get("environment", {})
        if "SR_KAFKA_BOOTSTRAP" in environment:
            assert environment["SR_KAFKA_CERTIFICATE_FILE"] == "/run/safe-reporting/kafka/certificate.pem", name
            assert environment["SR_KAFKA_KEY_FILE"] == "/run/safe-reporting/kafka/key.pem", name
            assert "/run/safe-reporting" in mounts(part).values(), name


def test_prometheus_asks_every_service_under_its_own_name() -> None:
    config = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
    jobs = {job["job_name"]: job["static_configs"][0]["targets"] for job in config["scrape_configs"]}
    assert jobs == {name: [f"{name}:9108"] for name in jobs}
    assert set(jobs) == set(DAEMONS)
    assert all(SERVICES[name]["environment"]["SR_METRICS_PORT"] == "9108" for name in jobs)


def test_no_password_or_key_stands_in_a_file_of_the_deployment() -> None:
    files = [ROOT / "docker-compose.yml", *(p for p in (ROOT / "deploy").rglob("*") if p.is_file())]
    for path in files:
        text = path.read_text()
        assert "BEGIN" + " " not in text, path
        assert not re.search(r"(?i)password[\"']?\s*[:=]\s*[\"']?[A-Za-z0-9_+/-]{8,}\s*$", text, re.M), path


@pytest.mark.parametrize("script", sorted((ROOT / "deploy").rglob("*.sh")), ids=lambda path: path.name)
def test_a_script_can_be_parsed(script: Path) -> None:
    shell = "bash" if "bash" in script.read_text().splitlines()[0] else "sh"
    subprocess.run([shell, "-n", str(script)], check=True)
    assert "set -eu" in script.read_text()


@pytest.mark.parametrize("program", ["pg_dump --username", "pg_restore --username"])
def test_the_log_is_backed_up_and_restored_as_the_database_is_set(program: str) -> None:
    command = command_with(program)
    postgres, ledger = SERVICES["postgres"], SERVICES["ledger"]
    environment = postgres["environment"]
    assert command.startswith("docker-compose exec -T postgres sh -c '")
    assert f"$(cat {environment['POSTGRES_PASSWORD_FILE']})" in command
    assert f"--username={environment['POSTGRES_USER']} " in command
    assert re.search(rf"[ =]{environment['POSTGRES_DB']}'", command)
    assert mounts(postgres)["postgres-socket"] == "/var/run/postgresql"  # where its programs look for it
    assert set(re.findall(r"stop (ledger reconcile)", TEXT)) == {"ledger reconcile"}
    assert ledger["environment"]["SR_LEDGER_DATABASE"].startswith("postgresql")


def test_nothing_waits_for_what_only_looks_on() -> None:
    """Without Prometheus and Grafana records flow, and alerts go to `ops.alert`, all the same."""
    watchers = {"prometheus", "grafana"}
    for name, part in SERVICES.items():
        if name not in watchers:
            assert not watchers & set(part.get("depends_on", {})), name
            assert not any(watcher in str(part.get("environment", {})) for watcher in watchers), name
