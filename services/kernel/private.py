"""Files that only their owner reads."""

from __future__ import annotations

import os
from pathlib import Path


def write_private(path: Path, text: str) -> None:
    """Write `text` to `path`, readable by its owner only, and to the disk; what was there is replaced."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def make_private(path: Path, text: str) -> bool:
    """Write a file that only its owner reads, whole or not at all; False where it is there, and stays as it is."""
    if path.exists():
        return False
    beside = path.with_name(f".{path.name}.new")
    write_private(beside, text)
    beside.replace(path)
    return True
