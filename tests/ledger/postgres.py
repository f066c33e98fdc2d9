"""A real PostgreSQL of its own for a test, from the Debian package; left out where there is none."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from services.kernel.kafka.embedded import free_ports

_USER = "postgres"


def binaries() -> Path | None:
    """Where `initdb` and `pg_ctl` are."""
    found = shutil.which("initdb")
    candidates = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if candidates:
        return candidates[-1]
    return Path(found).resolve().parent if found else None


@contextmanager
def server() -> Iterator[str]:
    """URL of an empty database; the server is gone afterwards."""
    programs = binaries()
    if programs is None:
        if os.environ.get("ALL_LANES"):
            pytest.fail("PostgreSQL is not installed, and no lane may be left out")
        pytest.skip("lane left out: PostgreSQL is not installed (Debian: postgresql)")
    as_user = ["runuser", "-u", _USER, "--"] if os.geteuid() == 0 else []  # it refuses to run as root
    folder = Path(tempfile.mkdtemp(prefix="safe-reporting-postgres-"))
    try:
        if as_user:
            shutil.chown(folder, _USER)
        data, (port,) = folder / "data", free_ports(1)
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C"}

        def run(*command: str) -> None:
            done = subprocess.run(
                [*as_user, *command], env=environment, cwd=folder, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stdout + done.stderr

        run(str(programs / "initdb"), "-D", str(data), "-U", "log", "-A", "trust", "-N", "-E", "UTF8")
        options = f"-p {port} -h 127.0.0.1 -k {folder}"
        run(str(programs / "pg_ctl"), "-D", str(data), "-o", options, "-l", str(folder / "log"), "-w", "start")
        try:
            yield f"postgresql+pg8000://log@127.0.0.1:{port}/postgres"
        finally:
            run(str(programs / "pg_ctl"), "-D", str(data), "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
