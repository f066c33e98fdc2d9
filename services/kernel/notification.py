"""The notification of section 52 of the Modern Slavery Act 2015: nationality stays, the person goes.

The opposite of every other path. An adult who does not consent may not be identified, so a notification holds closed
words alone; where fewer than five people of a quarter share them, further fields are dropped. Until two persons
release it, it lies sealed as a proposal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

DUTY = "msa-s52"
REGION: Literal["North West"] = "North West"
#: Fewest people of one quarter who must share what a notification says.
FEWEST = 5
BANDS = ((25, "18-24"), (35, "25-34"), (45, "35-44"), (55, "45-54"), (65, "55-64"), (131, "65+"))
#: Dropped in this order until enough people share the rest; the quarter stays.
_DROPPED = ("age_band", "sex", "exploitation", "region", "nationality")


class Notification(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that is ever notified; None where it is not known or was dropped."""

    nationality: Annotated[str, Meta(pattern=r"^[A-Z][A-Za-z '-]{2,40}$")] | None
    exploitation: (
        tuple[Literal["sexual", "labour", "domestic_servitude", "criminal", "organ_removal", "not_known"], ...] | None
    )
    sex: Literal["male", "female"] | None
    age_band: Literal["18-24", "25-34", "35-44", "45-54", "55-64", "65+"] | None
    region: Literal["North West"] | None
    quarter: Annotated[str, Meta(pattern=r"^\d{4}-Q[1-4]$")]


def age_band(age: int) -> str | None:
    """Band of an adult's age in whole years; None under 18 and beyond reason."""
    return next((band for limit, band in BANDS if 18 <= age < limit), None)


def quarter(stamp: str) -> str:
    """Quarter of an RFC 3339 time, YYYY-Qn."""
    return f"{stamp[:4]}-Q{(int(stamp[5:7]) + 2) // 3}"


def closed(made: Notification) -> bool:
    """Whether every field holds one of its closed words; the constructor does not ask."""
    try:
        msgspec.convert(msgspec.to_builtins(made), Notification)
    except msgspec.ValidationError:
        return False
    return True


def coarsened(wanted: Notification, period: Iterable[Notification]) -> Notification:
    """`wanted` without the fields that fewer than `FEWEST` people of its quarter share.

    Args:
        period: one notification of each person of the quarter, `wanted` among them, before anything was dropped.
    """
    held = [one for one in period if one.quarter == wanted.quarter]
    dropped: dict[str, None] = {}
    for name in (None, *_DROPPED):
        if name is not None:
            dropped[name] = None
        counts = Counter(_without(one, dropped) for one in held)
        if counts[_without(wanted, dropped)] >= FEWEST:
            break
    return _without(wanted, dropped)


def _without(one: Notification, dropped: dict[str, None]) -> Notification:
    return msgspec.structs.replace(one, **dropped)


def identifying(notification: Notification, known: Iterable[str]) -> list[str]:
    """The inverted scan: which of the record's own identifying values stand in the notification, whole or as a word.

    Args:
        known: every value of the record that names, locates or numbers somebody.
    """
    values = [value for value in msgspec.to_builtins(notification).values() if value is not None]
    said = {part.casefold() for value in values for part in ([value] if isinstance(value, str) else value)}
    said |= {word for part in said for word in part.split()}
    return sorted({value for value in known if value.strip().casefold() in said})
