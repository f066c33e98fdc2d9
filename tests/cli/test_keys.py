"""Keys of a new period: both halves, or neither."""

from __future__ import annotations

import os
from pathlib import Path

import pyrage
import pytest
from typer.testing import CliRunner, Result

from services.cli.app import app
from services.kernel.errors import ConfigError, RefusedError
from services.kernel.keys import init_dev, load


def rotate(folder: Path) -> Result:
    arguments = ["keys", "rotate", "2026-12", "--vault", str(folder / "vault"), "--services", str(folder / "services")]
    return CliRunner().invoke(app, arguments)


def test_without_the_folder_of_the_services_no_identity_is_made(tmp_path: Path) -> None:
    refused = rotate(tmp_path).exception
    assert isinstance(refused, ConfigError)
    assert "is no folder" in refused.faults[0]
    (tmp_path / "services").mkdir()
    assert rotate(tmp_path).exit_code == 0


def test_where_the_recipient_cannot_be_written_it_can_be_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "services").mkdir()
    opened = os.open

    def full(path: Path, *arguments: int) -> int:
        if "seal-pub" in str(path):  # the identity is there by then
            raise OSError(28, "No space left on device", str(path))
        return opened(path, *arguments)

    with monkeypatch.context() as changed:
        changed.setattr("services.kernel.private.os.open", full)
        assert isinstance(rotate(tmp_path).exception, OSError)
    assert not any((tmp_path / "vault").iterdir())
    assert rotate(tmp_path).exit_code == 0
    assert {path.name for path in (tmp_path / "services").iterdir()} == {"seal-pub.2026-12"}


class Cut(BaseException):
    """The power is gone."""


def test_a_loss_of_power_leaves_keys_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After each write in turn: what is there by name is a key, and the next run makes the others."""

    def init(folder: Path) -> Result:
        return CliRunner().invoke(app, ["keys", "init", str(folder), "--dev"])

    sync = os.fsync
    for cut in range(1, 12):
        folder, left = tmp_path / str(cut), [cut]

        def cuts(number: int, left: list[int] = left) -> None:
            sync(number)
            left[0] -= 1
            if left[0] == 0:
                raise Cut

        with monkeypatch.context() as changed:
            changed.setattr("services.kernel.private.os.fsync", cuts)
            with pytest.raises(Cut):
                init_dev(folder, ["housing-gm"])
        assert all(path.stat().st_size for path in folder.rglob("*.dev"))
        assert init(folder).exit_code == 0
        assert not list(folder.rglob(".*.new"))


def test_a_key_that_was_cut_short_is_named_with_what_to_do(tmp_path: Path) -> None:
    init_dev(tmp_path, ["p"])
    short = ["attest.dev", "pseudonym.dev", "approvers/first-approver.dev", "compliance/seal-identity.dev", "lock.dev"]
    for name in short:
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:7] + b"\xff")
    refused = CliRunner().invoke(app, ["keys", "init", str(tmp_path), "--dev"]).exception
    assert isinstance(refused, ConfigError)
    assert len(refused.faults) == len(short)
    for name in short:
        assert any(f"`{tmp_path / name}`" in fault and "remove it" in fault for fault in refused.faults)


def test_a_folder_of_keys_that_is_another_accounts_is_not_an_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    init_dev(tmp_path, [])
    monkeypatch.setattr("services.kernel.keys.os.access", lambda *_: False)  # who runs the tests may be root
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path, ["ledger-pub"])


def test_a_recipient_of_another_period_destroys_nothing(tmp_path: Path) -> None:
    (tmp_path / "services").mkdir()
    assert rotate(tmp_path).exit_code == 0
    other = tmp_path / "seal-pub.other"
    other.write_text(str(pyrage.x25519.Identity.generate().to_public()))
    persons = ["--by", "A1", "--second", "A2", "--second-key", str(tmp_path / "none")]
    arguments = ["2026-12", "--vault", str(tmp_path / "vault"), *persons, "--recipient", str(other)]
    refused = CliRunner().invoke(app, ["keys", "destroy", *arguments]).exception
    assert isinstance(refused, RefusedError)
    assert "is not the recipient of" in str(refused)
    assert (tmp_path / "vault" / "seal-identity.2026-12").exists()


def test_a_set_for_development_that_broke_off_is_made_whole_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = os.fsync
    left = iter(range(4))

    def full(number: int) -> None:
        if next(left, None) is None:
            raise OSError(28, "No space left on device")
        synced(number)

    with monkeypatch.context() as changed:
        changed.setattr("services.kernel.private.os.fsync", full)
        with pytest.raises(OSError, match="No space left"):
            init_dev(tmp_path, ["a-partner"])
    made = init_dev(tmp_path, ["a-partner"])
    assert len(made) > 10
    assert all(path.read_text().strip() for path in tmp_path.rglob("*") if path.is_file() and path.name[0] != ".")
