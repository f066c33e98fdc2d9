"""Two persons put a policy set in force by command."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import jsonschema_rs
import pytest
from typer.testing import CliRunner, Result

from services.cli.app import app
from services.kernel import keys
from services.kernel.approvers import load_approvers
from services.kernel.errors import ConfigError, RefusedError
from services.kernel.paths import ROOT
from services.router.manifest import set_hash


def sign(folder: Path, person: str, *more: str, policies: Path = ROOT / "policies") -> Result:
    return CliRunner().invoke(
        app,
        [
            "policy", "sign", str(folder / "manifest.json"), "--by", person,
            "--key", str(folder / "approvers" / f"{person}.dev"), "--reason", "a new partner", "--reference", "MIN-7",
            "--policies", str(policies), *more,
        ],
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    keys.init_dev(tmp_path, [])
    return tmp_path


def test_the_first_makes_it_and_the_second_signs_the_same(folder: Path) -> None:
    done = sign(folder, "first-approver", "--sequence", "7", "--revoke", "housing-gm")
    assert done.exit_code == 0, done.output
    assert "manifest 7" in done.output
    done = sign(folder, "second-approver")
    assert "signed by first-approver, second-approver" in done.output
    held = json.loads((folder / "manifest.json").read_text())
    assert (held["sequence"], held["revoked"], held["sha256"]) == (7, ["housing-gm"], set_hash(ROOT / "policies"))
    assert set(load_approvers(folder / "approvers.yaml")) == {"first-approver", "second-approver"}


def test_a_full_disk_keeps_the_first_signature(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, _: bytes) -> int:
        self.write_text("{")
        raise OSError(28, "No space left on device")

    sign(folder, "first-approver", "--sequence", "7")
    signed = (folder / "manifest.json").read_bytes()
    with monkeypatch.context() as changed:
        changed.setattr(Path, "write_bytes", full)
        assert "No space left on device" in str(sign(folder, "second-approver").exception)
    assert (folder / "manifest.json").read_bytes() == signed


def test_the_approvers_file_names_every_action(folder: Path) -> None:
    said = (ROOT / "policies" / "approvers.yaml").read_text()
    for person in load_approvers(folder / "approvers.yaml").values():
        assert set(person.actions) == set(re.findall(r"`(\w+)`:", said))


def test_what_is_refused(folder: Path, tmp_path: Path) -> None:
    assert isinstance(sign(folder, "first-approver").exception, ConfigError)
    sign(folder, "first-approver", "--sequence", "7")
    assert isinstance(sign(folder, "first-approver").exception, RefusedError)
    assert isinstance(sign(folder, "second-approver", "--sequence", "8").exception, ConfigError)
    other = tmp_path / "other"
    shutil.copytree(ROOT / "policies", other)
    (other / "areas.yaml").write_text((other / "areas.yaml").read_text() + "# changed\n")
    refused = sign(folder, "second-approver", policies=other).exception
    assert isinstance(refused, RefusedError)
    assert "is not the set of this manifest" in str(refused)
    (folder / "manifest.json").write_text("{")
    assert isinstance(sign(folder, "second-approver").exception, ConfigError)
    (folder / "manifest.json").unlink()
    (folder / "approvers" / "first-approver.dev").write_text("short")
    assert isinstance(sign(folder, "first-approver", "--sequence", "7").exception, ConfigError)


def test_a_partner_that_is_revoked_or_restored_is_one_of_the_set(folder: Path) -> None:
    for more in (["--revoke", "housing-mg"], ["--restore", "housing-mg"]):
        refused = sign(folder, "first-approver", "--sequence", "7", *more).exception
        assert isinstance(refused, ConfigError)
        assert refused.faults == ["`housing-mg` is no partner of `partners.yaml`"]
    both = sign(folder, "first-approver", "--sequence", "7", "--revoke", "housing-gm", "--restore", "housing-gm")
    assert isinstance(both.exception, ConfigError)
    assert not (folder / "manifest.json").exists()
    done = sign(folder, "first-approver", "--sequence", "7", "--restore", "housing-gm", "--revoke", "idva-service")
    assert "revokes idva-service" in done.output
    assert "restores housing-gm" in done.output
    schema = json.loads((ROOT / "schemas" / "messages" / "control.json").read_text())
    jsonschema_rs.validator_for(schema).validate(json.loads((folder / "manifest.json").read_text()))


def test_a_faulty_set_is_not_signed(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(ROOT / "policies", other)
    (other / "areas.yaml").write_text("version: 1\n")
    refused = sign(folder, "first-approver", "--sequence", "1", policies=other).exception
    assert isinstance(refused, ConfigError)
    assert any("areas" in fault for fault in refused.faults)


def test_publish_refuses_one_signature(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sign(folder, "first-approver", "--sequence", "7")
    monkeypatch.setenv("SR_KAFKA_BOOTSTRAP", "127.0.0.1:1")
    monkeypatch.setenv("SR_KAFKA_SECURITY_PROTOCOL", "PLAINTEXT")
    monkeypatch.setenv("SR_APPROVERS_FILE", str(folder / "approvers.yaml"))
    done = CliRunner().invoke(app, ["policy", "publish", str(folder / "manifest.json")])
    assert isinstance(done.exception, RefusedError)
    assert "1 of 2 different persons approve" in str(done.exception)
