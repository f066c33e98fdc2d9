"""Whether a leaf that is kept can hold free words. It must not: nobody reads kept leaves again."""

from __future__ import annotations

import re

from services.kernel.schema.plan import Schema

_NUMBERS = frozenset({"number", "integer", "boolean", "null"})

#: A pattern that lets one of these through is a text field in disguise.
_PROBES = tuple(
    form
    for word in (
        "a", "Polish", "asylum", "NRPF", "ILR", "POL", "PL", "Home Office", "no recourse", "visa-expired",
        "refugee_status", "x" * 12, "speaks Urdu.", "Zażółć", "lived at 1 Any Road", "overstayer 2019",
    )
    for form in (word, word.lower(), word.upper())
)  # fmt: skip


def is_closed(schema: Schema, types: frozenset[str]) -> bool:
    """True for enum, const, numbers, booleans, dates, and anchored patterns that admit no words."""
    if "enum" in schema or "const" in schema or types <= _NUMBERS or schema.get("format") == "date":
        return True
    pattern = schema.get("pattern")
    if not isinstance(pattern, str) or not pattern.startswith("^") or not pattern.endswith("$"):
        return False
    try:
        compiled = re.compile(pattern)
    except re.error:
        return False
    return not any(compiled.search(probe) for probe in _PROBES)
