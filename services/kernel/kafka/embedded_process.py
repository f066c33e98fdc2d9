"""One Java process of the embedded broker: started with its arguments in a file, ended with its parent."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from services.kernel.errors import UnreachableError
from services.kernel.private import write_private

_EXEC = Path(__file__).with_name("embedded_exec.py")


def arguments_file(path: Path, arguments: Sequence[str]) -> str:
    """Write a Java argument file, so that neither passwords nor the class path show in the process list."""
    quoted = ('"' + argument.replace("\\", "\\\\").replace('"', '\\"') + '"' for argument in arguments)
    write_private(path, "\n".join(quoted) + "\n")
    return f"@{path}"


class JavaProcess:
    """A running JVM in a process group of its own, its output in `output`."""

    def __init__(self, command: Sequence[str], *, output: Path) -> None:
        self.output = output
        self._command = [sys.executable, "-I", "-S", str(_EXEC), str(os.getpid()), *command]
        self._process: subprocess.Popen[bytes] | None = None
        self._failure: OSError | None = None
        self._started = threading.Event()
        # The child ends with the *thread* that starts it: this one waits for the child, nobody's else may.
        self._thread = threading.Thread(target=self._run, name="embedded-kafka", daemon=True)
        self._thread.start()
        self._started.wait()
        if self._failure is not None:
            raise UnreachableError("the JVM of the embedded broker could not be started") from self._failure

    def _run(self) -> None:
        try:
            with self.output.open("ab") as output:
                self._process = subprocess.Popen(  # noqa: S603 - our own program, no shell
                    self._command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except OSError as error:
            self._failure = error
            return
        finally:
            self._started.set()
        self._process.wait()

    @property
    def pid(self) -> int:
        """The process id of the JVM, also of its process group."""
        if self._process is None:
            raise UnreachableError("the JVM of the embedded broker was not started")
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the JVM runs."""
        return self._thread.is_alive()

    @property
    def exit_code(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return None if self._process is None or self.alive else self._process.returncode

    def wait(self, seconds: float) -> bool:
        """Wait at most `seconds` for the end; whether it ended."""
        self._thread.join(seconds)
        return not self.alive

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process group; nothing happens where it has ended."""
        with contextlib.suppress(ProcessLookupError):
            if self.alive:
                os.killpg(self.pid, number)

    def end(self, *, grace: float) -> None:
        """Ask it to stop, and kill it after `grace` seconds; 0 kills at once."""
        if grace > 0:
            self.send(signal.SIGTERM)
            if self.wait(grace):
                return
        self.send(signal.SIGKILL)
        self.wait(10)

    def tail(self, lines: int = 15) -> str:
        """The last lines of its output, for an error message about the broker itself."""
        try:
            return "\n".join(self.output.read_text("utf-8", "replace").splitlines()[-lines:])
        except OSError:
            return ""
