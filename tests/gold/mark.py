"""Turn marked text into a gold record and back.

A mark is ``[[CLASS|words]]``. After the class, ``?`` says that a reviewer would not call it a leak if left
(``req`` false), and ``@suspect`` or ``@none`` says whose it is (default: a protected person).

    python -m tests.gold.mark FILE    # lines of id<TAB>register<TAB>marked text, newlines as \\n; JSONL on stdout
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

CLASSES = (
    "NATIONALITY",
    "COUNTRY_OF_ORIGIN",
    "IMMIGRATION_STATUS",
    "IMMIGRATION_DOCUMENT",
    "IMMIGRATION_CONTACT",
    "ENTRY_ROUTE",
    "LANGUAGE",
    "PROXY",
)
SUBJECTS = ("protected", "suspect", "none")
MARK = re.compile(rf"\[\[({'|'.join(CLASSES)})(\?)?(?:@({'|'.join(SUBJECTS)}))?\|([^\[\]]+)\]\]")


def parse(marked: str) -> tuple[str, list[dict[str, Any]]]:
    """Take the marks out of `marked`; return the plain text and its spans in order (offsets in characters).

    Raises `ValueError` where something looks like a mark and is none, or has white space at its edge.
    """
    text = ""
    spans: list[dict[str, Any]] = []
    end = 0
    for mark in MARK.finditer(marked):
        kind, optional, subject, words = mark.groups()
        if words != words.strip():
            raise ValueError(f"white space at the edge of `{mark.group()}`")
        text += marked[end : mark.start()]
        spans.append(
            {
                "s": len(text),
                "e": len(text) + len(words),
                "type": kind,
                "req": optional is None,
                "subject": subject or "protected",
            }
        )
        text += words
        end = mark.end()
    text += marked[end:]
    if "[[" in text or "]]" in text:
        raise ValueError(f"a mark that is none in `{text}`")
    return text, spans


def render(text: str, spans: list[dict[str, Any]]) -> str:
    """Put `spans` (in order, not overlapping) back into `text` as marks: the inverse of `parse`."""
    marked = ""
    end = 0
    for span in spans:
        flags = ("" if span["req"] else "?") + ("" if span["subject"] == "protected" else f"@{span['subject']}")
        marked += f"{text[end : span['s']]}[[{span['type']}{flags}|{text[span['s'] : span['e']]}]]"
        end = span["e"]
    return marked + text[end:]


def records(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Gold records from lines of ``id<TAB>register<TAB>marked text``; blank lines are passed over."""
    for line in lines:
        if line.strip():
            key, register, marked = line.rstrip("\n").split("\t")
            text, spans = parse(marked.replace("\\n", "\n"))
            yield {"id": key, "register": register, "text": text, "spans": spans}


def main() -> None:
    """Convert the file named on the command line to JSONL on standard output."""
    for record in records(Path(sys.argv[1]).read_text("utf-8").splitlines()):
        print(json.dumps(record, ensure_ascii=False))


if __name__ == "__main__":
    main()
