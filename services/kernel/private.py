"""Files that only their owner reads, whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def write_private(path: Path, text: str) -> None:
    """Write `text` to `path`, readable by its owner only; what was there is replaced.

    1. Write beside it, and have it on the disk: a loss of power must not leave a name without its content.
    2. Put it in its place, and have the name on the disk: what is written next may depend on it.

    Raises:
        OSError: it cannot be written; what was there is as it was.
    """
    beside = path.with_name(f".{path.name}.new")
    try:
        beside.unlink(missing_ok=True)  # of a run that was cut off
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)  # 1
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)  # 2
    except OSError:
        beside.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def make_private(path: Path, text: str) -> bool:
    """Write a file that only its owner reads; False where it is there, and stays as it is."""
    if path.exists():
        return False
    write_private(path, text)
    return True
