"""Folders of processes: removed where the owner is gone, however it ended, and never one of a living process."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.kernel.folder import OwnFolder, sweep

_HOLD = """
import subprocess, sys, time
from services.kernel.folder import OwnFolder
folder = OwnFolder("redactor")
(folder.path / "consents-1-2").write_bytes(b"a copy of the book")
if sys.argv[1] == "with a child":
    subprocess.Popen([sys.executable, "-c", "import time; print('child', flush=True); time.sleep(60)"])
else:
    print("alone", flush=True)
print(folder.path, flush=True)
time.sleep(60)
"""


class Owner:
    """Another process with a folder of its own."""

    def __init__(self, temporary: Path, how: str = "alone") -> None:
        environment = os.environ | {"TMPDIR": str(temporary)}
        self.process = subprocess.Popen(
            [sys.executable, "-c", _HOLD, how],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        said = {self.process.stdout.readline().strip() for _ in range(2)}
        self.path = Path(next(line for line in said if line.startswith("/")))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        """End it and what it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture(params=["alone", "with a child"])
def owner(temporary: Path, request: pytest.FixtureRequest) -> Iterator[Owner]:
    made = Owner(temporary, request.param)
    yield made
    made.end()


def test_a_killed_ones_folder_is_removed_by_the_next_and_a_living_ones_is_not(owner: Owner, temporary: Path) -> None:
    copy = owner.path / "consents-1-2"
    with OwnFolder("redactor") as mine:
        assert copy.exists()
        assert mine.is_dir()
    owner.process.send_signal(signal.SIGSTOP)  # it does not answer, but it lives
    with OwnFolder("redactor"):
        assert copy.exists()
    owner.kill()
    with OwnFolder("router"):
        assert copy.exists()  # another service's
    with OwnFolder("redactor") as mine:
        assert list(temporary.iterdir()) == [mine]
    assert list(temporary.iterdir()) == []


def test_it_is_for_this_account_alone_and_goes_with_its_context(temporary: Path) -> None:
    with OwnFolder("router") as mine:
        assert stat.S_IMODE(mine.stat().st_mode) == 0o700
        assert mine.parent == temporary
        (mine / "sub").mkdir()
        (mine / "sub" / "file").touch()
        assert sweep("safe-reporting-router-") == 0
    assert not mine.exists()


def test_one_that_is_forgotten_goes_with_its_owner(temporary: Path) -> None:
    folder = OwnFolder("monitor")
    assert len(list(temporary.iterdir())) == 1
    del folder
    assert list(temporary.iterdir()) == []


def test_what_is_no_folder_of_ours_is_left_alone(temporary: Path) -> None:
    elsewhere = temporary / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").touch()
    (temporary / "safe-reporting-redactor-held-link").symlink_to(elsewhere)
    (temporary / "safe-reporting-redactor-held-file").touch()
    earlier = temporary / "safe-reporting-redactor-abcd1234"  # of a version that locks nothing: it may live
    earlier.mkdir()
    with OwnFolder("redactor"):
        assert (elsewhere / "file").exists()
        assert (temporary / "safe-reporting-redactor-held-file").exists()
        assert earlier.exists()
