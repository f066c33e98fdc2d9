"""Become another program that ends with its parent: `embedded_exec.py PARENT_PID PROGRAM ARGUMENT…`.

On Linux the kernel kills the program when the thread that started it ends (`PR_SET_PDEATHSIG`). Elsewhere
the program is started all the same and only a clean exit of the parent stops it. It runs as a file of its
own because code between fork and exec is not safe in a parent with threads.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Replace this process by `arguments[1:]`, unless the parent `arguments[0]` is gone already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != int(arguments[0]):
        raise SystemExit(1)
    os.execv(arguments[1], arguments[1:])  # noqa: S606 - the very purpose of this file


if __name__ == "__main__":
    main(sys.argv[1:])
