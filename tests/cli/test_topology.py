"""`topology` and what else reads the topology file: that of the settings, unless another one is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.cli import topology as command
from services.cli.app import app
from services.kernel.errors import ConfigError
from services.kernel.kafka.topology import load_topology, topology_path
from services.kernel.kafka.topology_file import Topology

Asked = list[tuple[Topology, str]]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """With which file and profile the broker was compared or changed."""
    found: Asked = []

    def take(_: object, topology: Topology, *, profile: str) -> list[object]:
        found.append((topology, profile))
        return []

    monkeypatch.setenv("SR_KAFKA_BOOTSTRAP", "127.0.0.1:1")
    monkeypatch.setenv("SR_KAFKA_SECURITY_PROTOCOL", "PLAINTEXT")
    monkeypatch.setattr(command.kafka, "check", take)
    monkeypatch.setattr(command.kafka, "apply", take)
    return found


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A topology file with other numbers of partitions."""
    text = topology_path().read_text()
    assert "\npartitions: 4\n" in text
    path = tmp_path / "own.yaml"
    path.write_text(text.replace("\npartitions: 4\n", "\npartitions: 8\n"))
    return path


@pytest.mark.parametrize("name", ["plan", "apply", "check"])
def test_file_and_profile_are_those_of_the_settings(
    asked: Asked, own: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def run(*more: str) -> tuple[Topology, str]:
        done = CliRunner().invoke(app, ["topology", name, *more])
        assert done.exit_code == 0, (done.output, done.exception)
        return asked.pop()

    shipped, ours = load_topology(), load_topology(own)
    assert shipped != ours
    assert run() == (shipped, "production")
    monkeypatch.setenv("SR_TOPOLOGY_FILE", str(own))
    monkeypatch.setenv("SR_TOPOLOGY_PROFILE", "embedded")
    assert run() == (ours, "embedded")
    assert run("--file", str(topology_path()), "--profile", "production") == (shipped, "production")


@pytest.mark.parametrize("arguments", [["keys", "init", "KEYS", "--dev"], ["policy", "prove"]])
def test_other_commands_read_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    monkeypatch.setenv("SR_TOPOLOGY_FILE", str(tmp_path / "gone.yaml"))
    monkeypatch.setattr("services.cli.policy.prove", lambda *_: iter(()))
    done = CliRunner().invoke(app, [str(tmp_path) if word == "KEYS" else word for word in arguments])
    assert isinstance(done.exception, ConfigError)
    assert "gone.yaml" in str(done.exception)
