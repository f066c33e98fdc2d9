"""Keys of a new period: both halves, or neither."""

from __future__ import annotations

import os
from pathlib import Path

import pyrage
import pytest
from typer.testing import CliRunner, Result

from services.cli.app import app
from services.kernel.errors import ConfigError, RefusedError
from services.kernel.keys import init_dev


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
        if "seal-pub" in str(path):
            raise OSError(28, "No space left on device", str(path))
        return opened(path, *arguments)

    with monkeypatch.context() as changed:
        changed.setattr("services.cli.keys.os.open", full)
        assert isinstance(rotate(tmp_path).exception, OSError)
    assert not any((tmp_path / "vault").iterdir())
    assert rotate(tmp_path).exit_code == 0
    assert {path.name for path in (tmp_path / "services").iterdir()} == {"seal-pub.2026-12"}


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


def test_a_key_that_was_cut_short_is_named(tmp_path: Path) -> None:
    (tmp_path / "attest.dev").write_text("12ab")
    with pytest.raises(ConfigError, match=r"key `attest\.dev` is not 64 hex digits"):
        init_dev(tmp_path, [])
