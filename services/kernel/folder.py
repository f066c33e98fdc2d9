"""A folder of one process alone, for what must not outlive it: a killed one's is removed by the next that starts."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import weakref
from pathlib import Path
from types import TracebackType

import structlog

log = structlog.get_logger()

#: In the name of each that its process locks; a version before this one locks none, so its own are left alone.
_MARK = "held-"


class OwnFolder:
    """A temporary folder, mode 0700, held by a lock for as long as this process lives. Use it as a context.

    The lock is the kernel's (flock on the folder): it ends with the process, however that ends, and a number of a
    process that was given out again means nothing. No process that this one starts inherits it.

    Attributes:
        path: the folder.
    """

    def __init__(self, service: str) -> None:
        """Make the folder of a process of `service`.

        1. Remove folders of its processes that are gone.
        2. Make one under another name, lock it, and only then give it the name that others look for.

        Raises:
            OSError: no folder can be made where temporary files go.
        """
        prefix = f"safe-reporting-{service}-{_MARK}"
        if count := sweep(prefix):  # 1
            log.warning("folders_swept", service=service, count=count)
        fresh = Path(tempfile.mkdtemp(prefix="safe-reporting-new-"))  # 2
        lock = _lock(fresh)
        assert lock is not None  # noqa: S101 - nobody knows of it yet
        self.path = fresh.rename(fresh.with_name(prefix + fresh.name.rpartition("-")[2]))
        self.close = weakref.finalize(self, _remove, self.path, lock)

    def __enter__(self) -> Path:
        return self.path

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def sweep(prefix: str) -> int:
    """Remove folders of this account whose name begins with `prefix` and that no process holds; how many those were."""
    removed = 0
    for path in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        with contextlib.suppress(OSError):  # another one sweeps too, or it is not ours
            lock = _lock(path)
            if lock is not None:
                _remove(path, lock)
                removed += 1
    return removed


def _lock(path: Path) -> int | None:
    """Hold a folder; None where it is another account's, or another process holds it."""
    place = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)  # Python's own are closed on exec
    try:
        if os.fstat(place).st_uid == os.getuid():
            fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return place
    except BlockingIOError:
        pass
    os.close(place)
    return None


def _remove(path: Path, lock: int) -> None:
    shutil.rmtree(path, ignore_errors=True)
    os.close(lock)
