"""Risk that the text speaks of, put into the record's coded fields before the text is masked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from services.kernel.schema.words import THREATS, RiskMark


def add_risk(value: dict[str, Any], codes: Iterable[str], places: Mapping[RiskMark, tuple[str, ...]]) -> None:
    """Add `codes` to the redacted `value` at the places that the feed has for them.

    A code is a value of `threats`, or the name of one of the two flags. What the agency coded itself
    stays; a flag only ever turns true. A feed without a place for a code does not get it.
    """
    given = set(codes)
    for mark, keys in places.items():
        threats = sorted(given & THREATS) if mark is RiskMark.THREATS else []
        if not threats and mark.value not in given:
            continue
        holder = value
        for key in keys[:-1]:
            if not isinstance(holder.get(key), dict):
                holder[key] = {}
            holder = holder[key]
        if mark is RiskMark.THREATS:
            before = holder.get(keys[-1])
            holder[keys[-1]] = sorted({*threats, *(before if isinstance(before, list) else ())})
        else:
            holder[keys[-1]] = True
