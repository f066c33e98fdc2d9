"""The embedded broker: accounts, data over kills, no JVM left behind, clear words when it cannot start."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from services.kernel.errors import ConfigError, UnreachableError
from services.kernel.kafka import embedded, embedded_jars
from services.kernel.kafka.admin_types import AdminClient, NewTopic
from services.kernel.kafka.embedded import EmbeddedKafka
from services.kernel.kafka.embedded_settings import Node, server_properties
from services.kernel.kafka.topology import apply, check, load_topology

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kafka data")  # with a blank: paths must survive quoting


@pytest.fixture(scope="module")
def own(folder: Path) -> Iterator[EmbeddedKafka]:
    """A broker that these tests may kill, with two accounts that have no permission."""
    with EmbeddedKafka(data=folder, principals=["guest", "other"]) as kafka:
        yield kafka


def admin(kafka: EmbeddedKafka) -> AdminClient:
    return AdminClient({**kafka.client_config("admin"), "log_level": 0})


def make(kafka: EmbeddedKafka, topic: str) -> None:
    client = admin(kafka)  # held until the answer is there
    client.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])[topic].result(20)


def write(kafka: EmbeddedKafka, topic: str, value: bytes, *, seconds: float = 15) -> None:
    failures: list[KafkaError] = []
    producer = Producer({**kafka.client_config("admin"), "message.timeout.ms": int(seconds * 1000), "log_level": 0})
    producer.produce(topic, value, on_delivery=lambda error, _: failures.append(error) if error else None)
    assert producer.flush(20) == 0
    if failures:
        raise KafkaException(failures[0])


def read(kafka: EmbeddedKafka, topic: str) -> list[bytes]:
    settings = {"group.id": "admin", "enable.partition.eof": True, "enable.auto.commit": False, "log_level": 0}
    consumer = Consumer({**kafka.client_config("admin"), **settings})
    consumer.assign([TopicPartition(topic, 0, 0)])
    found: list[bytes] = []
    ends = time.monotonic() + 20
    try:
        while time.monotonic() < ends:
            message = consumer.poll(0.5)
            if message is None:
                continue
            if message.error() is None:
                found.append(message.value() or b"")
            elif message.error().code() == KafkaError._PARTITION_EOF:
                return found
        raise AssertionError("the end of the topic was not reached")
    finally:
        consumer.close()


def refused(config: dict[str, str]) -> bool:
    """Whether the broker tells this client nothing at all."""
    try:
        AdminClient({**config, "log_level": 0}).list_topics(timeout=5)
    except KafkaException:
        return True
    return False


def test_a_known_account_connects_and_sees_nothing_without_a_permission(own: EmbeddedKafka) -> None:
    make(own, "hidden")
    guest = AdminClient({**own.client_config("guest"), "log_level": 0})
    assert guest.list_topics(timeout=10).topics == {}
    assert "hidden" in admin(own).list_topics(timeout=10).topics


def test_other_ways_in_are_closed(own: EmbeddedKafka) -> None:
    changes: list[dict[str, str]] = [
        {"sasl.password": "wrong"},
        {"sasl.username": "nobody"},
        {"sasl.username": "broker"},
        {"sasl.mechanism": "PLAIN"},
        {"security.protocol": "PLAINTEXT"},
    ]
    with ThreadPoolExecutor(len(changes) + 1) as pool:
        answers = pool.map(refused, [own.client_config("guest") | change for change in [{}, *changes]])
    assert list(answers) == [False, *([True] * len(changes))]


def test_an_unknown_account_is_a_clear_error(own: EmbeddedKafka) -> None:
    with pytest.raises(ConfigError, match="no account `stranger`"):
        own.client_config("stranger")


def test_topics_are_not_made_by_writing_to_them(own: EmbeddedKafka) -> None:
    with pytest.raises(KafkaException):
        write(own, "never-made", b"x", seconds=2)
    assert "never-made" not in admin(own).list_topics(timeout=10).topics


def test_data_and_address_survive_a_kill_and_a_clean_stop(own: EmbeddedKafka) -> None:
    make(own, "kept")
    write(own, "kept", b"one")
    address, pids = own.bootstrap, own.pids
    own.restart()
    assert own.bootstrap == address
    assert own.pids != pids
    write(own, "kept", b"two")
    own.stop()
    assert own.pids == ()
    thread = threading.Thread(target=own.start)  # the broker must not end with the thread that started it
    thread.start()
    thread.join()
    own.start()  # nothing happens: it runs
    assert read(own, "kept") == [b"one", b"two"]


def test_passwords_are_in_private_files_and_not_in_the_process_list(own: EmbeddedKafka, folder: Path) -> None:
    state = folder / "accounts.json"
    passwords = [word.encode() for word in json.loads(state.read_text())["passwords"].values()]
    holders = [path for path in folder.rglob("*") if path.is_file() and any(p in path.read_bytes() for p in passwords)]
    assert state in holders
    assert {stat.S_IMODE(path.stat().st_mode) for path in holders if path.suffix != ".log"} == {0o600}
    assert not [path for path in holders if path.suffix == ".log" and path.parent.parent == folder]
    line = Path(f"/proc/{own.pids[0]}/cmdline").read_bytes()
    assert not any(password in line for password in passwords)


def test_the_environment_of_a_child_process_says_the_same(own: EmbeddedKafka) -> None:
    config, variables = own.client_config("guest"), own.environment("guest")
    assert sorted(config.values()) == sorted(variables.values())
    assert all(name.startswith("SR_KAFKA_") for name in variables)


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except FileNotFoundError:
        return False


def test_a_temporary_folder_is_gone_after_close_and_settings_can_be_wrong() -> None:
    kafka = EmbeddedKafka(principals=["guest"], overrides={"log.cleaner.threads": "none"})
    with pytest.raises(UnreachableError, match=r"(?s)could not format.*log\.cleaner\.threads"):
        kafka.start()
    kafka.close()
    assert not kafka.folder.exists()


def test_before_the_first_start_there_is_no_address(tmp_path: Path) -> None:
    kafka = EmbeddedKafka(data=tmp_path, principals=["guest"])
    with pytest.raises(UnreachableError, match="not started"):
        _ = kafka.bootstrap
    with pytest.raises(ConfigError):
        kafka.client_config("guest")


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"cluster": "x", "passwords": 3, "ports": []}'])
def test_a_damaged_folder_is_refused_and_not_formatted_anew(tmp_path: Path, text: str) -> None:
    (tmp_path / "accounts.json").write_text(text)
    with pytest.raises(ConfigError, match="damaged"):
        EmbeddedKafka(data=tmp_path, principals=["guest"]).start()
    assert (tmp_path / "accounts.json").read_text() == text


def test_jars_that_cannot_be_fetched_say_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def no_network(_: str) -> None:
        raise OSError("no route to host")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(embedded_jars.importlib, "import_module", lambda _: SimpleNamespace(build=no_network))
    with pytest.raises(UnreachableError, match=r"could not fetch .*: connect once, then it is cached"):
        embedded_jars.class_path(lambda _: None)


def test_jars_are_found_again_without_a_resolver(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "jars").mkdir()
    names = ["jars/kafka_2.13-4.3.1.jar", "jars/slf4j-simple-1.7.36.jar"]
    for name in names:
        (tmp_path / name).write_bytes(b"jar")
    calls: list[str] = []

    def build(coordinates: str) -> SimpleNamespace:
        calls.append(coordinates)
        return SimpleNamespace(path=tmp_path)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(embedded_jars.importlib, "import_module", lambda _: SimpleNamespace(build=build))
    said: list[str] = []
    first = embedded_jars.class_path(said.append)
    assert first == embedded_jars.class_path(said.append) == tuple(tmp_path / name for name in names)
    assert len(calls) == len(said) == 1
    (tmp_path / names[0]).write_bytes(b"another size")
    embedded_jars.class_path(said.append)
    assert len(calls) == 2
    (tmp_path / names[1]).unlink()
    with pytest.raises(UnreachableError, match="whole"):
        embedded_jars.class_path(said.append)


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def absent(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(embedded_jars.importlib, "import_module", absent)
    for call in (embedded_jars.java, lambda: embedded_jars.class_path(lambda _: None)):
        with pytest.raises(ConfigError, match=r"safe-reporting\[embedded\]"):
            call()


def test_three_nodes_ask_for_three_copies(tmp_path: Path) -> None:
    nodes = tuple(Node(n, 1000 + n, 2000 + n, tmp_path / str(n)) for n in (1, 2, 3))
    text = server_properties(nodes[1], nodes=nodes, passwords={"broker": "b", "controller": "c"}, overrides={})
    assert "node.id=2\n" in text
    assert "controller.quorum.voters=1@127.0.0.1:2001,2@127.0.0.1:2002,3@127.0.0.1:2003\n" in text
    assert "transaction.state.log.replication.factor=3\n" in text
    assert "transaction.state.log.min.isr=2\n" in text


def test_only_the_loopback_address_is_listened_on(own: EmbeddedKafka) -> None:
    assert all(address.startswith("127.0.0.1:") for address in own.bootstrap.split(","))
    assert os.getpgid(own.pids[0]) == own.pids[0]


def test_a_folder_keeps_its_accounts_and_gets_new_ones(own: EmbeddedKafka, folder: Path) -> None:
    before = own.client_config("guest")
    own.stop()
    with EmbeddedKafka(data=folder, principals=["guest", "newcomer"]) as again:
        assert again.client_config("guest") == before
        newcomer = AdminClient({**again.client_config("newcomer"), "log_level": 0})
        assert newcomer.list_topics(timeout=10).topics == {}


def test_no_jvm_outlives_a_killed_parent(own: EmbeddedKafka, folder: Path) -> None:
    own.stop()
    code = (
        "import sys, time; from pathlib import Path; from services.kernel.kafka.embedded import EmbeddedKafka\n"
        "kafka = EmbeddedKafka(data=Path(sys.argv[1]), principals=['guest'])\n"
        "kafka.start(); print(kafka.pids[0], flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    jvm = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait(10)
    parent.stdout.close()
    ends = time.monotonic() + 10
    while running(jvm):
        assert time.monotonic() < ends, "the JVM still runs"
        time.sleep(0.05)


def test_an_id_of_a_cluster_is_never_read_as_an_option(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = iter([uuid.UUID(bytes=b"\xfb" + bytes(15)), uuid.UUID(bytes=b"\x01" + bytes(15))])
    monkeypatch.setattr(embedded.uuid, "uuid4", lambda: next(ids))
    assert embedded._cluster_id() == "AQAAAAAAAAAAAAAAAAAAAA"


@pytest.mark.chaos
def test_three_nodes_take_records_while_one_is_dead() -> None:
    """With the production profile: three copies, two of which must have a record."""
    with EmbeddedKafka(nodes=3) as kafka:
        config = kafka.client_config("admin")
        apply(config, load_topology(), profile="production")
        ends = time.monotonic() + 30
        # the node that is asked may still follow
        while differs := check(config, load_topology(), profile="production"):
            assert time.monotonic() < ends, differs
            time.sleep(0.2)
        write(kafka, "ledger", b"one")
        kafka.kill(2)
        assert len(kafka.pids) == 2
        write(kafka, "ledger", b"two")
        kafka.start_node(2)
        assert len(kafka.pids) == 3
        write(kafka, "ledger", b"three")
        assert read(kafka, "ledger") == [b"one", b"two", b"three"]
