"""Errors for people: what was wrong, what to do, a stable code, never the payload."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of the command."""

    DONE = 0
    FOUND = 1
    USAGE = 2
    UNREACHABLE = 3
    REFUSED = 4
    BUG = 5


class SafeReportingError(Exception):
    """Base of all expected errors. `code` is stable; `exit` is the exit code of the command."""

    code = "error"
    exit = Exit.USAGE


class ConfigError(SafeReportingError):
    """Settings or files of the deployment are wrong; `faults` lists all that were found."""

    code = "config"

    def __init__(self, what: str, faults: list[str]) -> None:
        self.what = what
        self.faults = faults
        super().__init__(f"{what}: {len(faults)} fault(s)\n" + "\n".join(f"  - {fault}" for fault in faults))

    def __reduce__(self) -> tuple[type[ConfigError], tuple[str, list[str]]]:
        return ConfigError, (self.what, self.faults)


class UnreachableError(SafeReportingError):
    """A broker, registry or database does not answer, or a topic is missing."""

    code = "unreachable"
    exit = Exit.UNREACHABLE


class RefusedError(SafeReportingError):
    """Policy, approval or a permission refuses."""

    code = "refused"
    exit = Exit.REFUSED
