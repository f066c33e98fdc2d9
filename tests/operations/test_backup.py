"""The commands of `docs/operations.md` that back up and restore the ledger, as they stand there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from services.ledger.store import Store
from services.ledger.tree import Frontier
from tests.ledger import postgres
from tests.ledger.test_writer import BODIES, Outbox, drain, writer
from tests.operations.runbooks import command_with


def run(command: str, **variables: str) -> None:
    """Paste a command; the Python of this test stands in for `python3`."""
    path = f"{Path(sys.executable).parent}:{postgres.binaries()}:{os.environ['PATH']}"
    environment = os.environ | variables | {"PATH": path}
    done = subprocess.run(["bash", "-euc", command], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def half(url: str) -> None:
    """Append some batches."""
    with Store(url) as store:
        made = writer(store, Outbox())
        for _ in range(4):
            assert made.cycle()


def whole(url: str) -> tuple[int, bytes]:
    """Append what is left of the topic; size and root of the log."""
    with Store(url) as store:
        drain(writer(store, Outbox()))
        frontier: Frontier = store.state().frontier
        return frontier.size, frontier.root()


@pytest.fixture
def expected(tmp_path: Path) -> tuple[int, bytes]:
    """What a log that was never interrupted comes to."""
    return whole(f"sqlite:///{tmp_path / 'other.db'}")


def test_a_restored_sqlite_log_goes_on_to_the_same_root(tmp_path: Path, expected: tuple[int, bytes]) -> None:
    file, backup = tmp_path / "ledger.db", tmp_path / "backup.db"
    url = f"sqlite:///{file}"
    half(url)
    with Store(url) as store:  # the service is running
        made = writer(store, Outbox())
        run(command_with("VACUUM INTO"), LEDGER=str(file), BACKUP=str(backup))
        assert made.cycle()
    lost = whole(url)
    run(command_with("rm -f"), LEDGER=str(file), BACKUP=str(backup))
    with Store(url) as store:
        assert store.state().size == 600 < lost[0]
    assert whole(url) == lost == expected
    assert expected[0] == len(BODIES)


def test_a_restored_postgresql_log_goes_on_to_the_same_root(tmp_path: Path, expected: tuple[int, bytes]) -> None:
    with postgres.server() as url:
        backup, ledger = tmp_path / "backup", url.replace("+pg8000", "")
        half(url)
        run(command_with("pg_dump --format=custom --file"), LEDGER=ledger, BACKUP=str(backup))
        lost = whole(url)
        run(command_with('--dbname="$LEDGER"'), LEDGER=ledger, BACKUP=str(backup))
        with Store(url) as store:
            assert store.state().size == 600 < lost[0]
        assert whole(url) == lost == expected
