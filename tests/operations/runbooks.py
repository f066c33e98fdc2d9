"""The runbooks of `docs/operations.md`."""

from __future__ import annotations

import re

from services.kernel.paths import ROOT

TEXT = (ROOT / "docs" / "operations.md").read_text()


def runbooks() -> dict[str, str]:
    """Name of an alert to the first command of its runbook."""
    sections = re.split(r"^### ", TEXT.partition("\n## Runbooks\n")[2], flags=re.MULTILINE)[1:]
    found = {}
    for section in sections:
        name, _, body = section.partition("\n")
        command = re.search(r"^    (\S.*)$", body, flags=re.MULTILINE)
        assert command is not None, f"the runbook of {name} has no command"
        found[name.strip()] = command[1]
    return found


def command_with(words: str) -> str:
    """The one command of the document that holds `words`."""
    (line,) = [line.strip() for line in TEXT.splitlines() if line.startswith("    ") and words in line]
    return line
