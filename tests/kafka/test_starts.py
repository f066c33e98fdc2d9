"""A service that cannot do its work says so at the start, with the exit code for it and all faults listed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition

from services.kernel import keys
from services.kernel.errors import Exit
from services.kernel.kafka.client import transactional_producer
from services.kernel.kafka.embedded import EmbeddedKafka
from services.kernel.kafka.topology import load_topology
from services.kernel.paths import ROOT

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def keys_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("keys")
    keys.init_dev(folder, load_topology().partners)
    return folder


def start(service: str, environment: dict[str, str], *, seconds: float = 90) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SR_")}
    return subprocess.run(
        [sys.executable, "-m", f"services.{service}.main"],
        env=clean | environment,
        capture_output=True,
        text=True,
        timeout=seconds,
    )


@pytest.mark.parametrize("service", ["redactor", "router"])
def test_missing_keys_are_all_named(service: str, tmp_path: Path) -> None:
    done = start(service, {"SR_KEYS_DIR": str(tmp_path), "SR_KAFKA_BOOTSTRAP": "127.0.0.1:1"})
    assert done.returncode == Exit.USAGE
    assert done.stderr.count("no key `") >= 3


def test_unknown_and_bad_settings_are_named_without_their_value() -> None:
    done = start("redactor", {"SR_KEY_DIR": "/secret-value"})
    assert done.returncode == Exit.USAGE
    assert "`SR_KEY_DIR` is not a setting" in done.stderr
    assert "secret-value" not in done.stderr
    done = start("redactor", {"SR_SLOT": "many", "SR_BATCH_RECORDS": "0"})
    assert done.returncode == Exit.USAGE
    assert "`SR_SLOT`" in done.stderr
    assert "`SR_BATCH_RECORDS`" in done.stderr


def test_broken_schemas_stop_the_redactor(tmp_path: Path, keys_dir: Path) -> None:
    shutil.copytree(ROOT / "schemas", tmp_path / "schemas")
    feeds = tmp_path / "schemas" / "feeds"
    (feeds / "marac.json").write_text("{")
    (feeds / "nrm.json").write_text((feeds / "nrm.json").read_text().replace('["NATIONALITY"]', '["NATION"]'))
    done = start("redactor", {"SR_SCHEMAS_DIR": str(tmp_path / "schemas"), "SR_KEYS_DIR": str(keys_dir)})
    assert done.returncode == Exit.USAGE
    assert "marac" in done.stderr
    assert "NATION" in done.stderr


def test_broken_policies_and_partners_stop_the_router(tmp_path: Path, keys_dir: Path) -> None:
    shutil.copytree(ROOT / "policies", tmp_path / "policies")
    partners = tmp_path / "policies" / "partners.yaml"
    partners.write_text(partners.read_text().replace("view: housing", "view: mansion"))
    (tmp_path / "policies" / "cedar" / "broken.cedar").write_text('@id("x") permit (principal, action')
    done = start("router", {"SR_POLICIES_DIR": str(tmp_path / "policies"), "SR_KEYS_DIR": str(keys_dir)})
    assert done.returncode == Exit.USAGE
    assert "broken.cedar" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_broker_is_said_and_ends_with_its_code(keys_dir: Path) -> None:
    nobody = {"SR_KAFKA_BOOTSTRAP": "127.0.0.1:9", "SR_KAFKA_SECURITY_PROTOCOL": "PLAINTEXT"}
    done = start("router", nobody | {"SR_KEYS_DIR": str(keys_dir)})
    assert done.returncode == Exit.UNREACHABLE
    assert "is the broker up" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_connection_without_its_principal_is_refused_with_all_that_is_missing(keys_dir: Path) -> None:
    done = start("router", {"SR_KAFKA_BOOTSTRAP": "127.0.0.1:9", "SR_KEYS_DIR": str(keys_dir)})
    assert done.returncode == Exit.USAGE
    for name in ("SR_KAFKA_SASL_MECHANISM", "SR_KAFKA_USERNAME", "SR_KAFKA_PASSWORD_FILE"):
        assert f"`{name}` is not set" in done.stderr


def test_a_principal_without_permission_is_refused(broker: EmbeddedKafka, keys_dir: Path) -> None:
    done = start("router", broker.environment("partner-housing-gm") | {"SR_KEYS_DIR": str(keys_dir)})
    assert done.returncode == Exit.REFUSED
    assert "refuses this principal" in done.stderr


def test_a_missing_topic_is_said(broker: EmbeddedKafka, keys_dir: Path, tmp_path: Path) -> None:
    topology = tmp_path / "topology.yaml"
    text = (ROOT / "deploy" / "topology.yaml").read_text()
    topology.write_text(text.replace("gmp: [police-crime, online-report]", "gmp: [police-crime, online-report, other]"))
    environment = broker.environment("admin") | {"SR_TOPOLOGY_FILE": str(topology), "SR_KEYS_DIR": str(keys_dir)}
    done = start("redactor", environment)
    assert done.returncode == Exit.UNREACHABLE
    assert "a topic is missing" in done.stderr


@pytest.mark.parametrize("service", ["redactor", "router"])
def test_sigterm_ends_a_service_cleanly(broker: EmbeddedKafka, keys_dir: Path, service: str) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SR_")}
    process = subprocess.Popen(
        [sys.executable, "-m", f"services.{service}.main"],
        env=clean | broker.environment(service) | {"SR_KEYS_DIR": str(keys_dir)},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    with process, process.stderr:
        for line in process.stderr:
            if "service_started" in line:
                break
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()
        assert process.wait(15) == Exit.DONE
    assert "service_stopped" in rest


def test_a_position_that_an_open_transaction_holds_is_said(broker: EmbeddedKafka, keys_dir: Path) -> None:
    """What another worker left open when it froze: until it is decided, the broker tells nobody where the group is."""
    config = broker.client_config("admin")
    asker = Consumer({**config, "group.id": "redactor"})
    holder = transactional_producer(config, service="holder", slot=0, **{"transaction.timeout.ms": 120_000})
    try:
        holder.init_transactions(15)
        holder.begin_transaction()
        place = TopicPartition("agency.gmp.police-crime", 0, 0)
        holder.send_offsets_to_transaction([place], asker.consumer_group_metadata(), 15)
        began = time.monotonic()
        done = start("redactor", broker.environment("redactor") | {"SR_KEYS_DIR": str(keys_dir)})
        assert time.monotonic() - began > 30
        assert done.returncode == Exit.UNREACHABLE
        assert "where the group is" in done.stderr
        assert "no transaction left open" in done.stderr
        assert "Traceback" not in done.stderr
    finally:
        holder.abort_transaction(15)
        holder.close()
        asker.close()
