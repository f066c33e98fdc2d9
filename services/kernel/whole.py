"""Files and folders that are there whole or not at all: a full disk or a kill leaves what was there before."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.kernel.errors import ConfigError


def demand_writable(path: Path) -> None:
    """Find out whether `write_whole` can write to `path`, before the work whose result goes there.

    Raises:
        ConfigError: it cannot: no folder, no permission, no room.
    """
    with _beside(path) as beside:
        beside.write_bytes(b"\n")
        beside.unlink()


def write_whole(path: Path, content: bytes) -> None:
    """Write `content` beside `path`, then put it in its place.

    Raises:
        ConfigError: it cannot be written; what was there is as it was.
    """
    with _beside(path) as beside:
        beside.write_bytes(content)
        beside.replace(path)


@contextmanager
def whole_folder(folder: Path) -> Iterator[None]:
    """Fill a folder that is empty or not there; where that fails, nothing of it is left in the way of the next try.

    It is filled in its place: a folder that is mounted cannot be replaced.

    Raises:
        ConfigError: it is not empty, or cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise ConfigError("folder", [f"`{folder}` is not empty"])
        try:
            yield
        except BaseException:
            for path in folder.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            raise
    except OSError as error:
        raise ConfigError("folder", [f"`{folder}` cannot be written: {error.strerror}"]) from error


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    beside = path.with_name(f".{path.name}.new")
    try:
        yield beside
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise ConfigError("file", [f"`{path}` cannot be written: {error.strerror}"]) from error
